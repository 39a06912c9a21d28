"""What was known of a customer at an instant of the past, from the append-only history. Pure.

The history is the system of record: each change wrote every field that it left different. What a change cannot show is
a version in which nothing differed, so a state found by its version is the newest one at or below it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import msgspec

from schemas.customer import Customer
from schemas.documents import validate_document
from schemas.facts import Preference
from schemas.recorded import PreferenceSnapshot
from schemas.times import Instant
from services.preference.document_form import FIELDS, fact_fields
from services.preference.preference_state import PreferenceState, to_facts

BLOCKED_FIELD = "blocked_until"


class RecordedChange(Protocol):
    """One field as one change left it; `value` is the JSON of its document form."""

    @property
    def version(self) -> int: ...
    @property
    def field(self) -> str: ...
    @property
    def value(self) -> Any: ...
    @property
    def recorded(self) -> Instant: ...
    @property
    def event_id(self) -> str | None: ...


def rebuild_state(customer: str, changes: Iterable[RecordedChange], version: int | None = None) -> PreferenceState:
    """The state that these changes, oldest first, led to; `version`: the one that it is known to be.

    Raises DocumentError when a value of then has a form that is refused now.
    """
    fields: dict[str, Any] = {}
    blocked_until, last = None, 0
    for change in changes:
        if change.field == BLOCKED_FIELD:
            blocked_until = change.value
        else:
            fields[change.field] = change.value
        last = change.version
    known = validate_document(
        Customer, {"customer": customer, **{name: fields[name] for name in FIELDS if name in fields}}
    )
    parts = {**fact_fields(known, FIELDS), "version": last if version is None else version}
    return PreferenceState(msgspec.structs.replace(Preference(customer), **parts), blocked_until=blocked_until)


def rebuild_known_states(
    customer: str, changes: Sequence[RecordedChange], since: Instant
) -> tuple[PreferenceSnapshot, ...]:
    """The state as of `since`, and the one that each later change led to, oldest first. Never empty."""
    first = sum(change.recorded <= since for change in changes)
    found = [PreferenceSnapshot(since, to_facts(rebuild_state(customer, changes[:first])))]
    ends = [
        index for index, (current, following) in enumerate(pairwise(changes), 1) if current.version != following.version
    ]
    for end in [*ends, len(changes)]:
        if end > first:
            last = changes[end - 1]
            state = to_facts(rebuild_state(customer, changes[:end]))
            found.append(PreferenceSnapshot(last.recorded, state, last.event_id is not None))
    return tuple(found)
