"""Applies preference events from the log: each event once, in one transaction with the log's offsets."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from schemas.dead_letters import RecordEffect
from schemas.event import Event, InvalidEvent, customers_of, decode_record, encode_event, peek_type
from schemas.own_events import CUSTOMER_ERASED, check_event, may_be_refusal
from schemas.policy_topics import PolicyTopics
from schemas.quarantine import customers_to_quarantine
from services.kit.bus.batch import Batch
from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Record
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Tx
from services.kit.errors import RecordProblem
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock, Instant
from services.kit.runtime.loop_share import LoopShare
from services.preference import store
from services.preference.consents.consent_terms import DEFAULT_TERMS, ConsentTerms
from services.preference.consents.double_opt_in import hold_unconfirmed
from services.preference.erasure_steps import CustomerEraser
from services.preference.metrics import PreferenceMetrics
from services.preference.opt_out_topic import keep_erasure
from services.preference.preference_errors import Overgrown, Unreadable
from services.preference.preference_state import (
    EVENT_TYPES,
    PreferenceChange,
    PreferenceState,
    apply_change,
    quarantine,
    release,
    to_change,
    without_excess,
)

CONSUMER_GROUP = "tactful-preference"
STAGE = "preference"

_EFFECTS = {
    "changed": RecordEffect("applied", "the customer's preferences change"),
    "unchanged": RecordEffect("unchanged", "the customer's preferences are so already"),
    "duplicate": RecordEffect("duplicate", "the same event has been applied already"),
    "erased": RecordEffect("nothing", "the customer is erased: nothing of the event is kept"),
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
    sender: str | None = None
    """Who sent it through a door of ours; None for an event that another program wrote to the log."""
    partial: bool = False
    """Other parts of the event are bad."""

    @property
    def customer(self) -> str:
        """The customer's id."""
        return self.event.customer

    @property
    def key(self) -> store.EventKey:
        """Its identity in the inbox."""
        return (self.event.customer, self.event.source, self.event.id)


@dataclass(frozen=True, slots=True)
class ErasureEvent:
    """An event by which a customer is erased."""

    event: Event

    @property
    def customer(self) -> str:
        """The customer's id."""
        return self.event.customer


@dataclass(slots=True)
class PreferenceBatch:
    """The changes of a batch in log order, and a count of what was done with them."""

    items: list[PreferenceEvent | ErasureEvent]
    actions: Counter[str] = field(default_factory=Counter)


