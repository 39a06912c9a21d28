"""Recorded traffic: events as received, and facts as the services knew them at the time.

A folder contains `events.jsonl`, `customers.jsonl` (schemas.recorded), `ledgers.jsonl` and `holds.json`.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from schemas.event import Event, InvalidEvent, decode_event
from schemas.facts import HoldFact, Preference
from schemas.own_events import CheckedData, check_event
from schemas.recorded import CustomerHistory, HoldPeriod, PreferenceSnapshot, SuppressionsSnapshot
from schemas.times import SECOND, Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.decisions.reported_contact import read_reported_contact
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.recorded_facts import reindex_address_entries
from services.orchestrator.policy.virtual_time_simulation import FactsChange, SimulatedEvent

FENCE_WAIT = 2 * SECOND
"""How long before its recording a change caused by an event counts: decisions wait that long for earlier events."""

StructT = TypeVar("StructT", bound=msgspec.Struct)
KnownStates = Sequence[PreferenceSnapshot | SuppressionsSnapshot]


class EventLine(msgspec.Struct, frozen=True):
    """An event as structured JSON, and when it was received."""

    at: Instant
    event: msgspec.Raw


class LedgerLine(msgspec.Struct, frozen=True):
    """A customer's packed ledger at the start."""

    customer: str
    ledger: bytes


class RecordedFactsSource:
    """The facts of customers as recorded. Events change nothing here, because their effects are recorded too."""

    def __init__(
        self, policy: CompiledPolicy, customers: Sequence[CustomerHistory], holds: Iterable[HoldPeriod]
    ) -> None:
        self._policy = policy
        self._holds = tuple(hold for each in holds if (hold := _hold_while_known(each)) is not None)
        self._recorded = {each.customer: each for each in customers}
        self._preferences = {each.customer: each.preferences[0].facts for each in customers}
        self._suppressions = {each.customer: each.suppressions[0].facts for each in customers}
        self._facts: dict[str, Facts] = {}

    def facts_changes(self) -> list[FactsChange]:
        """Yields what became known later, in order."""
        changes: list[FactsChange] = []
        for customer, recorded in self._recorded.items():
            both: tuple[tuple[KnownStates, dict[str, Any]], ...] = (
                (recorded.preferences, self._preferences),
                (recorded.suppressions, self._suppressions),
            )
            for states, facts_by_customer in both:
                changes += [
                    FactsChange(at, customer, partial(self._set_facts, facts_by_customer, customer, state.facts))
                    for at, state in zip(_effective_instants(states[1:]), states[1:], strict=True)
                ]
        return sorted(changes, key=attrgetter("at"))

    def _set_facts(self, facts_by_customer: dict[str, Any], customer: str, facts: object) -> None:
        facts_by_customer[customer] = facts
        self._facts.pop(customer, None)

    def apply_event(self, event: Event, data: Mapping[str, Any], at: Instant) -> CheckedData:
        """Does nothing: see `facts_changes`."""
        return CheckedData(data)

    def facts_of(self, customer: str) -> Facts:
        """Returns the facts as of the changes applied so far."""
        facts = self._facts.get(customer)
        if facts is None:
            preference: Preference = self._preferences[customer]
            suppressions = reindex_address_entries(
                self._suppressions[customer], self._recorded[customer].asked, preference
            )
            facts = Facts(preference, suppressions, self._holds, self._policy, frozenset(CHANNELS))
            self._facts[customer] = facts
        return facts

    def read_reported_contact(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """Returns the contact that another tool reports."""
        return read_reported_contact(event, data)


class ReceivedEvents:
    """The recorded events in order of arrival. `unreadable`: how many were left out so far, because today's checks
    refuse what an earlier version took.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        self.unreadable = 0

    def __iter__(self) -> Iterator[SimulatedEvent]:
        for line in read_structs(self._path, EventLine):
            try:
                event = decode_event(bytes(line.event))
            except InvalidEvent:
                self.unreadable += 1
                continue
            checked = check_event(event)
            if checked.refused:
                self.unreadable += 1
            else:
                yield SimulatedEvent(line.at, event, checked.data)


def merge_arrivals(
    facts_source: RecordedFactsSource, events: Iterable[SimulatedEvent]
) -> Iterator[SimulatedEvent | FactsChange]:
    """Yields everything that happened, in order; at one instant changes of facts come first."""
    return heapq.merge(facts_source.facts_changes(), events, key=attrgetter("at"))


def read_ledgers(folder: Path) -> dict[str, Ledger]:
    """Reads the customers' ledgers at the start."""
    return {line.customer: Ledger.unpack(line.ledger) for line in read_structs(folder / "ledgers.jsonl", LedgerLine)}


def read_structs(path: Path, struct_type: type[StructT]) -> Iterator[StructT]:
    """Reads each line of a file as a struct."""
    decode = msgspec.json.Decoder(struct_type).decode
    with path.open("rb") as file:
        yield from map(decode, file)


def _effective_instants(states: KnownStates) -> list[Instant]:
    """Returns when each state counts from; none later than the one that follows it."""
    instants = [state.at - FENCE_WAIT if state.by_event else state.at for state in states]
    for index in range(len(instants) - 2, -1, -1):
        instants[index] = min(instants[index], instants[index + 1])
    return instants


def _hold_while_known(recorded: HoldPeriod) -> HoldFact | None:
    """Returns the hold limited to the time during which it was known, or None if it never was."""
    hold = recorded.hold
    start = max(hold.start, recorded.placed)
    ends = [end for end in (hold.until, recorded.ended) if end is not None]
    until = min(ends, default=None)
    if until is not None and until <= start:
        return None
    return msgspec.structs.replace(hold, start=start, until=until)
