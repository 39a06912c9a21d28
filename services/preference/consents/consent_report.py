"""What can be shown of a customer's consents: the list, and the signed export. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from schemas.consent_evidence import GRANTED
from schemas.facts import Consent
from schemas.times import Instant, format_instant
from services.preference.consents.double_opt_in import ALL_TOPICS
from services.preference.consents.request_store import ConsentRequest
from services.preference.consents.wordings import KeptWording
from services.preference.document_form import consent_document, evidence_document
from services.preference.store import PreferenceHistoryItem

EXPORT_FORMAT: Final = "tactful-consents/1"
EXPORT_KEY_PURPOSE: Final = b"tactful consent export key 1"
LOGGED_FIELDS: Final = ("consent", "opt_outs", "paused_until")
"""The fields of a customer by which they allow or refuse messages; the export has every change of them."""
MAX_CHANGES: Final = 5000
"""Changes in an export; where there are more, it says that it is not complete."""


def list_consents(
    records: Sequence[Consent], wordings: Mapping[str, KeptWording], now: Instant
) -> list[dict[str, Any]]:
    """All records of a customer, the newest first, each with its state and its text where it is kept."""
    newest_first = sorted(records, key=lambda record: record.at, reverse=True)
    return [
        {
            **consent_document(record),
            "state": consent_state(record, records, now),
            "wording_text": _text(record, wordings),
            "wording_kept": _text(record, wordings) is not None,
        }
        for record in newest_first
    ]


def consent_state(record: Consent, records: Collection[Consent], now: Instant) -> str:
    """What a record says now: `in_force`, `refused`, `expired`, `not_yet`, or `superseded` by a newer one.

    As the rule `consent` reads them: a record for all topics supersedes an older one for a topic, not the other way.
    """
    if any(_supersedes(other, record) for other in records):
        return "superseded"
    if record.status != GRANTED:
        return "refused" if record.status != "unconfirmed" else "unconfirmed"
    if record.at > now:
        return "not_yet"
    return "expired" if record.expires is not None and record.expires <= now else "in_force"


def _supersedes(other: Consent, record: Consent) -> bool:
    if other is record or other.channel != record.channel or other.topic not in (record.topic, ALL_TOPICS):
        return False
    return other.at > record.at or (other.at == record.at and other.status != GRANTED and record.status == GRANTED)


def _text(record: Consent, wordings: Mapping[str, KeptWording]) -> str | None:
    kept = wordings.get(record.wording or "")
    return None if kept is None else kept.text


def request_document(request: ConsentRequest, now: Instant) -> dict[str, Any]:
    """A request as JSON."""
    if request.confirmed is not None:
        state = "confirmed"
    else:
        state = "waiting" if now < request.expires else "expired"
    return {
        "id": request.id,
        "customer": request.customer,
        "channel": request.channel,
        "topic": request.topic,
        "state": state,
        "requested": format_instant(request.requested),
        "expires": format_instant(request.expires),
        "confirmed": None if request.confirmed is None else format_instant(request.confirmed),
        "wording": request.proof.wording,
        "source": request.proof.source,
        "requested_by": request.proof.requested_by,
        "evidence": evidence_document(request.proof.evidence),
    }


def wording_document(kept: KeptWording) -> dict[str, Any]:
    """A kept text as JSON."""
    return {**kept._asdict(), "first_used": format_instant(kept.first_used)}


def change_document(item: PreferenceHistoryItem) -> dict[str, Any]:
    """A change of preferences as JSON: who changed what, when, and from where."""
    return {
        "version": item.version,
        "at": format_instant(item.at),
        "recorded": format_instant(item.recorded),
        "source": item.source,
        "actor": item.actor,
        "event_source": item.event_source,
        "event_id": item.event_id,
        "network": item.network,
        "agent": item.agent,
        "field": item.field,
        "value": item.value,
    }


def mentioned_wordings(
    records: Iterable[Consent], requests: Iterable[ConsentRequest], changes: Iterable[PreferenceHistoryItem]
) -> set[str]:
    """The wordings that records, requests and changes name."""
    named = {record.wording for record in records} | {request.proof.wording for request in requests}
    named |= {entry.get("wording") for change in changes if change.field == "consent" for entry in change.value}
    return {wording for wording in named if wording is not None}


def export_document(
    customer: str,
    records: Sequence[Consent],
    requests: Sequence[ConsentRequest],
    changes: Sequence[PreferenceHistoryItem],
    wordings: Mapping[str, KeptWording],
    now: Instant,
) -> dict[str, Any]:
    """All that is recorded of a customer's consents, ready to be signed. `changes`: newest first."""
    return {
        "format": EXPORT_FORMAT,
        "customer": customer,
        "exported": format_instant(now),
        "consents": list_consents(records, wordings, now),
        "requests": [request_document(request, now) for request in requests],
        "wordings": [wording_document(wordings[key]) for key in sorted(wordings)],
        "changes": [change_document(item) for item in changes[:MAX_CHANGES]],
        "changes_complete": len(changes) <= MAX_CHANGES,
    }
