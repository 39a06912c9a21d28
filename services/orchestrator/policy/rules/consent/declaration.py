"""Declaration of the rule `consent`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ReasonDeclaration, RuleDeclaration
from schemas.vocabulary import Class, Outcome

ID: Final = "consent"
NO_CONSENT: Final = "no_consent"


def _explain_consent(verdict: Verdict) -> str:
    evidence = verdict.evidence
    if evidence.get("expired_at"):
        return f"the consent expired on {evidence['expired_at']}; it has to be given again"
    if evidence.get("status"):
        return f"consent was {evidence['status']} on {evidence['at']}; it has to be granted"
    return "there is no record of consent for this channel and topic; it has to be granted"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=70,
    classes=frozenset({Class.MARKETING.value}),
    refuses_when="there is no valid recorded basis (marketing)",
    reasons=(
        ReasonDeclaration(code=NO_CONSENT, outcomes=(Outcome.SUPPRESS,), title="No consent", explain=_explain_consent),
    ),
    audit_invariant="suppressed_sent",
    evidence_labels={"granted_at": "granted", "expired_at": "expired"},
)
