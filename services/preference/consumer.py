"""Applies what the log says about preferences: each event once, in one transaction with the log's offsets."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from schemas.event import BadEvent, Event, data_of, decode, encode, type_of
from schemas.ids import bad_id
from services.kit.bus.batch import Batch
from services.kit.bus.protocol import Record
from services.kit.db.database import Tx
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock, Instant
from services.preference import store
from services.preference.metrics import Metrics
from services.preference.preference_errors import Overgrown, Unreadable
from services.preference.preference_state import BLOCK, TYPES, Change, State, block, merge, read_change

GROUP = "tactful-preference"
STAGE = "preference"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event that concerns us, checked. `digest` tells another event with the same id from a repetition."""

    event: Event
    change: Change
    digest: bytes

    @property
    def customer(self) -> str:
        """Whom it is about."""
        return self.event.customer

    @property
    def key(self) -> store.EventKey:
        """What the event is known by."""
        return (self.event.customer, self.event.source, self.event.id)


@dataclass(frozen=True, slots=True)
class Lost:
    """A change that cannot be read. It may be an opt-out, so its customer is left in peace for a while."""

    customer: str


@dataclass(slots=True)
class Prepared:
    """What a batch says, in order of the log, and what became of it."""

    items: list[Arrival | Lost]
    actions: Counter[str] = field(default_factory=Counter)


class Changes:
    """The handler of the consume loop. Events of other types cost one look at their header."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics

    async def prepare(self, batch: Batch) -> Prepared:
        """Read what concerns us; what cannot be read becomes a dead letter and blocks its customer."""
        now = self._clock.now()
        items: list[Arrival | Lost] = []
        for record in batch.records:
            if type_of(record.headers, record.value) not in TYPES:
                continue
            try:
                event = decode(record.headers, record.value, now)
                change = read_change(event, data_of(event))
            except BadEvent as error:
                batch.reject(record, Unreadable(f"{error.pointer}: {error.detail}"))
                customer = customer_of(record)
                items.extend([] if customer is None else [Lost(customer)])
                continue
            if change is not None:
                items.append(Arrival(event, change, _digest(event)))
        return Prepared(items)

    async def apply(self, tx: Tx, prepared: Prepared) -> None:
        """Merge every event that has not been applied before. Raises Overgrown."""
        prepared.actions.clear()
        if not prepared.items:
            return
        arrivals = [item for item in prepared.items if isinstance(item, Arrival)]
        states = await store.lock(tx, [item.customer for item in prepared.items])
        known = await store.seen(tx, [arrival.key for arrival in arrivals])
        now, fresh, edits = self._clock.now(), dict[store.EventKey, bytes](), list[store.Edit]()
        for item in prepared.items:
            before = states[item.customer]
            if isinstance(item, Lost):
                action, edit = "blocked", _blocked(before, now)
            elif (digest := known.get(item.key) or fresh.get(item.key)) is not None:
                action, edit = "duplicate" if digest == item.digest else "conflict", None
            else:
                fresh[item.key] = item.digest
                edit = _merged(before, item, now)
                action = "unchanged" if edit is None else "changed"
            prepared.actions[action] += 1
            if edit is not None:
                states[item.customer] = edit.after
                edits.append(edit)
        await store.remember(tx, fresh, now)
        await store.save(tx, edits)

    async def applied(self, prepared: Prepared) -> None:
        """Count."""
        for action, count in prepared.actions.items():
            self._metrics.from_log(action, count)
        if prepared.actions["conflict"]:
            log("event_conflict", "warning", count=prepared.actions["conflict"], stage=STAGE)

    async def poisoned(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Block the customer of a change that could be read but not applied."""
        if isinstance(error, Unreadable):
            return  # `apply` blocks its customer, in the order of the log
        customer = customer_of(record)
        if customer is None:
            return
        before = (await store.lock(tx, [customer]))[customer]
        await store.save(tx, [_blocked(before, self._clock.now())])
        self._metrics.changes("event", "blocked").inc()


def customer_of(record: Record) -> str | None:
    """The customer whom a record that cannot be taken speaks of, as far as that can be told."""
    for candidate in (_header(record, "ce_subject"), _subject(record.value), record.key):
        try:
            name = candidate.decode() if candidate else ""
        except UnicodeDecodeError:
            continue
        if bad_id(name) is None:
            return name
    return None


def _merged(before: State, arrival: Arrival, now: Instant) -> store.Edit | None:
    try:
        after = merge(before, arrival.change)
    except BadEvent as error:
        raise Overgrown(error.detail) from None
    if after is None:
        return None
    event = arrival.event
    cause = store.Cause("event", at=event.time, recorded=now, event_source=event.source, event_id=event.id)
    return store.Edit(before, after, cause)


def _blocked(before: State, now: Instant) -> store.Edit:
    cause = store.Cause("event", at=now, recorded=now, actor="unreadable change")
    return store.Edit(before, block(before, now + BLOCK), cause)


def _digest(event: Event) -> bytes:
    return hashlib.blake2b(encode(msgspec.structs.replace(event, traceparent=None)), digest_size=16).digest()


def _header(record: Record, name: str) -> bytes | None:
    return next((value for key, value in record.headers if key.lower() == name), None)


class _Subject(msgspec.Struct):
    subject: str = ""


def _subject(value: bytes | None) -> bytes | None:
    try:
        return msgspec.json.decode(value, type=_Subject).subject.encode() if value else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
