"""What the answer to an accepted event says beside its status: a type that nothing names, fields that are not read."""

import difflib
from collections.abc import Collection, Iterable
from typing import Any, Final

from schemas.own_events import OWN_EVENT_TYPES, CheckedData
from schemas.text import escape_pointer
from services.orchestrator.policy.match import Catalogue

MAX_NEAREST: Final = 3

Note = dict[str, Any]


def note_type(event_type: str, catalogue: Catalogue) -> list[Note]:
    """A note on a type that no active campaign and no situation names, with the nearest ones; else nothing."""
    situations = catalogue.policy.document.situations
    known = {
        *catalogue.by_event,
        *(trigger.event for kind in situations for trigger in (*kind.opens, *kind.closes)),
        *OWN_EVENT_TYPES,
    }
    if event_type in known or catalogue.is_triggered_by(event_type):
        return []
    nearest = _nearest(event_type, known)
    detail = f"no active campaign is triggered by `{event_type}`, and no situation of the policy names it"
    if nearest:
        detail += f"; the nearest types are {', '.join(f'`{name}`' for name in nearest)}"
    return [{"pointer": "/type", "code": "nothing_listens", "detail": detail, "nearest": nearest}]


def note_ignored(checked: CheckedData | None) -> list[Note]:
    """A note for each field of an own event's data that nothing reads."""
    return [
        {
            "pointer": f"/data/{escape_pointer(name)}",
            "code": "ignored_field",
            "detail": "this is no field of the type, and only the conditions of campaigns see it",
        }
        for name in (() if checked is None else checked.ignored)
    ]


def situation_kinds(catalogue: Catalogue) -> Collection[str]:
    """The kinds of situations that the active policy defines."""
    return {kind.kind for kind in catalogue.policy.document.situations}


def _nearest(event_type: str, known: Iterable[str]) -> list[str]:
    """The types that resemble one most: in spelling, whatever the case and the separators."""
    spelt = {name.lower().replace("_", ".").replace("-", "."): name for name in sorted(known)}
    plain = event_type.lower().replace("_", ".").replace("-", ".")
    return [spelt[name] for name in difflib.get_close_matches(plain, spelt, MAX_NEAREST, 0.6)]
