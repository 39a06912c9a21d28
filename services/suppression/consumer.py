"""Events in: situations and erasures are applied, customers of unreadable events are left in peace for a day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import Counter

from schemas.documents import validate
from schemas.event import BadEvent, Event, data_of, decode, type_of
from schemas.ids import bad_id
from schemas.policy import SituationKind
from schemas.times import Instant
from services.kit.bus.batch import Batch
from services.kit.bus.protocol import Record
from services.kit.db.database import Database, Tx
from services.kit.observability.metrics import Family
from services.kit.runtime.clock import Clock
from services.suppression import customer_state as states
from services.suppression.customer_state import ERASED, State
from services.suppression.metrics import Metrics
from services.suppression.situation_intervals import CompileCondition, Signs, SituationKinds, compile_kinds, fold
from services.suppression.store import entry_store
from services.suppression.store import situation_store as history
from services.suppression.store import state_store as store
from services.suppression.store.entry_store import NewEntry
from services.suppression.store.situation_store import HistoryRow
from services.suppression.store.state_store import EventKey

NO_SIGNS = Signs((), ())


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that concerns us, and what it says."""

    event: Event
    signs: Signs

    @property
    def key(self) -> EventKey:
        """How the event is known."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class Prepared:
    """What a batch comes to. `unreadable`: records whose type cannot be told, by the customer they name."""

    kinds: SituationKinds
    now: Instant
    taken: list[Taken] = field(default_factory=list)
    unreadable: dict[str, Record] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def count(self, result: str) -> None:
        """One more of these."""
        self.results[result] = self.results.get(result, 0) + 1


class Kinds:
    """The active policy's situations, compiled again only when others were handed over."""

    def __init__(self, compile_condition: CompileCondition) -> None:
        self._compile = compile_condition
        self._seq = -1
        self._kinds = compile_kinds((), compile_condition)

    async def current(self, tx: Tx) -> SituationKinds:
        """As of this transaction."""
        handed = await history.handed(tx, self._seq)
        if handed is not None:
            documents = [validate(SituationKind, document) for document in handed.situations]
            self._kinds, self._seq = compile_kinds(documents, self._compile), handed.seq
        return self._kinds


class Ingest:
    """The handler of `customer.events`. `new_id` makes the id of an entry from an instant."""

    def __init__(
        self, database: Database, kinds: Kinds, clock: Clock, metrics: Metrics, new_id: Callable[[Instant], str]
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._clock = clock
        self._metrics = metrics
        self._new_id = new_id

    async def prepare(self, batch: Batch) -> Prepared:
        """Sort the records: those that concern us are read, those that nobody can read are noted."""
        async with self._database.read() as tx:
            kinds = await self._kinds.current(tx)
        prepared = Prepared(kinds, self._clock.now())
        for record in batch.records:
            kind = type_of(record.headers, record.value)
            if kind is None:
                self._note_unreadable(record, prepared)
            elif states.wants(kind, kinds):
                try:
                    prepared.taken.append(_read(record, prepared))
                except BadEvent as error:
                    batch.reject(record, error)
        return prepared

    def _note_unreadable(self, record: Record, prepared: Prepared) -> None:
        customer = customer_of(record)
        prepared.count("unreadable_nobody" if customer is None else "unreadable")
        if customer is not None:
            prepared.unreadable.setdefault(customer, record)

    async def apply(self, tx: Tx, prepared: Prepared) -> None:
        """Change the states, each under its lock, and write the history and the inbox."""
        if not prepared.taken and not prepared.unreadable:
            return
        customers = {taken.event.subject for taken in prepared.taken} | prepared.unreadable.keys()
        known = await store.locked_states(tx, customers)
        before = dict(known)
        await self._apply_events(tx, prepared, known)
        for customer, record in prepared.unreadable.items():
            known[customer] = await _quarantine(tx, known[customer], record, prepared.now, "Unreadable")
        await store.write_states(tx, (state for name, state in known.items() if state is not before[name]))

    async def _apply_events(self, tx: Tx, prepared: Prepared, known: dict[str, State]) -> None:
        done = await store.seen(tx, [taken.key for taken in prepared.taken])
        steps: list[HistoryRow] = []
        erasures: list[NewEntry] = []
        fresh: list[EventKey] = []
        for taken in prepared.taken:
            event, key = taken.event, taken.key
            if key in done:
                prepared.count("duplicate")
                continue
            done.add(key)
            fresh.append(key)
            state = known[event.subject]
            known[event.subject] = self._applied(state, taken, prepared, steps, erasures)
            prepared.count("unchanged" if known[event.subject] is state else "applied")
        await store.remember(tx, fresh, prepared.now)
        await history.record_changes(tx, steps, prepared.now)
        await entry_store.add(tx, erasures, prepared.now)

    def _applied(
        self, state: State, taken: Taken, prepared: Prepared, steps: list[HistoryRow], erasures: list[NewEntry]
    ) -> State:
        event = taken.event
        if event.type == ERASED:
            erased = states.erased(state, min(event.time, prepared.now), self._new_id(prepared.now))
            if erased is not state:
                own = erased.entries[-1]
                erasures.append(NewEntry(own.id, event.subject, None, (), own.entry, event.source[:200], "event"))
            state = erased
        folded = fold(state.situations, taken.signs, event.time, prepared.kinds)
        for change in folded.changes:
            steps.append(HistoryRow(event.subject, change, event.time, event.source, event.id))
            action = "opened" if change.opened else "closed"
            prepared.steps[action] = prepared.steps.get(action, 0) + 1
        prepared.steps["ignored"] = prepared.steps.get("ignored", 0) + folded.ignored
        return states.with_situations(state, folded.intervals)

    async def applied(self, prepared: Prepared) -> None:
        """Count what came of the batch."""
        self._metrics.results(prepared.results)
        _count(self._metrics.situations, prepared.steps)
        self._metrics.quarantines().inc(len(prepared.unreadable))

    async def poisoned(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Leave the customer in peace for a day: nobody knows what this event would have told us."""
        customer = customer_of(record)
        if customer is None:
            return
        known = await store.locked_states(tx, [customer])
        state = await _quarantine(tx, known[customer], record, self._clock.now(), type(error).__name__)
        await store.write_states(tx, [state])
        self._metrics.quarantines().inc()


def customer_of(record: Record) -> str | None:
    """The customer that a record names in its key, else in its `ce_subject` header; None when neither can be read."""
    headers = [value for name, value in record.headers if name.lower() == "ce_subject"]
    for raw in (record.key, *headers):
        try:
            text = (raw or b"").decode()
        except UnicodeDecodeError:
            continue
        if bad_id(text) is None:
            return text
    return None


def _read(record: Record, prepared: Prepared) -> Taken:
    event = decode(record.headers, record.value, prepared.now)
    if not prepared.kinds.wants(event.type):
        return Taken(event, NO_SIGNS)
    return Taken(event, prepared.kinds.signs(event, data_of(event)))


async def _quarantine(tx: Tx, state: State, record: Record, now: Instant, error_class: str) -> State:
    state = states.quarantined(state, now)
    await history.record_quarantine(tx, state.customer, state.quarantine[0], record, error_class)
    return state


def _count(family: Family[Counter], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        family(name).inc(count)
