"""Declaration of the rule `expiry`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, ReasonRole, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "expiry"
EXPIRED: Final = "expired"


def _explain_expiry(verdict: Verdict) -> str:
    return f"it expired on {verdict.evidence.get('expires_at')}"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=40,
    classes=ALL_CLASSES,
    refuses_when="event time + `ttl`, or the event's `expirytime`, has come",
    reasons=(
        ReasonDeclaration(
            code=EXPIRED,
            outcomes=(Outcome.SUPPRESS,),
            title="Too late",
            explain=_explain_expiry,
            role=ReasonRole.EXPIRED,
        ),
    ),
    explain_allow=lambda _: "it has not expired",
)