class PreferenceEventHandler:
    """The handler of the consume loop. Of events of other types, only the type is decoded."""

    def __init__(
        self,
        clock: Clock,
        metrics: PreferenceMetrics,
        region: str | None,
        signature: SenderSignature,
        eraser: CustomerEraser,
        terms: ConsentTerms = DEFAULT_TERMS,
    ) -> None:
        """`region`: the organisation's country. `terms`: when consents end that have no end of their own."""
        self._terms = terms
        self._signature = signature
        self._eraser = eraser
        self._erased = eraser.erased
        self._clock = clock
        self._region = region
        self._metrics = metrics
        self._loop_share = LoopShare()

    async def prepare(self, batch: Batch) -> PreferenceBatch:
        """Decode our events. One with bad parts becomes a dead letter; its good parts are applied all the same."""
        now = self._clock.now()
        items: list[PreferenceEvent | ErasureEvent] = []
        for record in batch.records:
            await self._loop_share.give_turn_if_due()
            event_type = peek_type(record.headers, record.value)
            if event_type not in EVENT_TYPES and event_type != CUSTOMER_ERASED:
                continue
            try:
                event = decode_record(record.headers, record.value, now)
            except InvalidEvent as error:
                batch.reject(record, Unreadable(problems=[RecordProblem(*each) for each in error.problems]))
                continue
            if event_type == CUSTOMER_ERASED:
                items.append(ErasureEvent(event))
                continue
            checked = check_event(event)
            if checked.problems:
                batch.reject(record, Unreadable(problems=[RecordProblem(*each) for each in checked.problems]))
            change = to_change(event, checked, self._terms)
            if change is not None:
                sender = self._signature.find_sender(record)
                items.append(PreferenceEvent(event, change, _digest(event), sender, partial=bool(checked.problems)))
        return PreferenceBatch(items)

    async def apply(self, tx: Tx, prepared: PreferenceBatch) -> None:
        """Apply every event that has not been applied before. Raises Overgrown."""
        prepared.actions.clear()
        if not prepared.items:
            return
        states = await self._lock_states(tx, [item.customer for item in prepared.items])
        changes = [item for item in prepared.items if isinstance(item, PreferenceEvent)]
        applied_digests = await store.find_applied_digests(tx, [item.key for item in changes])
        topics = await store.get_topics(tx) if any(_grants(item.change) for item in changes) else None
        now, new_digests, edits = self._clock.now(), dict[store.EventKey, bytes](), list[store.StateUpdate]()
        for item in prepared.items:
            await self._loop_share.give_turn_if_due()
            before = states.get(item.customer)
            if before is None or isinstance(item, ErasureEvent):
                prepared.actions["erased"] += 1
                if before is not None:
                    await self._eraser.erase(tx, states.pop(item.customer), item.event)
                    await keep_erasure(tx, item.customer, now)
                    edits = [each for each in edits if each.after.customer != item.customer]
                continue
            if (digest := applied_digests.get(item.key) or new_digests.get(item.key)) is not None:
                action, edit = "duplicate" if digest == item.digest else "conflict", None
            else:
                # A part of an event is applied without a word in the inbox: its letter may be redriven as a whole,
                # and what is applied twice with the same time changes nothing.
                if not item.partial:
                    new_digests[item.key] = item.digest
                change = _without_unconfirmed(item.change, before, topics)
                edit = merge_event(before, item.event, change, item.sender, now)
                action = "unchanged" if edit is None else "changed"
            prepared.actions[action] += 1
            if edit is not None:
                states[item.customer] = edit.after
                edits.append(edit)
        await store.record_applied_events(tx, new_digests, now)
        await store.save_updates(tx, edits)

    async def after_commit(self, prepared: PreferenceBatch) -> None:
        """Update the metrics."""
        if prepared.actions["erased"]:
            self._eraser.notify()
        for action, count in prepared.actions.items():
            self._metrics.count_log_events(action, count)
        if prepared.actions["conflict"]:
            log("event_conflict", "warning", count=prepared.actions["conflict"], stage=STAGE)

    async def _lock_states(self, tx: Tx, customers: Iterable[str]) -> dict[str, PreferenceState]:
        return await store.lock_states(tx, customers, self._region, self._erased)

    async def keeps_nothing_of(self, tx: Tx, record: Record) -> bool:
        """Whether the record is about an erased customer."""
        return bool(await self._erased.among(tx, customers_of(record.key, record.headers, record.value)))

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Quarantine every customer whose refusal the record may be; apply what fits of one that is over a limit."""
        now = self._clock.now()
        if isinstance(error, Overgrown):
            await self._apply_what_fits(tx, record, error, now)
        customers = customers_to_quarantine(
            record.key, record.headers, record.value, now, may_be_refusal, failed=not isinstance(error, Unreadable)
        )
        states = await self._lock_states(tx, customers)
        position = (record.topic, record.partition, record.offset)
        cause = store.ChangeCause("event", at=now, recorded=now, actor="dead letter")
        await store.save_updates(
            tx, [store.StateUpdate(before, quarantine(before, position, now), cause) for before in states.values()]
        )
        self._metrics.count_quarantines("begun", len(states))

    async def _apply_what_fits(self, tx: Tx, record: Record, error: Overgrown, now: Instant) -> None:
        event = decode_record(record.headers, record.value, now)
        change = to_change(event, check_event(event), self._terms)
        if change is None:
            return
        fitting = without_excess(change, {each.pointer for each in error.errors})
        before = (await self._lock_states(tx, [event.subject])).get(event.subject)
        if before is None:
            return
        fitting = _without_unconfirmed(fitting, before, await store.get_topics(tx))
        with contextlib.suppress(Overgrown):  # both are over their limits
            edit = merge_event(before, event, fitting, self._signature.find_sender(record), now)
            await store.save_updates(tx, [] if edit is None else [edit])

    async def describe_effect(self, tx: Tx, letter: DeadLetter, prepared: PreferenceBatch) -> RecordEffect:
        """What applying the record of a dead letter has done, and whether the customer has changed anything since."""
        (item,) = prepared.items or (None,)
        if item is None:
            return RecordEffect("nothing", "the event changes no preferences")
        (action,) = prepared.actions
        later = (
            0
            if action in ("duplicate", "erased") or isinstance(item, ErasureEvent)
            else await store.count_later_changes(tx, item.key, item.event.time)
        )
        return _EFFECTS[action] if not later else msgspec.structs.replace(_EFFECTS[action], warnings=(_LATER_CHANGES,))

    async def on_dead_letter_closed(self, tx: Tx, letter: DeadLetter) -> None:
        """End the quarantines that rest on this letter."""
        record, now = letter.record, self._clock.now()
        states = await self._lock_states(tx, customers_of(record.key, record.headers, record.value))
        position = (record.topic, record.partition, record.offset)
        cause = store.ChangeCause("event", at=now, recorded=now, actor=letter.closed_by)
        edits = [store.StateUpdate(before, release(before, position), cause) for before in states.values()]
        ended = [edit for edit in edits if edit.after is not edit.before]
        await store.save_updates(tx, ended)
        self._metrics.count_quarantines("ended", len(ended))


def _grants(change: PreferenceChange) -> bool:
    return "consent" in change.replace or "consent" in change.add


def _without_unconfirmed(
    change: PreferenceChange, before: PreferenceState, topics: PolicyTopics | None
) -> PreferenceChange:
    """The change, in which new grants do not count that the policy wants confirmed."""
    if topics is None or not _grants(change):
        return change
    known = before.preference.consent
    return msgspec.structs.replace(
        change,
        replace=hold_unconfirmed(change.replace, known, topics),
        add=hold_unconfirmed(change.add, known, topics),
    )


def merge_event(
    before: PreferenceState,
    event: Event,
    change: PreferenceChange,
    sender: str | None,
    now: Instant,
    cause_source: str = "event",
) -> store.StateUpdate | None:
    """What the event changes, with its cause; None when later changes have set all of it. Raises Overgrown."""
    try:
        after = apply_change(before, change)
    except InvalidEvent as error:
        raise Overgrown(error.detail, errors=[RecordProblem(*each) for each in error.problems]) from None
    if after is None:
        return None
    origin = {"event_source": event.source, "event_id": event.id}
    cause = store.ChangeCause(cause_source, at=event.time, recorded=now, actor=sender, **origin)
    return store.StateUpdate(before, after, cause)


def _digest(event: Event) -> bytes:
    return hashlib.blake2b(encode_event(msgspec.structs.replace(event, traceparent=None)), digest_size=16).digest()
