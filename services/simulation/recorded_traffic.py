"""Recorded traffic: events as they came in, and facts as the services knew them at the time.

A folder holds it: `events.jsonl`, `customers.jsonl` (schemas.recorded), `ledgers.jsonl`, `holds.json`.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from schemas.event import BadEvent, Event, data_of, decode_structured
from schemas.facts import HoldFact, Preference
from schemas.recorded import KnownPreference, KnownSuppressions, Recorded, RecordedHold
from schemas.times import SECOND, Instant
from schemas.vocabulary import CHANNELS
from services.orchestrator.decisions.reported_contact import REPORTED, reported_contact
from services.orchestrator.policy.compiled_policy import Policy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.recorded_facts import of_addresses
from services.orchestrator.policy.virtual_time_simulation import Arrived, Learnt

FENCE = 2 * SECOND
"""What an event changed is known this much before it was recorded: decisions wait that long for earlier events."""

Form = TypeVar("Form", bound=msgspec.Struct)
States = Sequence[KnownPreference | KnownSuppressions]


class EventLine(msgspec.Struct, frozen=True):
    """An event, as structured JSON, and when it was received."""

    at: Instant
    event: msgspec.Raw


class LedgerLine(msgspec.Struct, frozen=True):
    """A customer's packed ledger at the start."""

    customer: str
    ledger: bytes


class RecordedWorld:
    """The facts of customers as they were recorded. Events change nothing here: what they changed is recorded too."""

    def __init__(self, policy: Policy, customers: Sequence[Recorded], holds: Iterable[RecordedHold]) -> None:
        self._policy = policy
        self._holds = tuple(hold for each in holds if (hold := _as_known(each)) is not None)
        self._known = {each.customer: each for each in customers}
        self._preferences = {each.customer: each.preferences[0].facts for each in customers}
        self._suppressions = {each.customer: each.suppressions[0].facts for each in customers}
        self._facts: dict[str, Facts] = {}

    def changes(self) -> list[Learnt]:
        """What became known later, in order."""
        found: list[Learnt] = []
        for customer, recorded in self._known.items():
            both: tuple[tuple[States, dict[str, Any]], ...] = (
                (recorded.preferences, self._preferences),
                (recorded.suppressions, self._suppressions),
            )
            for states, kept in both:
                found += [
                    Learnt(at, customer, partial(self._learn, kept, customer, state.facts))
                    for at, state in zip(_instants(states[1:]), states[1:], strict=True)
                ]
        return sorted(found, key=attrgetter("at"))

    def _learn(self, kept: dict[str, Any], customer: str, facts: object) -> None:
        kept[customer] = facts
        self._facts.pop(customer, None)

    def apply(self, event: Event, data: Mapping[str, Any]) -> None:
        """Nothing: see `changes`."""

    def facts(self, customer: str) -> Facts:
        """The facts as of the changes that have been learnt."""
        found = self._facts.get(customer)
        if found is None:
            chosen: Preference = self._preferences[customer]
            against = of_addresses(self._suppressions[customer], self._known[customer].asked, chosen)
            found = Facts(chosen, against, self._holds, self._policy, frozenset(CHANNELS))
            self._facts[customer] = found
        return found

    def reported(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        """The contact that another tool reports. Raises BadEvent."""
        return reported_contact(event, data) if event.type == REPORTED else None


def arrivals(folder: Path, world: RecordedWorld) -> Iterator[Arrived | Learnt]:
    """Everything that happened, in order; at one instant the changes of facts come first."""
    return heapq.merge(world.changes(), events(folder), key=attrgetter("at"))


def events(folder: Path) -> Iterator[Arrived]:
    """The events in order of arrival; one that can not be read any more is left out."""
    for line in lines(folder / "events.jsonl", EventLine):
        try:
            event = decode_structured(bytes(line.event))
            yield Arrived(line.at, event, data_of(event))
        except BadEvent:
            continue


def ledgers(folder: Path) -> dict[str, Ledger]:
    """The contacts of customers at the start."""
    return {line.customer: Ledger.unpack(line.ledger) for line in lines(folder / "ledgers.jsonl", LedgerLine)}


def lines(path: Path, form: type[Form]) -> Iterator[Form]:
    """Each line of a file in its form."""
    decode = msgspec.json.Decoder(form).decode
    with path.open("rb") as file:
        yield from map(decode, file)


def _instants(states: States) -> list[Instant]:
    """When each state counts; none later than one that follows it."""
    found = [state.at - FENCE if state.by_event else state.at for state in states]
    for place in range(len(found) - 2, -1, -1):
        found[place] = min(found[place], found[place + 1])
    return found


def _as_known(recorded: RecordedHold) -> HoldFact | None:
    """The hold, in force while it was known as well; None when it never was."""
    hold = recorded.hold
    start = max(hold.start, recorded.placed)
    ends = [end for end in (hold.until, recorded.ended) if end is not None]
    until = min(ends, default=None)
    if until is not None and until <= start:
        return None
    return msgspec.structs.replace(hold, start=start, until=until)
