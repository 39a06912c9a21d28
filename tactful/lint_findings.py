"""Prints the lint's findings about a saved document, on stderr, because they refuse nothing."""

from collections.abc import Mapping
from typing import Any

from tactful.output import WARNING_STYLE, print_message


def print_findings(name: str, answer: Mapping[str, Any]) -> None:
    """Print each finding in the response to a PUT, with its place, its reason and a suggestion."""
    for finding in answer.get("findings", ()):
        print_message(f"{name} {finding['pointer']}: {finding['detail']} ({finding['code']})", WARNING_STYLE)
        if finding.get("suggestion"):
            print_message(f"  fix: {finding['suggestion']}")
