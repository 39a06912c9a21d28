"""Declaration of the rule `arbitration`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "arbitration"
LOWER_PRIORITY: Final = "lower_priority"


def _explain_arbitration(verdict: Verdict) -> str:
    campaign = verdict.evidence.get("winner")
    winner = f"a message of the campaign {campaign}" if campaign else "another message"
    return f"the room that the cap {verdict.id} leaves went to {winner}, which is more important"


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
    explain_allow=lambda _: "no more important message takes its place",
)
