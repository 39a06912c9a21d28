"""Simulates recorded events in virtual time with the production functions.

Virtual time is the event's time and never goes back. At one instant events come first, in file order, then due messages
by rank. Sent messages count as handed over at once, and are confirmed after a given time, or never, for campaigns that
fall back. Memory grows with customers and their open messages, and by one number per event, by which duplicates are
ignored.
"""

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from schemas.decision import Decision
from schemas.event import Event
from schemas.facts import Situation
from schemas.own_events import CheckedData, EventProblem
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import DecideResult, PlannedMessage, decide
from services.orchestrator.policy.fallback_progress import FallbackProgress, TriedChannel, TriedState
from services.orchestrator.policy.horizon import look_back_span, trim_ledger
from services.orchestrator.policy.ledger import Contact, Ledger, message_id_bytes
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign, match_campaigns
from services.orchestrator.policy.rank import Rank, make_rank

MAX_NAMED_EVENTS = 100
"""Of so many events with problems the problems are kept; of all, the number."""


class Int64Set:
    """A set of 64-bit hashes in at most 32 bytes each."""

    def __init__(self) -> None:
        self._slots = array("q", bytes(8 * 1024))
        self._count = 0

    def __contains__(self, number: int) -> bool:
        return self.find_place(number) is None

    def add(self, number: int) -> None:
        """Adds a number."""
        place = self.find_place(number)
        if place is not None:
            self.put(place, number)

    def find_place(self, number: int) -> int | None:
        """Returns where `put` may put the number before anything else is added, or None if it is in the set."""
        index = self._index_of(number)
        return None if self._slots[index] else index

    def put(self, place: int, number: int) -> None:
        """Adds a number that is not in the set, at its place."""
        self._slots[place] = number or 1
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()

    def _index_of(self, number: int) -> int:
        """Returns the index of the number, or of the free slot for it. 0 marks a free slot, so the number 0 is stored
        as 1.
        """
        slots, last = self._slots, len(self._slots) - 1
        index = number & last
        while (stored := slots[index]) and stored != (number or 1):
            index = (index + 1) & last
        return index

    def _grow(self) -> None:
        numbers = self._slots
        self._slots = array("q", bytes(16 * len(numbers)))
        for number in numbers:
            if number:
                self._slots[self._index_of(number)] = number


