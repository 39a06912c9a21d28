"""Applies situation and erasure events from the log, and quarantines customers of records that cannot be read.

Each event is applied once, in one transaction with the log's offsets. A record whose type cannot be read may concern
this service, so its dead letter is written here, and here alone.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from prometheus_client import Counter

from schemas.dead_letters import RecordEffect
from schemas.event import Event, InvalidEvent, comparable_data, customers_of, decode_record, peek_type
from schemas.own_events import (
    CUSTOMER_ERASED,
    check_event,
    is_own,
    is_unknown_own,
    may_be_refusal,
)
from schemas.quarantine import customers_to_quarantine, new_quarantine
from schemas.times import Instant
from services.erasure.erased_customers import ErasedCustomers
from services.kit.bus.batch import Batch
from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Record
from services.kit.db.database import Database, Tx
from services.kit.errors import RecordProblem, RejectedRecord
from services.kit.observability.logs import log
from services.kit.observability.metrics import MetricFamily
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.suppression import suppression_state as states
from services.suppression.erasure_steps import erase_customer
from services.suppression.metrics import SuppressionMetrics
from services.suppression.situation_intervals import (
    NO_TRANSITIONS,
    SituationKinds,
    SituationTransitions,
    apply_transitions,
)
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import situation_store as history
from services.suppression.store import state_store as store
from services.suppression.store.situation_store import SituationHistoryRow
from services.suppression.store.state_store import EventKey
from services.suppression.suppression_state import SuppressionState

_EFFECTS = {
    "applied": RecordEffect("applied", "the customer's situations or do-not-contact entries change"),
    "unchanged": RecordEffect("unchanged", "the customer's situations and do-not-contact entries are so already"),
    "duplicate": RecordEffect("duplicate", "the same event has been applied already"),
    "conflict": RecordEffect("duplicate", "another event of this source and id has been applied already"),
    "erased": RecordEffect("nothing", "the customer is erased: nothing of the event is kept"),
}
"""What each result of a single event means for a dead letter."""
_LATER_CHANGES = "a situation of this customer was opened or closed after the time of this event"


@dataclass(frozen=True, slots=True)
class SuppressionEvent:
    """An event that changes a customer's situations, or erases the customer."""

    event: Event
    transitions: SituationTransitions
    reason: str | None = None
    """Why, in the words of the person who did it by hand."""

    @property
    def key(self) -> EventKey:
        """Its identity in the inbox."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class SuppressionBatch:
    """The events of a batch, and counts of what was done."""

    kinds: SituationKinds
    now: Instant
    events: list[SuppressionEvent] = field(default_factory=list)
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
        erased: ErasedCustomers,
        on_erasure: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._kinds_cache = kinds
        self._clock = clock
        self._metrics = metrics
        self._new_entry_id = new_id
        self._erased = erased
        self._on_erasure = on_erasure
        self._loop_share = LoopShare()

    async def prepare(self, batch: Batch) -> SuppressionBatch:
        """Decode our events. One with bad parts becomes a dead letter; its good parts are applied all the same.

        So does a record whose type cannot be read, or is none of those of Tactful: it may concern us.
        """
        async with self._database.read() as tx:
            kinds = await self._kinds_cache.current(tx)
        prepared = SuppressionBatch(kinds, self._clock.now())
        for record in batch.records:
            await self._loop_share.give_turn_if_due()
            event_type = peek_type(record.headers, record.value)
            if event_type is None or is_unknown_own(event_type):
                customers = customers_of(record.key, record.headers, record.value)
                prepared.count_result("unreadable" if customers else "unreadable_nobody")
            elif not states.handles(event_type, kinds):
                continue
            try:
                event = decode_record(record.headers, record.value, prepared.now)
            except InvalidEvent as error:
                batch.reject(record, RejectedRecord(problems=[RecordProblem(*each) for each in error.problems]))
                continue
            checked = check_event(event, kinds.lapses)
            if checked.problems:
                batch.reject(record, RejectedRecord(problems=[RecordProblem(*each) for each in checked.problems]))
            transitions = kinds.read_transitions(event, checked) if kinds.handles(event.type) else NO_TRANSITIONS
            if not checked.problems or transitions != NO_TRANSITIONS:
                reason = checked.data.get("reason") if is_own(event.type) else None
                prepared.events.append(SuppressionEvent(event, transitions, reason))
        return prepared

    async def apply(self, tx: Tx, prepared: SuppressionBatch) -> None:
        """Update the states under their row locks, and write the history and the inbox."""
        if not prepared.events:
            return
        known = await store.lock_states(tx, {item.event.subject for item in prepared.events}, self._erased)
        before = dict(known)
        await self._apply_events(tx, prepared, known)
        await store.save_states(tx, (state for name, state in known.items() if state is not before[name]))

    async def _apply_events(self, tx: Tx, prepared: SuppressionBatch, known: dict[str, SuppressionState]) -> None:
        done = await store.find_applied_events(tx, [item.key for item in prepared.events])
        steps: list[SituationHistoryRow] = []
        new_digests: dict[EventKey, bytes] = {}
        for item in prepared.events:
            await self._loop_share.give_turn_if_due()
            event, key = item.event, item.key
            if event.type == CUSTOMER_ERASED and event.subject in known:
                del known[event.subject]
                pseudonym = self._erased.pseudonyms.of_customer(event.subject)
                await erase_customer(tx, event, pseudonym, self._new_entry_id(prepared.now), prepared.now)
                prepared.count_result("applied")
                continue
            if event.subject not in known:
                prepared.count_result("erased")
                continue
            digest = _digest(event)
            if key in done:
                prepared.count_result("duplicate" if done[key] in (digest, None) else "conflict")
                continue
            done[key] = new_digests[key] = digest
            state = known[event.subject]
            known[event.subject] = _apply_event(state, item, prepared, steps)
            prepared.count_result("unchanged" if known[event.subject] is state else "applied")
        await store.record_applied_events(tx, new_digests, prepared.now)
        await history.record_changes(tx, steps, prepared.now)

    async def after_commit(self, prepared: SuppressionBatch) -> None:
        """Update the metrics, and let the data of erased customers be removed."""
        self._metrics.count_results(prepared.results)
        if prepared.results.get("conflict"):
            log("event_conflict", "warning", count=prepared.results["conflict"], stage="suppression")
        if any(item.event.type == CUSTOMER_ERASED for item in prepared.events):
            self._on_erasure()
        _add_counts(self._metrics.situations, prepared.transition_counts)

    async def keeps_nothing_of(self, tx: Tx, record: Record) -> bool:
        """Whether the record is about an erased customer."""
        return bool(await self._erased.among(tx, customers_of(record.key, record.headers, record.value)))

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Quarantine every customer whom the record may have opened a situation of, or erased."""
        kinds, now = await self._kinds_cache.current(tx), self._clock.now()

        def type_may_refuse(event_type: str | None) -> bool:
            return may_be_refusal(event_type) or (event_type is not None and kinds.opens(event_type))

        failed = not isinstance(error, RejectedRecord)
        customers = customers_to_quarantine(
            record.key, record.headers, record.value, now, type_may_refuse, kinds.lapses, failed=failed
        )
        known = await store.lock_states(tx, customers, self._erased)
        position = (record.topic, record.partition, record.offset)
        after = [states.quarantine(state, position, now) for state in known.values()]
        for state in after:
            await history.record_quarantine(tx, state.customer, new_quarantine(position, now), type(error).__name__)
        await store.save_states(tx, after)
        self._metrics.count_quarantines("begun", len(after))

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
        """End the quarantines that rest on this letter."""
        record, now = letter.record, self._clock.now()
        known = await store.lock_states(tx, customers_of(record.key, record.headers, record.value), self._erased)
        position = (record.topic, record.partition, record.offset)
        ended = [after for state in known.values() if (after := states.release(state, position)) is not state]
        for state in ended:
            await history.record_release(tx, state.customer, position, now)
        await store.save_states(tx, ended)
        self._metrics.count_quarantines("ended", len(ended))


def _apply_event(
    state: SuppressionState, item: SuppressionEvent, prepared: SuppressionBatch, steps: list[SituationHistoryRow]
) -> SuppressionState:
    event = item.event
    update = apply_transitions(state.situations, item.transitions, event.time, prepared.kinds)
    for change in update.changes:
        steps.append(SituationHistoryRow(event.subject, change, event.time, event.source, event.id, item.reason))
        prepared.transition_counts[change.action] = prepared.transition_counts.get(change.action, 0) + 1
    prepared.transition_counts["ignored"] = prepared.transition_counts.get("ignored", 0) + update.ignored
    return states.with_situations(state, update.intervals)


def _digest(event: Event) -> bytes:
    """What the event says, without its time: some senders stamp each try."""
    said = [event.type, comparable_data(event)]
    return hashlib.blake2b(msgspec.json.encode(said, order="sorted"), digest_size=16).digest()


def _add_counts(family: MetricFamily[Counter], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        family(name).inc(count)
