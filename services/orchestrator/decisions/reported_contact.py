"""Reads `tactful.contact.reported`, the event with which another tool reports that it has contacted a customer.

A reported contact counts against caps and gaps. It has no rank, because nothing can take its place.
"""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event
from schemas.ids import compute_message_id, hash_event
from schemas.own_events import CONTACT_REPORTED
from schemas.times import parse_instant
from services.orchestrator.policy.ledger import Contact
from services.orchestrator.policy.scope import MessageAttributes


def read_reported_contact(event: Event, data: Mapping[str, Any]) -> Contact | None:
    """The contact that the event reports: at `data.at`, else at the event's time. None if it reports none.

    `data`: the good parts, as `schemas.own_events.check_event` returns them.
    """
    if event.type != CONTACT_REPORTED or "channel" not in data:
        return None
    at = event.time if data.get("at") is None else parse_instant(data["at"])
    attributes = MessageAttributes(
        data.get("campaign") or "", data.get("topic"), data["channel"], data["class"], data.get("intent")
    )
    return Contact(
        compute_message_id(event.subject, event.source, event.id, "", data["channel"]),
        hash_event(event.source, event.id),
        attributes,
        priority=0,
        at=at,
        first_planned=at,
        state="made",
        reported=True,
    )
