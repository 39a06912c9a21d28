"""Declaration of the rule `arbitration`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "arbitration"
LOWER_PRIORITY: Final = "lower_priority"


def _explain_arbitration(verdict: Verdict) -> str:
    return f"the cap {verdict.id} went to {verdict.evidence.get('lost_to')}, which is more important"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=140,
    classes=ALL_CLASSES,
    refuses_when="a more important message used up the cap",
    reasons=(
        ReasonDeclaration(
            code=LOWER_PRIORITY,
            outcomes=(Outcome.SUPPRESS,),
            title="Gave way to a more important message",
            explain=_explain_arbitration,
        ),
    ),
    evidence_labels={"lost_to": None},
)
