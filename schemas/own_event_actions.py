"""Which action a role needs to send an event of one of our own types, beside `events:write`."""

from collections.abc import Mapping
from typing import Final

from schemas.event import Event, InvalidEvent, parse_data
from schemas.own_events import (
    ADDRESS_VERIFICATION_REQUESTED,
    AGENT_MESSAGE,
    CONSENT_REQUESTED,
    CONTACT_REPORTED,
    CUSTOMER_ERASED,
    CUSTOMER_IDENTIFIED,
    PREFERENCE_CHANGED,
    SITUATION_CLOSED,
    SITUATION_CORRECTED,
    SITUATION_OPENED,
)

OWN_EVENT_ACTIONS: Final[Mapping[str, str]] = {
    PREFERENCE_CHANGED: "preferences:write",
    CUSTOMER_ERASED: "customers:erase",
    SITUATION_OPENED: "situations:write",
    SITUATION_CLOSED: "situations:write",
    SITUATION_CORRECTED: "situations:write",
    CONTACT_REPORTED: "contacts:write",
    CONSENT_REQUESTED: "preferences:write",
    ADDRESS_VERIFICATION_REQUESTED: "preferences:write",
    AGENT_MESSAGE: "agent_messages:write",
}
"""What a role must be allowed to do, beside `events:write`, to send an event of this type over HTTP: as much as it must
for the same change by its own route. Who may write to the log is for the log's own access lists."""


def needed_action(event: Event) -> str | None:
    """What a role must be allowed to do to send this event, beside `events:write`; None where that is enough."""
    if event.type == CUSTOMER_IDENTIFIED:  # what a shop knows of its customer, but not where messages go
        try:
            names_addresses = "addresses" in parse_data(event, check_texts=False)
        except InvalidEvent:
            names_addresses = False
        return "preferences:write" if names_addresses else None
    return OWN_EVENT_ACTIONS.get(event.type)