class FactsSource(Protocol):
    """The facts that events change, besides the ledger; owned by preference and suppression."""

    def apply_event(self, event: Event, data: Mapping[str, Any], at: Instant) -> CheckedData:
        """Applies the good parts of an event that arrives at `at`; returns what its check has found."""

    def facts_of(self, customer: str) -> Facts:
        """Returns the customer's facts as of the events applied so far."""

    def read_reported_contact(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """Returns the contact that an event reports, or None."""


class SimulatedEvent(msgspec.Struct, frozen=True):
    """An event and the instant at which it arrived. `number`: of its line in the file."""

    at: Instant
    event: Event
    data: Mapping[str, Any]
    number: int = 0


class RefusedParts(NamedTuple):
    """An event of which parts could not be applied, and what is wrong with them."""

    source: str
    id: str
    type: str
    problems: tuple[EventProblem, ...]
    number: int = 0


class FactsChange(NamedTuple):
    """A change of a customer's facts at an instant, without an event. `apply` makes the change."""

    at: Instant
    customer: str
    apply: Callable[[], None]


class TimePassed(NamedTuple):
    """An event of a customer who is simulated elsewhere: it moves the time."""

    at: Instant


class _DueMessage(NamedTuple):
    """A tuple, because the heap compares tens of them for each entry. No two have one `sequence`."""

    at: Instant
    rank: Rank
    sequence: int
    customer: str
    message_id: str


ChoiceKey = tuple[int, str]
"""The hash of an event and the key of a campaign."""


@dataclass(slots=True)
class _Choice:
    """What a campaign that falls back has tried for one event: when each channel was handed over."""

    handed_over: dict[str, Instant] = field(default_factory=dict)
    first_planned: Instant | None = None


@dataclass(slots=True)
class _CustomerState:
    ledger: Ledger = field(default_factory=Ledger.empty)
    waiting: dict[str, tuple[int, PlannedMessage]] = field(default_factory=dict)
    choices: dict[ChoiceKey, _Choice] = field(default_factory=dict)
    """A customer's ledger, their deferred and parked messages with the turn of their entry in the due queue, and the
    choices among channels of campaigns that fall back, while messages of them wait.
    """


class Simulator:
    """One simulation run. Equal input gives equal decisions in equal order."""

    def __init__(
        self,
        catalogue: Catalogue,
        facts_source: FactsSource,
        until: Instant | None = None,
        ledgers: Mapping[str, Ledger] | None = None,
        confirm_after: int | None = 0,
    ) -> None:
        """`ledgers`: the contacts that customers had before the first event. `confirm_after`: how long after its
        handover a message is confirmed to have arrived; None if none ever is.
        """
        self._catalogue = catalogue
        self._facts_source = facts_source
        self._until = until
        self._confirm_after = confirm_after
        self._look_back = look_back_span(catalogue.policy, catalogue.campaigns.values())
        self._customers = {customer_id: _CustomerState(ledger) for customer_id, ledger in (ledgers or {}).items()}
        self._seen = Int64Set()
        self._due: list[_DueMessage] = []
        self._sequence = 0
        self._now: Instant | None = None
        self._decisions: list[Decision] = []
        self.events = self.duplicates = self.refused = 0
        self.problems: list[RefusedParts] = []

    def replay_arrivals(self, arrivals: Iterable[SimulatedEvent | FactsChange | TimePassed]) -> Iterator[Decision]:
        """Yields the decisions, sorted by (time, message id), ties in order of evaluation.

        `until` is inclusive; reading stops at the first arrival with a later virtual time. Without it, the run ends
        when nothing is due any more.
        """
        for arrival in arrivals:
            at = arrival.at if self._now is None else max(self._now, arrival.at)
            if self._until is not None and at > self._until:
                break
            if self._due and self._due[0].at < at:
                yield from self._decide_due(at, inclusive=False)
            if self._decisions and at != self._now:
                yield from self._flush()
            self._now = at
            if isinstance(arrival, SimulatedEvent):
                self._process_event(arrival, at)
            elif isinstance(arrival, FactsChange):
                self._apply_facts_change(arrival, at)
        yield from self._decide_due(self._until, inclusive=True)
        yield from self._flush()

    def _decide_due(self, until: Instant | None, *, inclusive: bool) -> Iterator[Decision]:
        while self._due and (until is None or self._due[0].at < until or (inclusive and self._due[0].at == until)):
            due = heapq.heappop(self._due)
            customer = self._customers[due.customer]
            sequence, planned = customer.waiting.get(due.message_id, (-1, None))
            if planned is None or sequence != due.sequence:
                continue
            if due.at != self._now:
                yield from self._flush()
                self._now = due.at
            del customer.waiting[due.message_id]
            facts, triggered = self._facts_source.facts_of(due.customer), _for_reevaluation(planned)
            if triggered.falls_back:
                triggered = self._take_choice(customer, triggered, due.at)
            self._apply_result(
                customer, decide([triggered], facts, customer.ledger, due.at, count_sent_as_made=True), due.at
            )
            if triggered.falls_back:
                _forget_settled(customer, _choice_key(triggered))

    def _flush(self) -> Iterator[Decision]:
        self._decisions.sort(key=lambda decision: decision.message_id)
        yield from self._decisions
        self._decisions.clear()

    def _process_event(self, arrival: SimulatedEvent, now: Instant) -> None:
        event, data = arrival.event, arrival.data
        self.events += 1
        customer_id = event.subject
        event_number = hash((customer_id, event.source, event.id))  # 64 bits of SipHash, which no sender can aim at
        place = self._seen.find_place(event_number)
        if place is None:
            self.duplicates += 1
            return
        customer = self._customers.get(customer_id)
        waiting = customer is not None and bool(customer.waiting)
        before = self._facts_source.facts_of(customer_id).suppressions.situations if waiting else ()
        checked = self._facts_source.apply_event(event, data, now)
        if checked.problems:
            self.refused += 1
            self._note_problems(event, checked.problems, arrival.number)
        if checked.refused:
            return
        self._seen.put(place, event_number)
        reported = self._facts_source.read_reported_contact(event, data)
        if not waiting and reported is None and not self._catalogue.is_triggered_by(event.type):
            return
        if customer is None:
            customer = self._customers[customer_id] = _CustomerState()
        if reported is not None:
            customer.ledger = customer.ledger.put_reported_contact(reported)
        facts = self._facts_source.facts_of(customer_id)
        triggered = match_campaigns(event, data, facts.customer_values, self._catalogue)
        if triggered:
            self._apply_result(customer, decide(triggered, facts, customer.ledger, now, count_sent_as_made=True), now)
            for each in triggered:
                if each.falls_back:
                    _forget_settled(customer, _choice_key(each))
        self._wake_parked(customer, customer_id, closed_situations(before, facts.suppressions.situations), now)

    def _note_problems(self, event: Event, problems: tuple[EventProblem, ...], number: int) -> None:
        if len(self.problems) < MAX_NAMED_EVENTS:
            self.problems.append(RefusedParts(event.source, event.id, event.type, problems, number))

    def _apply_facts_change(self, change: FactsChange, now: Instant) -> None:
        before = self._facts_source.facts_of(change.customer).suppressions.situations
        change.apply()
        customer = self._customers.get(change.customer)
        if customer is not None and customer.waiting:
            closed = closed_situations(before, self._facts_source.facts_of(change.customer).suppressions.situations)
            self._wake_parked(customer, change.customer, closed, now)

    def _wake_parked(
        self, customer: _CustomerState, customer_id: str, closed: set[tuple[str, str]], now: Instant
    ) -> None:
        for message_id, (_, planned) in list(customer.waiting.items()):
            if planned.parked is not None and closed.intersection(planned.parked.situations):
                self._schedule(customer, customer_id, message_id, planned, now)

    def _apply_result(self, customer: _CustomerState, result: DecideResult, now: Instant) -> None:
        self._decisions += result.decisions
        customer.ledger = result.ledger
        if self._look_back is not None:
            customer.ledger = trim_ledger(result.ledger, now - self._look_back)
        for planned in result.planned:
            if planned.triggered.falls_back:
                self._note_choice(customer, planned, now)
        for planned in result.planned:
            if planned.outcome is Outcome.DEFER:
                at = planned.parked.wake_at if planned.parked is not None else planned.until
                if planned.triggered.falls_back:
                    at = self._wake_time(customer, planned, at or now, now)
                self._schedule(customer, planned.triggered.event.subject, planned.message_id, planned, at or now)

    def _note_choice(self, customer: _CustomerState, planned: PlannedMessage, now: Instant) -> None:
        choice = customer.choices.setdefault(_choice_key(planned.triggered), _Choice())
        choice.first_planned = planned.first_planned if choice.first_planned is None else choice.first_planned
        if planned.outcome is Outcome.SEND:
            choice.handed_over[planned.channel] = now

    def _wake_time(self, customer: _CustomerState, planned: PlannedMessage, at: Instant, now: Instant) -> Instant:
        """When a waiting message is due: at `at`, or once another channel is confirmed."""
        if self._confirm_after is None:
            return at
        handed_over = customer.choices[_choice_key(planned.triggered)].handed_over.values()
        confirmed = [each + self._confirm_after for each in handed_over]
        return min([at, *(each for each in confirmed if each >= now)])

    def _take_choice(self, customer: _CustomerState, triggered: TriggeredCampaign, now: Instant) -> TriggeredCampaign:
        """The triggered campaign with what became of the channels that were tried. None of its messages waits on."""
        key = _choice_key(triggered)
        for message_id, (_, planned) in list(customer.waiting.items()):
            if _choice_key(planned.triggered) == key:
                del customer.waiting[message_id]
        choice = customer.choices[key]
        tried = {
            channel: TriedChannel(self._state_after(now - at), at) for channel, at in sorted(choice.handed_over.items())
        }
        progress = FallbackProgress(tried, choice.first_planned)
        return replace(triggered, first_planned=choice.first_planned, progress=progress)

    def _state_after(self, time: int) -> TriedState:
        confirmed = self._confirm_after is not None and time >= self._confirm_after
        return TriedState.CONFIRMED if confirmed else TriedState.HANDED_OVER

    def _schedule(
        self, customer: _CustomerState, customer_id: str, message_id: str, planned: PlannedMessage, at: Instant
    ) -> None:
        self._sequence += 1
        campaign = planned.triggered.campaign
        rank = make_rank(
            campaign.cls, campaign.priority, planned.first_planned, campaign.key, message_id_bytes(message_id)
        )
        customer.waiting[message_id] = (self._sequence, planned)
        heapq.heappush(self._due, _DueMessage(at, rank, self._sequence, customer_id, message_id))


def _choice_key(triggered: TriggeredCampaign) -> ChoiceKey:
    return triggered.event_hash, triggered.campaign.key


def _forget_settled(customer: _CustomerState, key: ChoiceKey) -> None:
    """Forgets a choice for which nothing waits any more."""
    if all(_choice_key(planned.triggered) != key for _, planned in customer.waiting.values()):
        customer.choices.pop(key, None)


def closed_situations(before: Iterable[Situation], after: Iterable[Situation]) -> set[tuple[str, str]]:
    """Returns kind and ref of the situations that were open before and no longer are."""
    still_open = {(each.kind, each.ref, each.opened) for each in after if each.closed is None}
    return {
        (each.kind, each.ref)
        for each in before
        if each.closed is None and (each.kind, each.ref, each.opened) not in still_open
    }


def _for_reevaluation(planned: PlannedMessage) -> TriggeredCampaign:
    """Returns the triggered campaign for re-evaluation: a choice with all its channels, otherwise this message only."""
    if planned.triggered.campaign.sends_on_all_channels:
        return replace(
            planned.triggered,
            first_planned=planned.first_planned,
            first_planned_by_channel={},
            channels=(planned.channel,),
        )
    return replace(planned.triggered, first_planned=planned.first_planned)
