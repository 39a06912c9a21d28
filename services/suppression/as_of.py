"""Rebuilds a customer's suppressions as they were known at an instant of the past, from the history. Pure.

The facts as of an instant are the fold of all changes recorded by then. Changes of the same instant apply in the order:
entries, situations in order of arrival, quarantine, holds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec

from schemas.facts import HoldFact, Quarantine, Situation, SuppressionEntry, Suppressions
from schemas.quarantine import begin_quarantine, end_quarantine, position_of
from schemas.recorded import SuppressionsAsOf, SuppressionsSnapshot
from schemas.times import Instant

ChangeAction = Literal["add", "remove", "open", "close", "correct", "withdraw", "quarantine", "release", "place", "end"]


class SuppressionChange(NamedTuple):
    """One change in the history, recorded `at` an instant. `id` identifies the entry, situation or hold."""

    at: Instant
    action: ChangeAction
    id: str
    fact: SuppressionEntry | Situation | Quarantine | HoldFact | None = None
    by_event: bool = False


def rebuild_facts(
    customer: str, changes: Sequence[SuppressionChange], since: Instant, until: Instant
) -> tuple[SuppressionsAsOf, ...]:
    """The facts as of `since`, and after each later change until `until` inclusive, in order. Never empty."""
    ordered = sorted(changes, key=attrgetter("at"))
    known = _FactsBuilder(customer)
    first = sum(change.at <= since for change in ordered)
    for change in ordered[:first]:
        known.apply_change(change)
    snapshots = [known.as_of(since)]
    for change in ordered[first:]:
        if change.at > until:
            break
        known.apply_change(change)
        snapshots.append(msgspec.structs.replace(known.as_of(change.at), by_event=change.by_event))
    return tuple(snapshots)


def rebuild_known_suppressions(
    customer: str, changes: Sequence[SuppressionChange], since: Instant, until: Instant
) -> tuple[SuppressionsSnapshot, ...]:
    """As `rebuild_facts`, without the holds that concern everybody."""
    snapshots = rebuild_facts(customer, changes, since, until)
    return tuple(SuppressionsSnapshot(past.at, past.customer, past.by_event) for past in snapshots)


class _FactsBuilder:
    """The facts that the changes applied so far have led to."""

    def __init__(self, customer: str) -> None:
        self._customer = customer
        self._entries: dict[str, SuppressionEntry] = {}
        self._situations: list[Situation] = []
        self._quarantines: tuple[Quarantine, ...] = ()
        self._holds: dict[str, HoldFact] = {}

    def apply_change(self, change: SuppressionChange) -> None:
        """Apply the change."""
        match change.action, change.fact:
            case "add", SuppressionEntry() as entry:
                self._entries[change.id] = entry
            case "remove", _:
                self._entries.pop(change.id, None)
            case "open", Situation() as situation:
                self._situations.append(situation)
            case "close", Situation() as closed:
                self._replace_situation(closed, lambda known: (msgspec.structs.replace(known, closed=closed.closed),))
            case "correct", Situation() as corrected:
                self._replace_situation(corrected, lambda _: (corrected,))
            case "withdraw", Situation() as withdrawn:
                self._replace_situation(withdrawn, lambda _: ())
            case "quarantine", Quarantine() as begun:
                self._quarantines = begin_quarantine(self._quarantines, position_of(begun), begun.start)
            case "release", _:
                topic, partition, offset = change.id.rsplit("/", 2)
                self._quarantines = end_quarantine(self._quarantines, (topic, int(partition), int(offset)))
            case "place", HoldFact() as hold:
                self._holds[change.id] = hold
            case "end", _:
                self._holds.pop(change.id, None)

    def _replace_situation(self, changed: Situation, replacement: Callable[[Situation], tuple[Situation, ...]]) -> None:
        """Replace the last interval of that kind and ref: no earlier one can be open, or is ever corrected."""
        for index in range(len(self._situations) - 1, -1, -1):
            interval = self._situations[index]
            if (interval.kind, interval.ref) == (changed.kind, changed.ref):
                self._situations[index : index + 1] = replacement(interval)
                return

    def as_of(self, at: Instant) -> SuppressionsAsOf:
        """The facts as of `at`, ordered as live ones: the customer's entries first, then those of addresses."""
        own = [entry for entry in self._entries.values() if entry.address is None]
        of_addresses = [entry for entry in self._entries.values() if entry.address is not None]
        return SuppressionsAsOf(
            at,
            Suppressions(
                customer=self._customer,
                entries=(*own, *of_addresses),
                situations=tuple(self._situations),
                quarantines=self._quarantines,
            ),
            tuple(sorted(self._holds.values(), key=attrgetter("key"))),
        )


def with_end(change: SuppressionChange, end: Instant | None, end_action: ChangeAction) -> Iterator[SuppressionChange]:
    """A change, and the one that ended it, if any."""
    yield change
    if end is not None:
        yield SuppressionChange(end, end_action, change.id)


def concatenate(*parts: Iterable[SuppressionChange]) -> list[SuppressionChange]:
    """The parts one after the other; a stable sort by time keeps this order within an instant."""
    return [change for part in parts for change in part]
