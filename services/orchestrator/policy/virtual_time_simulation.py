"""The same functions over recorded events in virtual time.

`now` is the event's time, never going back. At one instant events come first, in file order, then due messages by
rank. What is sent is handed over and delivered at once. Memory grows with customers and their open messages, and by
one number for each event, so that a duplicate does nothing.
"""

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from schemas.decision import Decision
from schemas.event import BadEvent, Event
from schemas.facts import Situation
from schemas.ids import event_hash
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import Judged, Planned, decide
from services.orchestrator.policy.horizon import horizon
from services.orchestrator.policy.ledger import Contact, Ledger, raw_id
from services.orchestrator.policy.match import Catalogue, Touch, touches
from services.orchestrator.policy.rank import Rank, rank

_LONG = 64


class Numbers:
    """A set of 64-bit numbers, spread evenly, in at most 32 bytes each."""

    def __init__(self) -> None:
        self._slots = array("q", bytes(8 * 1024))
        self._count = 0

    def __contains__(self, number: int) -> bool:
        return self._slots[self._place(number)] != 0

    def add(self, number: int) -> None:
        """Put a number in, whether it is in or not."""
        place = self._place(number)
        if self._slots[place]:
            return
        self._slots[place] = number or 1
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()

    def _place(self, number: int) -> int:
        """Where the number is, or the free slot where it would be. 0 marks a free slot, so it is kept as 1."""
        slots, last = self._slots, len(self._slots) - 1
        place = number & last
        while (found := slots[place]) and found != (number or 1):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        numbers = self._slots
        self._slots = array("q", bytes(16 * len(numbers)))
        for number in numbers:
            if number:
                self._slots[self._place(number)] = number


