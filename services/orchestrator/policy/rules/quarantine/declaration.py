"""Declaration of the rule `quarantine`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import NON_TRANSACTIONAL, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Outcome

ID: Final = "quarantine"
QUARANTINED: Final = "quarantined"


def _explain_quarantine(verdict: Verdict) -> str:
    closing = "" if _ends_by_itself(verdict) else "when its dead letter is redriven or discarded, or "
    return (
        f"an event of {verdict.evidence.get('since')} could not be read, and may have been the customer's refusal; "
        f"this ends {closing}on {verdict.evidence.get('ends')}"
    )


def _ends_by_itself(verdict: Verdict) -> bool:
    return bool(verdict.evidence.get("ends_by_itself"))


_REMEDY: Final = Remedy("an operator", "redrives or discards the dead letter of the event")

DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=75,
    classes=NON_TRANSACTIONAL,
    refuses_when="an event that may be a refusal could not be read (service, marketing)",
    reasons=(
        ReasonDeclaration(
            code=QUARANTINED,
            outcomes=(Outcome.SUPPRESS,),
            title="Quarantined: an event could not be read",
            explain=_explain_quarantine,
            remedies=lambda verdict: [] if _ends_by_itself(verdict) else [_REMEDY],
        ),
    ),
    audit_invariant="suppressed_sent",
    explain_allow=lambda _: "every event of the customer that may be a refusal could be read",
)
