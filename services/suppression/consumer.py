"""Applies situation and erasure events from the log, and quarantines customers of unreadable records for a day.

Each event is applied once, in one transaction with the log's offsets. A record whose type cannot be read may concern
us, so its customers are quarantined here; the orchestrator writes its dead letter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from prometheus_client import Counter

from schemas.dead_letters import RecordEffect
from schemas.event import Event, InvalidEvent, customers_of, decode_record, parse_data, peek_type
from schemas.times import Instant
from services.kit.bus.batch import Batch
from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Record
from services.kit.db.database import Database, Tx
from services.kit.observability.metrics import MetricFamily
from services.kit.runtime.clock import Clock
from services.suppression import suppression_state as states
from services.suppression.metrics import SuppressionMetrics
from services.suppression.situation_intervals import (
    SituationKinds,
    SituationTransitions,
    apply_transitions,
)
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import entry_store
from services.suppression.store import situation_store as history
from services.suppression.store import state_store as store
from services.suppression.store.entry_store import NewEntry
from services.suppression.store.situation_store import SituationHistoryRow
from services.suppression.store.state_store import EventKey
from services.suppression.suppression_state import CUSTOMER_ERASED, SuppressionState

NO_TRANSITIONS = SituationTransitions((), ())
_EFFECTS = {
    "applied": RecordEffect("applied", "the customer's situations or do-not-contact entries change"),
    "unchanged": RecordEffect("unchanged", "the customer's situations and do-not-contact entries are so already"),
    "duplicate": RecordEffect("duplicate", "the same event has been applied already"),
}
"""What each result of a single event means for a dead letter."""
_LATER_CHANGES = "a situation of this customer was opened or closed after the time of this event"


@dataclass(frozen=True, slots=True)
class SuppressionEvent:
    """An event that changes a customer's situations, or erases the customer."""

    event: Event
    transitions: SituationTransitions

    @property
    def key(self) -> EventKey:
        """Its identity in the inbox."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class SuppressionBatch:
    """The events of a batch, and counts of what was done. `unreadable`: records of unknown type, by customer."""

    kinds: SituationKinds
    now: Instant
    events: list[SuppressionEvent] = field(default_factory=list)
    unreadable: dict[str, Record] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    transition_counts: dict[str, int] = field(default_factory=dict)

    def count_result(self, result: str) -> None:
        """Increment the count of a result."""
        self.results[result] = self.results.get(result, 0) + 1


class SuppressionEventHandler:
    """The handler of `customer.events`. `new_id` makes the id of an entry from an instant."""

    def __init__(
        self,
        database: Database,
        kinds: SituationKindsCache,
        clock: Clock,
        metrics: SuppressionMetrics,
        new_id: Callable[[Instant], str],
    ) -> None:
        self._database = database
        self._kinds_cache = kinds
        self._clock = clock
        self._metrics = metrics
        self._new_entry_id = new_id

    async def prepare(self, batch: Batch) -> SuppressionBatch:
        """Decode our events, and note the records whose type cannot be read."""
        async with self._database.read() as tx:
            kinds = await self._kinds_cache.current(tx)
        prepared = SuppressionBatch(kinds, self._clock.now())
        for record in batch.records:
            kind = peek_type(record.headers, record.value)
            if kind is None:
                self._note_unreadable(record, prepared)
            elif states.handles(kind, kinds):
                try:
                    prepared.events.append(_parse_event(record, prepared))
                except InvalidEvent as error:
                    batch.reject(record, error)
        return prepared

    def _note_unreadable(self, record: Record, prepared: SuppressionBatch) -> None:
        customers = customers_of(record.key, record.headers, record.value)
        prepared.count_result("unreadable" if customers else "unreadable_nobody")
        for customer in customers:
            prepared.unreadable.setdefault(customer, record)

    async def apply(self, tx: Tx, prepared: SuppressionBatch) -> None:
        """Update the states under their row locks, and write the history and the inbox."""
        if not prepared.events and not prepared.unreadable:
            return
        customers = {item.event.subject for item in prepared.events} | prepared.unreadable.keys()
        known = await store.lock_states(tx, customers)
        before = dict(known)
        await self._apply_events(tx, prepared, known)
        for customer, record in prepared.unreadable.items():
            known[customer] = await _quarantine_customer(tx, known[customer], record, prepared.now, "Unreadable")
        await store.save_states(tx, (state for name, state in known.items() if state is not before[name]))

    async def _apply_events(self, tx: Tx, prepared: SuppressionBatch, known: dict[str, SuppressionState]) -> None:
        done = await store.find_applied_events(tx, [item.key for item in prepared.events])
        steps: list[SituationHistoryRow] = []
        erasures: list[NewEntry] = []
        new_keys: list[EventKey] = []
        for item in prepared.events:
            event, key = item.event, item.key
            if key in done:
                prepared.count_result("duplicate")
                continue
            done.add(key)
            new_keys.append(key)
            state = known[event.subject]
            known[event.subject] = self._apply_event(state, item, prepared, steps, erasures)
            prepared.count_result("unchanged" if known[event.subject] is state else "applied")
        await store.record_applied_events(tx, new_keys, prepared.now)
        await history.record_changes(tx, steps, prepared.now)
        await entry_store.insert_entries(tx, erasures, prepared.now)

    def _apply_event(
        self,
        state: SuppressionState,
        item: SuppressionEvent,
        prepared: SuppressionBatch,
        steps: list[SituationHistoryRow],
        erasures: list[NewEntry],
    ) -> SuppressionState:
        event = item.event
        if event.type == CUSTOMER_ERASED:
            erased = states.add_erasure(state, min(event.time, prepared.now), self._new_entry_id(prepared.now))
            if erased is not state:
                erasure = erased.entries[-1]
                erasures.append(
                    NewEntry(erasure.id, event.subject, None, (), erasure.entry, event.source[:200], "event")
                )
            state = erased
        update = apply_transitions(state.situations, item.transitions, event.time, prepared.kinds)
        for change in update.changes:
            steps.append(SituationHistoryRow(event.subject, change, event.time, event.source, event.id))
            action = "opened" if change.opened else "closed"
            prepared.transition_counts[action] = prepared.transition_counts.get(action, 0) + 1
        prepared.transition_counts["ignored"] = prepared.transition_counts.get("ignored", 0) + update.ignored
        return states.with_situations(state, update.intervals)

    async def after_commit(self, prepared: SuppressionBatch) -> None:
        """Update the metrics."""
        self._metrics.count_results(prepared.results)
        _add_counts(self._metrics.situations, prepared.transition_counts)
        self._metrics.quarantines().inc(len(prepared.unreadable))

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Quarantine the customers whom the record may concern: it may have opened a situation."""
        known = await store.lock_states(tx, customers_of(record.key, record.headers, record.value))
        now, error_class = self._clock.now(), type(error).__name__
        states_after = [await _quarantine_customer(tx, state, record, now, error_class) for state in known.values()]
        await store.save_states(tx, states_after)
        self._metrics.quarantines().inc(len(states_after))

    async def describe_effect(self, tx: Tx, letter: DeadLetter, prepared: SuppressionBatch) -> RecordEffect:
        """What applying the record of a dead letter has done, and whether situations have changed since."""
        (result,) = prepared.results or (None,)
        (item,) = prepared.events or (None,)
        if item is None or result is None:
            return RecordEffect("nothing", f"events of the type {letter.event_type} open or close no situation")
        effect = _EFFECTS[result]
        if effect.effect != "duplicate" and await history.has_later_changes(tx, item.event.subject, item.event.time):
            return msgspec.structs.replace(effect, warnings=(_LATER_CHANGES,))
        return effect

    async def on_dead_letter_closed(self, tx: Tx, letter: DeadLetter) -> None:
        """Nothing is written: the quarantine of the customers ends by itself."""


def _parse_event(record: Record, prepared: SuppressionBatch) -> SuppressionEvent:
    event = decode_record(record.headers, record.value, prepared.now)
    if not prepared.kinds.handles(event.type):
        return SuppressionEvent(event, NO_TRANSITIONS)
    return SuppressionEvent(event, prepared.kinds.read_transitions(event, parse_data(event)))


async def _quarantine_customer(
    tx: Tx, state: SuppressionState, record: Record, now: Instant, error_class: str
) -> SuppressionState:
    state = states.add_quarantine(state, now)
    await history.record_quarantine(tx, state.customer, state.quarantine[0], record, error_class)
    return state


def _add_counts(family: MetricFamily[Counter], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        family(name).inc(count)
