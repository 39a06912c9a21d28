"""What the lint says about a document that was kept: on stderr, since it refuses nothing."""

from collections.abc import Mapping
from typing import Any

from tactful.output import WARNING_STYLE, print_message


def print_findings(name: str, answer: Mapping[str, Any]) -> None:
    """Print each finding of an answer to a PUT, with its place, its reason and what to do about it."""
    for finding in answer.get("findings", ()):
        print_message(f"{name} {finding['pointer']}: {finding['detail']} ({finding['code']})", WARNING_STYLE)
        print_message(f"  mend: {finding['suggestion']}")
