"""What spoke against speaking to a customer at an instant of the past, from the append-only history. Pure.

The history is read as a list of changes in order; the facts of an instant are the fold of all that were recorded by
then. At one instant the order is: entries, situations in order of arrival, quarantine, holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec

from schemas.facts import Entry, HoldFact, Situation, Suppressions
from schemas.recorded import KnownSuppressions
from schemas.times import Instant

Action = Literal["add", "remove", "open", "close", "quarantine", "place", "end"]


class Past(msgspec.Struct, frozen=True):
    """Facts about one customer, and everybody's holds, as they were known from `at` on."""

    at: Instant
    customer: Suppressions
    holds: tuple[HoldFact, ...] = ()
    by_event: bool = False


class Change(NamedTuple):
    """One step of the history: what became known or ceased `at` an instant; `id` tells what it is about."""

    at: Instant
    action: Action
    id: str
    fact: Entry | Situation | HoldFact | None = None
    by_event: bool = False


def standing(customer: str, changes: Sequence[Change], since: Instant, until: Instant) -> tuple[Past, ...]:
    """The facts as of `since`, and after each later change until `until` inclusive, in order. Never empty."""
    ordered = sorted(changes, key=attrgetter("at"))
    known = _Known(customer)
    first = sum(change.at <= since for change in ordered)
    for change in ordered[:first]:
        known.take(change)
    found = [known.facts(since)]
    for change in ordered[first:]:
        if change.at > until:
            break
        known.take(change)
        found.append(msgspec.structs.replace(known.facts(change.at), by_event=change.by_event))
    return tuple(found)


def states(customer: str, changes: Sequence[Change], since: Instant, until: Instant) -> tuple[KnownSuppressions, ...]:
    """As `standing`, of the customer alone."""
    found = standing(customer, changes, since, until)
    return tuple(KnownSuppressions(past.at, past.customer, past.by_event) for past in found)


class _Known:
    """What is known after some changes."""

    def __init__(self, customer: str) -> None:
        self._customer = customer
        self._entries: dict[str, Entry] = {}
        self._situations: list[Situation] = []
        self._quarantine: tuple[HoldFact, ...] = ()
        self._holds: dict[str, HoldFact] = {}

    def take(self, change: Change) -> None:
        """Apply the change."""
        match change.action, change.fact:
            case "add", Entry() as entry:
                self._entries[change.id] = entry
            case "remove", _:
                self._entries.pop(change.id, None)
            case "open", Situation() as situation:
                self._situations.append(situation)
            case "close", Situation() as closed:
                self._close(closed)
            case "quarantine", HoldFact() as hold:
                self._quarantine = (hold,)
            case "place", HoldFact() as hold:
                self._holds[change.id] = hold
            case "end", _:
                self._holds.pop(change.id, None)

    def _close(self, closed: Situation) -> None:
        """Close the last interval of that kind and ref: nothing else can have been open."""
        for place in range(len(self._situations) - 1, -1, -1):
            found = self._situations[place]
            if (found.kind, found.ref) == (closed.kind, closed.ref):
                self._situations[place] = msgspec.structs.replace(found, closed=closed.closed)
                return

    def facts(self, at: Instant) -> Past:
        """As answered at `at`: the customer's own entries first, then those of addresses."""
        own = [entry for entry in self._entries.values() if entry.address is None]
        of_addresses = [entry for entry in self._entries.values() if entry.address is not None]
        return Past(
            at,
            Suppressions(
                customer=self._customer,
                entries=(*own, *of_addresses),
                situations=tuple(self._situations),
                holds=self._quarantine,
            ),
            tuple(sorted(self._holds.values(), key=attrgetter("key"))),
        )


def span(change: Change, end: Instant | None, by: Action) -> Iterator[Change]:
    """A change, and the one that took it back, if any."""
    yield change
    if end is not None:
        yield Change(end, by, change.id)


def in_order(*parts: Iterable[Change]) -> list[Change]:
    """The parts one after the other; changes of one instant stay in that order."""
    return [change for part in parts for change in part]
