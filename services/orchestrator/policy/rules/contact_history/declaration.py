"""Declaration of the rule `contact_history`."""

from typing import Final

from schemas.decision import Verdict
from schemas.rule_registry import ALL_CLASSES, ReasonDeclaration, Remedy, RuleDeclaration
from schemas.times import Instant, describe_duration, parse_instant
from schemas.vocabulary import ASK_INTENTS, Outcome
from schemas.words import duration_words

ID: Final = "contact_history"
CONTACT_HISTORY: Final = "contact_history"


def _summarise(verdict: Verdict, intent: str) -> str:
    """`Recent complaint: no asks for 30 days`."""
    evidence, messages = verdict.evidence, "asks" if intent in ASK_INTENTS else "messages"
    if "situation" not in evidence:
        what, since = "Recent contact", evidence.get("contact")
    else:
        state = "Recent" if evidence.get("closed") else "Open"
        what = f"{state} {str(evidence['situation']).replace('_', ' ')}"
        since = evidence.get("closed") or evidence.get("opened")
    distance = None if since is None else _required_distance(verdict, parse_instant(since))
    return f"{what}: no {messages}" + (f" for {distance}" if distance else " until it is closed")


def _explain_contact_history(verdict: Verdict) -> str:
    rule, evidence = f"the rule {verdict.id}", verdict.evidence
    if "situation" not in evidence:
        contact = evidence.get("contact")
        if contact is None:
            return f"a contact is too close for {rule}"
        return f"there was a contact on {contact} and {rule} requires a distance of {_distance_after(verdict, contact)}"
    situation = f"the {str(evidence['situation']).replace('_', ' ')}"
    if evidence.get("closed"):
        distance = _distance_after(verdict, evidence["closed"])
        return f"{situation} closed on {evidence['closed']} and {rule} requires a distance of {distance}"
    if verdict.until is None:
        return f"{situation} opened on {evidence['opened']} must be closed first ({rule})"
    distance = _distance_after(verdict, evidence["opened"])
    return f"{situation} opened on {evidence['opened']} and {rule} requires a distance of {distance}"


def _remedies(verdict: Verdict) -> list[Remedy]:
    """An open situation can be closed; what is over has to become old enough."""
    evidence = verdict.evidence
    if "situation" not in evidence or evidence.get("closed") or verdict.until is not None:
        return []
    return [Remedy("an agent", f"closes the {str(evidence['situation']).replace('_', ' ')}")]


def _explain_allow(verdict: Verdict) -> str:
    """`no complaint in the last 30 days`. What the entry looks back at is in the evidence of newer decisions."""
    evidence = verdict.evidence
    if "within" not in evidence:
        return "nothing that it looks back at is recent" if verdict.id else "no rule looks back at anything"
    within = duration_words(evidence["within"])
    if "situation" in evidence:
        return f"no {str(evidence['situation']).replace('_', ' ')} in the last {within}"
    return f"no {evidence.get('contacts', 'contact')} in the last {within}"


def _distance_after(verdict: Verdict, since: str) -> str:
    return _required_distance(verdict, parse_instant(since)) or "unknown length"


def _required_distance(verdict: Verdict, since: Instant) -> str | None:
    """From `since` until the rule allows again; None where that is not known."""
    if verdict.until is None or verdict.until <= since:
        return None
    return describe_duration(verdict.until - since)


DECLARATION: Final = RuleDeclaration(
    id=ID,
    order=90,
    classes=ALL_CLASSES,
    refuses_when='"never B within N of A"',
    reasons=(
        ReasonDeclaration(
            code=CONTACT_HISTORY,
            outcomes=(Outcome.DEFER, Outcome.SUPPRESS),
            title="Too soon after a contact or a situation",
            summarise=_summarise,
            explain=_explain_contact_history,
            remedies=_remedies,
        ),
    ),
    may_park=True,
    refuses_for_situations=True,
    explain_allow=_explain_allow,
    audit_invariant="suppressed_sent",
    sample={
        "situations": [
            {
                "kind": "complaint",
                "opens": [{"event": "shop.complaint.filed"}],
                "closes": [{"event": "shop.complaint.resolved"}],
                "ref": "data.case",
                "lapses": "180d",
            }
        ],
        "contact_history": [
            {
                "id": "no-ask-after-complaint",
                "scope": {"intents": ["ask_referral", "ask_review"]},
                "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True},
                "on_match": "drop",
            }
        ],
    },
)
