"""What was known of a customer at an instant of the past, from the append-only history. Pure.

The history is the system of record: each change wrote every field that it left different. What a change cannot show is
a version in which nothing differed, so a state found by its version is the newest one at or below it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import msgspec

from schemas.customer import Customer
from schemas.documents import validate
from schemas.facts import Preference
from schemas.recorded import KnownPreference
from schemas.times import Instant
from services.preference.document_form import FIELDS, parts_of
from services.preference.preference_state import State, facts

BLOCKED = "blocked_until"


class Changed(Protocol):
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


def rebuilt(customer: str, changes: Iterable[Changed], version: int | None = None) -> State:
    """The state that these changes, oldest first, led to; `version`: the one that it is known to be.

    Raises DocumentError when a value of then has a form that is refused now.
    """
    fields: dict[str, Any] = {}
    blocked, last = None, 0
    for change in changes:
        if change.field == BLOCKED:
            blocked = change.value
        else:
            fields[change.field] = change.value
        last = change.version
    known = validate(Customer, {"customer": customer, **{name: fields[name] for name in FIELDS if name in fields}})
    parts = {**parts_of(known, FIELDS), "version": last if version is None else version}
    return State(msgspec.structs.replace(Preference(customer), **parts), blocked_until=blocked)


def known(customer: str, changes: Sequence[Changed], since: Instant) -> tuple[KnownPreference, ...]:
    """The state as of `since`, and the one that each later change led to, oldest first. Never empty."""
    first = sum(change.recorded <= since for change in changes)
    found = [KnownPreference(since, facts(rebuilt(customer, changes[:first])))]
    ends = [place for place, (one, next) in enumerate(pairwise(changes), 1) if one.version != next.version]
    for end in [*ends, len(changes)]:
        if end > first:
            last = changes[end - 1]
            state = facts(rebuilt(customer, changes[:end]))
            found.append(KnownPreference(last.recorded, state, last.event_id is not None))
    return tuple(found)
