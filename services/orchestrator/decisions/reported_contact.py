"""Parses `tactful.contact.reported`, the event with which another tool reports that it has contacted a customer.

A reported contact counts against caps and gaps. It has no rank, because nothing can take its place.
"""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event, InvalidEvent
from schemas.ids import compute_message_id, hash_event
from schemas.times import DAY, parse_instant
from schemas.vocabulary import CHANNELS, Class, Intent
from services.orchestrator.policy.ledger import Contact
from services.orchestrator.policy.scope import MessageAttributes

REPORTED_EVENT_TYPE = "tactful.contact.reported"
MAX_TIME_AHEAD = 30 * DAY


def parse_reported_contact(event: Event, data: Mapping[str, Any]) -> Contact:
    """The contact that the event reports: at `data.at`, else at the event's time.

    Raises InvalidEvent when a field is missing or unknown words are used, or `at` lies more than 30 days after the
    event.
    """
    channel, cls, intent = (_required_text(data, "channel"), _required_text(data, "class"), data.get("intent"))
    if channel not in CHANNELS:
        raise InvalidEvent("/data/channel", f"`channel` must be one of {', '.join(CHANNELS)}")
    if cls not in list(Class):
        raise InvalidEvent("/data/class", f"`class` must be one of {', '.join(Class)}")
    if intent is not None and intent not in list(Intent):
        raise InvalidEvent("/data/intent", f"`intent` must be one of {', '.join(Intent)}")
    at = event.time
    if data.get("at") is not None:
        try:
            at = parse_instant(_required_text(data, "at"))
        except ValueError as error:
            raise InvalidEvent("/data/at", str(error)) from None
    if at > event.time + MAX_TIME_AHEAD:
        raise InvalidEvent("/data/at", "`at` lies more than 30 days after the event's time")
    attributes = MessageAttributes(
        _optional_text(data, "campaign") or "", _optional_text(data, "topic"), channel, cls, intent
    )
    return Contact(
        compute_message_id(event.subject, event.source, event.id, "", channel),
        hash_event(event.source, event.id),
        attributes,
        priority=0,
        at=at,
        first_planned=at,
        state="made",
        reported=True,
    )


def _required_text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise InvalidEvent(f"/data/{name}", f"`{name}` is required and must be text")
    return value


def _optional_text(data: Mapping[str, Any], name: str) -> str | None:
    return None if data.get(name) is None else _required_text(data, name)
