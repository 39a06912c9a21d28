"""Declaration of the rule `audience`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "audience"
NOT_IN_AUDIENCE: Final = "not_in_audience"


def _explain_audience(verdict: Verdict) -> str:
    return f"the audience condition is false: {verdict.evidence.get('condition')}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=20,
    classes=ALL_CLASSES,
    refuses_when="its condition is false",
    reasons=(
        ReasonDeclaration(
            code=NOT_IN_AUDIENCE, outcomes=(Outcome.SUPPRESS,), title="Not in the audience", explain=_explain_audience
        ),
    ),
)
