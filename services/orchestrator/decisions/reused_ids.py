"""Ids of events that are used again: two events of one customer, source and id of which only the first one counts.

A producer that sends an event again sends the same content, and nothing is lost. Another content under the same id is
an event that is lost: it is counted, and the alert TactfulEventIdReused tells of it.
"""

from collections.abc import Mapping

from schemas.event import Event, InvalidEvent, comparable_data, decode_event
from services.orchestrator.decisions.store import EventKey


def has_same_content(event: Event, other: Event) -> bool:
    """Whether two events of one source and id say the same. Their times may differ: some senders stamp each try."""
    if event is other:
        return True
    return event.type == other.type and comparable_data(event) == comparable_data(other)


def is_reused(event: Event, taken: Mapping[EventKey, Event | bytes]) -> bool:
    """Whether an event that is known already has another content than the one that was taken, if that is still kept."""
    first = taken.get((event.subject, event.source, event.id))
    if not first:
        return False
    try:
        return not has_same_content(event, decode_event(first) if isinstance(first, bytes) else first)
    except InvalidEvent:  # an earlier version took it
        return False
