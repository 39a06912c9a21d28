"""Declaration of the rule `consent`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ReasonDeclaration, Remedy, RuleDeclaration
from schemas.vocabulary import Class, Outcome
from schemas.words import channel_words

ID: Final = "consent"
NO_CONSENT: Final = "no_consent"


def _explain_consent(verdict: Verdict) -> str:
    evidence, subject = verdict.evidence, _subject(verdict)
    if evidence.get("expired_at"):
        return f"the consent to {subject} expired on {evidence['expired_at']}"
    if evidence.get("needs_basis"):
        basis = evidence.get("basis")
        return (
            f"the consent to {subject} of {evidence.get('at')} has the basis {basis}, and the campaign uses "
            f"behavioural traits, which takes the basis {evidence['needs_basis']}"
        )
    if evidence.get("status") and evidence["status"] not in ("refused", "withdrawn", "revoked", "denied"):
        return f"the consent to {subject} of {evidence.get('at')} has the status {evidence['status']}, not granted"
    if evidence.get("status"):
        return f"consent to {subject} was {evidence['status']} on {evidence.get('at')}"
    return f"no consent to {subject} is recorded"


def _remedies(verdict: Verdict) -> list[Remedy]:
    if verdict.evidence.get("needs_basis"):
        return [
            Remedy("the customer", f"says yes to {_subject(verdict)}"),
            Remedy("the campaign's owner", "uses no trait that the policy declares behavioural"),
        ]
    again = " again" if verdict.evidence.get("expired_at") else ""
    return [Remedy("the customer", f"gives consent to {_subject(verdict)}{again}")]


def _subject(verdict: Verdict) -> str:
    """`e-mail about referrals`; decisions of earlier versions name neither."""
    channel, topic = verdict.evidence.get("channel"), verdict.evidence.get("topic")
    return f"{channel_words(channel)} about {topic}" if channel and topic else "this channel and topic"


def _explain_allow(verdict: Verdict) -> str:
    granted = verdict.evidence.get("granted_at")
    return f"consent was given on {granted}" if granted else "consent is given"


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=70,
    classes=frozenset({Class.MARKETING.value}),
    refuses_when="there is no valid recorded basis (marketing)",
    reasons=(
        ReasonDeclaration(
            code=NO_CONSENT,
            outcomes=(Outcome.SUPPRESS,),
            title="No consent",
            explain=_explain_consent,
            remedies=_remedies,
        ),
    ),
    audit_invariant="suppressed_sent",
    explain_allow=_explain_allow,
)
