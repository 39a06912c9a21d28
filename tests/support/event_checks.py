"""Events applied as the services apply them: checked first, then their good parts. A problem is an error here."""

from typing import Any

import msgspec

from schemas.event import Event, InvalidEvent
from schemas.own_events import CheckedData, check_event
from services.preference.preference_state import PreferenceState, apply_change, to_change


def checked(event: Event, data: Any) -> CheckedData:
    """The data of the event after the check."""
    return check_event(msgspec.structs.replace(event, data=msgspec.Raw(msgspec.json.encode(data))))


def apply_preference_event(state: PreferenceState, event: Event, data: Any) -> PreferenceState | None:
    """The state after the event, None when it changes nothing. Raises InvalidEvent."""
    found = checked(event, data)
    if found.problems:
        raise InvalidEvent.of_problems(found.problems)
    change = to_change(event, found)
    return None if change is None else apply_change(state, change)
