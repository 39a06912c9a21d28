"""Events in: situations and erasures are applied, customers of unreadable events are left in peace for a day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import Counter

from schemas.documents import validate_document
from schemas.event import Event, InvalidEvent, customers_of, decode_record, parse_data, peek_type
from schemas.policy import SituationKind
from schemas.times import Instant
from services.kit.bus.batch import Batch
from services.kit.bus.protocol import Record
from services.kit.db.database import Database, Tx
from services.kit.observability.metrics import MetricFamily
from services.kit.runtime.clock import Clock
from services.suppression import customer_state as states
from services.suppression.customer_state import CUSTOMER_ERASED, SuppressionState
from services.suppression.metrics import SuppressionMetrics
from services.suppression.situation_intervals import (
    CompileCondition,
    SituationKinds,
    SituationTransitions,
    apply_transitions,
    compile_kinds,
)
from services.suppression.store import entry_store
from services.suppression.store import situation_store as history
from services.suppression.store import state_store as store
from services.suppression.store.entry_store import NewEntry
from services.suppression.store.situation_store import SituationHistoryRow
from services.suppression.store.state_store import EventKey

NO_TRANSITIONS = SituationTransitions((), ())


@dataclass(frozen=True, slots=True)
class SuppressionEvent:
    """An event that concerns us, and what it says."""

    event: Event
    transitions: SituationTransitions

    @property
    def key(self) -> EventKey:
        """How the event is known."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class SuppressionBatch:
    """What a batch comes to. `unreadable`: records whose type cannot be told, by the customer they name."""

    kinds: SituationKinds
    now: Instant
    events: list[SuppressionEvent] = field(default_factory=list)
    unreadable: dict[str, Record] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    transition_counts: dict[str, int] = field(default_factory=dict)

    def count_result(self, result: str) -> None:
        """One more of these."""
        self.results[result] = self.results.get(result, 0) + 1


class SituationKindsCache:
    """The active policy's situations, compiled again only when others were handed over."""

    def __init__(self, compile_condition: CompileCondition) -> None:
        self._compile = compile_condition
        self._seq = -1
        self._kinds = compile_kinds((), compile_condition)

    async def current(self, tx: Tx) -> SituationKinds:
        """As of this transaction."""
        active = await history.get_active_situations(tx, self._seq)
        if active is not None:
            documents = [validate_document(SituationKind, document) for document in active.situations]
            self._kinds, self._seq = compile_kinds(documents, self._compile), active.seq
        return self._kinds


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
        """Sort the records: those that concern us are read, those that nobody can read are noted."""
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
        """Change the states, each under its lock, and write the history and the inbox."""
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
        """Count what came of the batch."""
        self._metrics.count_results(prepared.results)
        _add_counts(self._metrics.situations, prepared.transition_counts)
        self._metrics.quarantines().inc(len(prepared.unreadable))

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Leave the customer in peace for a day: nobody knows what this event would have told us."""
        known = await store.lock_states(tx, customers_of(record.key, record.headers, record.value))
        now, error_class = self._clock.now(), type(error).__name__
        states_after = [await _quarantine_customer(tx, state, record, now, error_class) for state in known.values()]
        await store.save_states(tx, states_after)
        self._metrics.quarantines().inc(len(states_after))


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