class World(Protocol):
    """Everything that events change besides the ledger; owned by other services."""

    def apply(self, event: Event, data: Mapping[str, Any]) -> None:
        """Takes an event in. Raises BadEvent, and changes nothing then, when it cannot be taken."""

    def facts(self, customer: str) -> Facts:
        """The facts as of the events taken in."""

    def reported(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """The contact that an event reports, if it is such an event. Raises BadEvent."""


class Arrived(NamedTuple):
    """An event that came in `at` an instant."""

    at: Instant
    event: Event
    data: Mapping[str, Any]


class Learnt(NamedTuple):
    """The facts of a customer changed `at` an instant, without an event. `learn` changes them in the world."""

    at: Instant
    customer: str
    learn: Callable[[], None]


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    at: Instant
    rank: Rank
    turn: int
    customer: str = field(compare=False)
    message_id: str = field(compare=False)


@dataclass(slots=True)
class _Customer:
    ledger: Ledger = field(default_factory=Ledger.empty)
    waiting: dict[str, tuple[int, Planned]] = field(default_factory=dict)
    """Deferred and parked messages, each with the turn of its entry among the due ones."""


class Simulation:
    """One run. Equal input gives equal decisions in equal order."""

    def __init__(
        self,
        catalogue: Catalogue,
        world: World,
        until: Instant | None = None,
        ledgers: Mapping[str, Ledger] | None = None,
    ) -> None:
        """`ledgers`: the contacts that customers had before the first event."""
        self._catalogue = catalogue
        self._world = world
        self._until = until
        self._horizon = horizon(catalogue.policy, catalogue.campaigns.values())
        self._customers = {name: _Customer(ledger) for name, ledger in (ledgers or {}).items()}
        self._seen = Numbers()
        self._due: list[_Due] = []
        self._turn = 0
        self._now: Instant | None = None
        self._lines: list[Decision] = []
        self.events = self.duplicates = self.refused = 0

    def run(self, events: Iterable[tuple[Event, Mapping[str, Any]]]) -> Iterator[Decision]:
        """The decisions, sorted by (time, message id), ties in order of judging.

        `until` is inclusive; reading stops at the first event whose virtual time is later. Without it, the run ends
        when nothing is due any more.
        """
        return self.replay(Arrived(event.time, event, data) for event, data in events)

    def replay(self, arrivals: Iterable[Arrived | Learnt]) -> Iterator[Decision]:
        """As `run`, but virtual time is that of the arrivals, as they were recorded."""
        for arrival in arrivals:
            at = arrival.at if self._now is None else max(self._now, arrival.at)
            if self._until is not None and at > self._until:
                break
            if self._due and self._due[0].at < at:
                yield from self._pass(at, inclusive=False)
            if self._lines and at != self._now:
                yield from self._flush()
            self._now = at
            if isinstance(arrival, Arrived):
                self._take(arrival.event, arrival.data, at)
            else:
                self._learn(arrival, at)
        yield from self._pass(self._until, inclusive=True)
        yield from self._flush()

    def _pass(self, until: Instant | None, *, inclusive: bool) -> Iterator[Decision]:
        while self._due and (until is None or self._due[0].at < until or (inclusive and self._due[0].at == until)):
            due = heapq.heappop(self._due)
            customer = self._customers[due.customer]
            turn, planned = customer.waiting.get(due.message_id, (-1, None))
            if planned is None or turn != due.turn:
                continue
            if due.at != self._now:
                yield from self._flush()
                self._now = due.at
            del customer.waiting[due.message_id]
            facts = self._world.facts(due.customer)
            self._keep(customer, decide([_again(planned)], facts, customer.ledger, due.at, delivered=True), due.at)

    def _flush(self) -> Iterator[Decision]:
        self._lines.sort(key=lambda line: line.message_id)
        yield from self._lines
        self._lines.clear()

    def _take(self, event: Event, data: Mapping[str, Any], now: Instant) -> None:
        self.events += 1
        name = event.subject
        known = event_hash(f"{name}\0{event.source}", event.id)
        if known in self._seen:
            self.duplicates += 1
            return
        waiting = name in self._customers and bool(self._customers[name].waiting)
        before = self._world.facts(name).suppressions.situations if waiting else ()
        try:
            reported = self._world.reported(event, data)
            self._world.apply(event, data)
        except BadEvent:
            self.refused += 1
            return
        self._seen.add(known)
        if not waiting and reported is None and not self._catalogue.wants(event.type):
            return
        customer = self._customers.setdefault(name, _Customer())
        if reported is not None:
            customer.ledger = customer.ledger.report(reported)
        facts = self._world.facts(name)
        found = touches(event, data, facts.customer, self._catalogue)
        if found:
            self._keep(customer, decide(found, facts, customer.ledger, now, delivered=True), now)
        self._wake(customer, name, ended(before, facts.suppressions.situations), now)

    def _learn(self, change: Learnt, now: Instant) -> None:
        before = self._world.facts(change.customer).suppressions.situations
        change.learn()
        customer = self._customers.get(change.customer)
        if customer is not None and customer.waiting:
            over = ended(before, self._world.facts(change.customer).suppressions.situations)
            self._wake(customer, change.customer, over, now)

    def _wake(self, customer: _Customer, name: str, over: set[tuple[str, str]], now: Instant) -> None:
        for message_id, (_, planned) in list(customer.waiting.items()):
            if planned.parked is not None and over.intersection(planned.parked.situations):
                self._wait(customer, name, message_id, planned, now)

    def _keep(self, customer: _Customer, judged: Judged, now: Instant) -> None:
        self._lines += judged.decisions
        customer.ledger = judged.ledger
        if self._horizon is not None and len(judged.ledger) > _LONG:
            customer.ledger = judged.ledger.forget(now - self._horizon)
        for planned in judged.planned:
            if planned.outcome is Outcome.DEFER:
                at = planned.parked.wake_at if planned.parked is not None else planned.until
                self._wait(customer, planned.touch.event.subject, planned.message_id, planned, at or now)

    def _wait(self, customer: _Customer, name: str, message_id: str, planned: Planned, at: Instant) -> None:
        self._turn += 1
        campaign = planned.touch.campaign
        place = rank(campaign.cls, campaign.priority, planned.since, campaign.key, raw_id(message_id))
        customer.waiting[message_id] = (self._turn, planned)
        heapq.heappush(self._due, _Due(at, place, self._turn, name, message_id))


def ended(before: Iterable[Situation], after: Iterable[Situation]) -> set[tuple[str, str]]:
    """Kind and ref of the situations that were open and are so no more."""
    still = {(each.kind, each.ref, each.opened) for each in after if each.closed is None}
    return {
        (each.kind, each.ref)
        for each in before
        if each.closed is None and (each.kind, each.ref, each.opened) not in still
    }


def _again(planned: Planned) -> Touch:
    """The touch as it is judged again: a choice with all its channels, else this message alone."""
    if planned.touch.campaign.together:
        return replace(planned.touch, since=planned.since, planned={}, channels=(planned.channel,))
    return replace(planned.touch, since=planned.since)
