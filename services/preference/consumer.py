"""Applies preference events from the log: each event once, in one transaction with the log's offsets."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.dead_letters import RecordEffect
from schemas.event import Event, InvalidEvent, customers_of, decode_record, encode_event, parse_data, peek_type
from services.kit.bus.batch import Batch
from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Record
from services.kit.db.database import Tx
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock, Instant
from services.preference import store
from services.preference.metrics import PreferenceMetrics
from services.preference.preference_errors import Overgrown, Unreadable
from services.preference.preference_state import (
    BLOCK_SPAN,
    EVENT_TYPES,
    PreferenceChange,
    PreferenceState,
    apply_change,
    block_until,
    parse_change,
)

CONSUMER_GROUP = "tactful-preference"
STAGE = "preference"

_EFFECTS = {
    "changed": RecordEffect("applied", "the customer's preferences change"),
    "unchanged": RecordEffect("unchanged", "the customer's preferences are so already"),
    "duplicate": RecordEffect("duplicate", "the same event has been applied already"),
    "conflict": RecordEffect("duplicate", "another event with this source and id has been applied already"),
}
"""What each action on a single event means for a dead letter."""
_LATER_CHANGES = "the customer's preferences have changed after the time of this event: what is newer stays as it is"


@dataclass(frozen=True, slots=True)
class PreferenceEvent:
    """A validated event. `digest` tells a repeated event from a different one with the same id."""

    event: Event
    change: PreferenceChange
    digest: bytes

    @property
    def customer(self) -> str:
        """The customer's id."""
        return self.event.customer

    @property
    def key(self) -> store.EventKey:
        """Its identity in the inbox."""
        return (self.event.customer, self.event.source, self.event.id)


@dataclass(frozen=True, slots=True)
class UnreadableChange:
    """A change that cannot be read. It may be an opt-out, so the customer counts as paused for BLOCK_SPAN."""

    customer: str


@dataclass(slots=True)
class PreferenceBatch:
    """The changes of a batch in log order, and a count of what was done with them."""

    items: list[PreferenceEvent | UnreadableChange]
    actions: Counter[str] = field(default_factory=Counter)


class PreferenceEventHandler:
    """The handler of the consume loop. Of events of other types, only the type is decoded."""

    def __init__(self, clock: Clock, metrics: PreferenceMetrics, region: str | None) -> None:
        """`region`: the organisation's country."""
        self._clock = clock
        self._region = region
        self._metrics = metrics

    async def prepare(self, batch: Batch) -> PreferenceBatch:
        """Decode our events. One that cannot be read becomes a dead letter and blocks every customer it may concern."""
        now = self._clock.now()
        items: list[PreferenceEvent | UnreadableChange] = []
        for record in batch.records:
            if peek_type(record.headers, record.value) not in EVENT_TYPES:
                continue
            try:
                event = decode_record(record.headers, record.value, now)
                change = parse_change(event, parse_data(event))
            except InvalidEvent as error:
                batch.reject(record, Unreadable(f"{error.pointer}: {error.detail}"))
                items.extend(map(UnreadableChange, customers_of(record.key, record.headers, record.value)))
                continue
            if change is not None:
                items.append(PreferenceEvent(event, change, _digest(event)))
        return PreferenceBatch(items)

    async def apply(self, tx: Tx, prepared: PreferenceBatch) -> None:
        """Apply every event that has not been applied before. Raises Overgrown."""
        prepared.actions.clear()
        if not prepared.items:
            return
        preference_events = [item for item in prepared.items if isinstance(item, PreferenceEvent)]
        states = await store.lock_states(tx, [item.customer for item in prepared.items], self._region)
        applied_digests = await store.find_applied_digests(
            tx, [preference_event.key for preference_event in preference_events]
        )
        now, new_digests, edits = self._clock.now(), dict[store.EventKey, bytes](), list[store.StateUpdate]()
        for item in prepared.items:
            before = states[item.customer]
            if isinstance(item, UnreadableChange):
                action, edit = "blocked", _block_customer(before, now)
            elif (digest := applied_digests.get(item.key) or new_digests.get(item.key)) is not None:
                action, edit = "duplicate" if digest == item.digest else "conflict", None
            else:
                new_digests[item.key] = item.digest
                edit = _merge_event(before, item, now)
                action = "unchanged" if edit is None else "changed"
            prepared.actions[action] += 1
            if edit is not None:
                states[item.customer] = edit.after
                edits.append(edit)
        await store.record_applied_events(tx, new_digests, now)
        await store.save_updates(tx, edits)

    async def after_commit(self, prepared: PreferenceBatch) -> None:
        """Update the metrics."""
        for action, count in prepared.actions.items():
            self._metrics.count_log_events(action, count)
        if prepared.actions["conflict"]:
            log("event_conflict", "warning", count=prepared.actions["conflict"], stage=STAGE)

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Block the customer of a change that could not be applied, or all that an unreadable one may concern."""
        if isinstance(error, Unreadable):
            return  # `apply` blocks its customers, in log order: a later valid change must lift the block
        now = self._clock.now()
        try:
            customers: Sequence[str] = (decode_record(record.headers, record.value, now).subject,)
        except InvalidEvent:
            customers = customers_of(record.key, record.headers, record.value)
        states = await store.lock_states(tx, customers, self._region)
        await store.save_updates(tx, [_block_customer(before, now) for before in states.values()])
        self._metrics.changes("event", "blocked").inc(len(states))

    async def describe_effect(self, tx: Tx, letter: DeadLetter, prepared: PreferenceBatch) -> RecordEffect:
        """What applying the record of a dead letter has done, and whether the customer has changed anything since."""
        (item,) = prepared.items or (None,)
        if not isinstance(item, PreferenceEvent):
            return RecordEffect("nothing", f"events of the type {letter.event_type} change no preferences")
        (action,) = prepared.actions
        later = 0 if action == "duplicate" else await store.count_later_changes(tx, item.key, item.event.time)
        return _EFFECTS[action] if not later else msgspec.structs.replace(_EFFECTS[action], warnings=(_LATER_CHANGES,))

    async def on_dead_letter_closed(self, tx: Tx, letter: DeadLetter) -> None:
        """Nothing is written: the block of the customer ends by itself."""


def _merge_event(before: PreferenceState, preference_event: PreferenceEvent, now: Instant) -> store.StateUpdate | None:
    try:
        after = apply_change(before, preference_event.change)
    except InvalidEvent as error:
        raise Overgrown(error.detail) from None
    if after is None:
        return None
    event = preference_event.event
    cause = store.ChangeCause("event", at=event.time, recorded=now, event_source=event.source, event_id=event.id)
    return store.StateUpdate(before, after, cause)


def _block_customer(before: PreferenceState, now: Instant) -> store.StateUpdate:
    cause = store.ChangeCause("event", at=now, recorded=now, actor="unreadable change")
    return store.StateUpdate(before, block_until(before, now + BLOCK_SPAN), cause)


def _digest(event: Event) -> bytes:
    return hashlib.blake2b(encode_event(msgspec.structs.replace(event, traceparent=None)), digest_size=16).digest()
