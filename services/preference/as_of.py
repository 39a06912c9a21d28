"""Rebuilds a customer's preferences as they were known at an instant of the past, from the history. Pure.

The history has a row for every field that a change left different. A version in which no field differed has no row, so
the state of a version is the newest one at or below it.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import msgspec

from schemas.customer import Customer
from schemas.documents import validate_document
from schemas.facts import Preference, Quarantine
from schemas.quarantine import unknown_record
from schemas.recorded import PreferenceSnapshot
from schemas.times import Instant
from services.preference.document_form import FIELDS, fact_fields
from services.preference.preference_state import PreferenceState, as_listed, to_facts

QUARANTINE_FIELD = "quarantines"
"""No field of the document: the history tells under this name when a quarantine begins and ends."""
BLOCKED_FIELD = "blocked_until"
"""What it was before there were quarantines."""
_TEXT_FIELDS = ("locale", "country", "zone")
"""Kept as they were: what was taken for a country or a zone then may be refused today."""


class RecordedChange(Protocol):
    """The value of one field after one change, as JSON of the document."""

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


def rebuild_state(
    customer: str, changes: Iterable[RecordedChange], version: int | None = None, region: str | None = None
) -> PreferenceState:
    """The state after these changes, oldest first. `version`: the version it has, when that is known. `region`: the
    organisation's country.

    Raises DocumentError when a value that was valid then is refused now.
    """
    fields: dict[str, Any] = {}
    quarantines: tuple[Quarantine, ...] = ()
    last = 0
    for change in changes:
        if change.field == QUARANTINE_FIELD:
            quarantines = msgspec.convert(change.value, tuple[Quarantine, ...])
        elif change.field == BLOCKED_FIELD:
            quarantines = () if change.value is None else (unknown_record(change.recorded, change.value),)
        else:
            fields[change.field] = change.value
        last = change.version
    checked = {name: fields[name] for name in FIELDS if name in fields and name not in _TEXT_FIELDS}
    parts = fact_fields(validate_document(Customer, {"customer": customer, **checked}), FIELDS)
    parts |= {name: fields[name] for name in _TEXT_FIELDS if name in fields}
    parts |= {"version": last if version is None else version, "quarantines": quarantines}
    return as_listed(msgspec.structs.replace(Preference(customer), **parts), region)


def rebuild_known_states(
    customer: str, changes: Sequence[RecordedChange], since: Instant, region: str | None = None
) -> tuple[PreferenceSnapshot, ...]:
    """The state as of `since`, and after each later change, oldest first. Never empty."""
    first = sum(change.recorded <= since for change in changes)
    snapshots = [PreferenceSnapshot(since, to_facts(rebuild_state(customer, changes[:first], region=region)))]
    ends = [
        index for index, (current, following) in enumerate(pairwise(changes), 1) if current.version != following.version
    ]
    for end in [*ends, len(changes)]:
        if end > first:
            last = changes[end - 1]
            state = to_facts(rebuild_state(customer, changes[:end], region=region))
            snapshots.append(PreferenceSnapshot(last.recorded, state, last.event_id is not None))
    return tuple(snapshots)
