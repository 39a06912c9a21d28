"""The table of rules in docs/policy.md, made from declarations: `python -m tests.support.rules_table` writes it."""

import sys
from collections.abc import Iterator
from pathlib import Path

from schemas.rule_registry import RULE_REGISTRY, ReasonDeclaration
from schemas.vocabulary import Outcome

PAGE = Path(__file__).parents[2] / "docs/policy.md"
HEAD = "| rule | refuses when | reason |\n|---|---|---|\n"


def rows() -> Iterator[str]:
    """One line for each rule, in order of evaluation."""
    for rule in RULE_REGISTRY.declarations.values():
        yield f"| {rule.id} | {rule.refuses_when} | {', '.join(map(_describe_reason, rule.reasons))} |\n"


def _describe_reason(reason: ReasonDeclaration) -> str:
    return f"`{reason.code}` (defer)" if reason.outcomes == (Outcome.DEFER,) else f"`{reason.code}`"


def page(text: str) -> str:
    """The page with a fresh table."""
    before, _, rest = text.partition(HEAD)
    lines = rest.splitlines(keepends=True)
    while lines and lines[0].startswith("|"):
        del lines[0]
    return before + HEAD + "".join(rows()) + "".join(lines)


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
