"""SQL of the data plane, in functions named after the question. Hot paths take and give whole batches.

Whoever writes a customer's message rows holds the lock on the customer's ledger row; so a check made under that lock
is exact, and a cap and the message that uses it up commit together.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.decision import Decision
from schemas.event import Event, encode
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.policy.ledger import STATES, Contact, Ledger
from services.orchestrator.policy.ledger_changes import changes
from services.orchestrator.policy.scope import Kind

SHARDS = 16
PENDING_STATES = ("planned", "parked", "pending", "retry")

EventKey = tuple[str, ...]
"""Customer, source, event id."""
EVENT_KEY = ("customer", "source", "event_id")

_DECISION = msgspec.msgpack.Encoder()

INBOX = ("customer", "source", "event_id", "type", "time", "received", "topic", "partition", "log_offset", "event")
DECISION = (
    *("time", "message_id", "customer", "campaign", "channel", "cls", "outcome", "reason"),
    *("event_source", "event_id", "body"),
)
HISTORY = (
    *("customer", "message_id", "state", "at", "since", "channel", "cls", "intent", "topic", "campaign"),
    *("priority", "event", "reported", "recorded"),
)


class Held(msgspec.Struct, frozen=True):
    """A customer's ledger as read: version 0 means that there is no row yet."""

    version: int
    ledger: Ledger


LATEST = 2**63 - 1

NOTHING_HELD = Held(0, Ledger.empty())


def shard_of(customer: str) -> int:
    """The outbox shard of a customer."""
    return zlib.crc32(customer.encode()) % SHARDS


async def ledgers(tx: Tx, customers: Sequence[str], since: Instant = LATEST) -> dict[str, Held]:
    """The ledgers of these customers, complete from `since` on; absent ones have no row.

    A ledger that has forgotten what lies after `since`, because a longer rule came into force, is read from the
    history instead.
    """
    return await _ledgers(tx, customers, since)


async def _ledgers(tx: Tx, customers: Sequence[str], since: Instant, lock: str = "") -> dict[str, Held]:
    if not customers:
        return {}
    sql = f"SELECT customer, version, ring FROM ledger WHERE {tx.among('customer', 'customers')} {lock}"
    rows = await tx.tuples(sql, customers=tx.array(customers))
    found = {customer: Held(version, Ledger.unpack(ring)) for customer, version, ring in rows}
    for customer, held in found.items():
        if held.ledger.complete_from > since:
            found[customer] = Held(held.version, await recalled(tx, customer, since))
    return found


async def lock_ledgers(tx: Tx, customers: Sequence[str], fresh: Sequence[str] = ()) -> dict[str, int]:
    """Lock the customers' ledger rows in customer order; `fresh` ones get a row first. Returns the versions."""
    if fresh:
        empty = Ledger.empty().pack()
        await tx.run(
            f"INSERT INTO ledger (customer, version, complete_from, ring) "
            f"SELECT c.customer, 0, {Ledger.empty().complete_from}, :ring FROM {tx.table('c', {'customer': 'text'})} "
            f"{'WHERE true' if tx.dialect == 'sqlite' else 'ORDER BY c.customer'} ON CONFLICT (customer) DO NOTHING",
            ring=empty,
            **tx.bind_table("c", {"customer": "text"}, [(customer,) for customer in sorted(fresh)]),
        )
    return dict(
        await tx.tuples(
            f"SELECT customer, version FROM ledger WHERE {tx.among('customer', 'customers')} "
            f"ORDER BY customer {tx.for_update}",
            customers=tx.array(customers),
        )
    )


async def lock_and_read(tx: Tx, customers: Sequence[str], since: Instant = LATEST) -> dict[str, Held]:
    """Lock the customers' ledger rows in customer order, giving each one a row, and read them: see `ledgers`."""
    wanted = sorted(set(customers))
    held = await _ledgers(tx, wanted, since, f"ORDER BY customer {tx.for_update}")
    missing = [customer for customer in wanted if customer not in held]
    if missing:
        await lock_ledgers(tx, missing, missing)
        held |= await _ledgers(tx, missing, since)
    return held


_LEDGER_KINDS = {"customer": "text", "complete_from": "bigint", "ring": "bytea"}


async def save_ledgers(tx: Tx, changed: Mapping[str, Ledger]) -> None:
    """Write the ledgers back, each with the next version. The rows must be locked by this transaction."""
    if not changed:
        return
    rows = [(customer, ledger.complete_from, ledger.pack()) for customer, ledger in changed.items()]
    await tx.run(
        "UPDATE ledger SET version = version + 1, complete_from = l.complete_from, ring = l.ring "
        f"FROM {tx.table('l', _LEDGER_KINDS)} WHERE ledger.customer = l.customer",
        **tx.bind_table("l", _LEDGER_KINDS, rows),
    )


def history(
    customer: str, before: Ledger, after: Ledger, now: Instant, marked: Sequence[str] = ()
) -> list[tuple[object, ...]]:
    """What changed between two ledgers, as rows of `contact_history`. What was only forgotten is not released.

    The rows of messages that were marked together come last, in the order of their marks.
    """
    changed, released = changes(before, after)
    if len(marked) > 1:
        places = {message: place for place, message in enumerate(marked)}
        changed = tuple(sorted(changed, key=lambda contact: places.get(contact.message_id, -1)))
    return [_history_row(customer, contact, contact.state, now) for contact in changed] + [
        _history_row(customer, contact, "released", now) for contact in released
    ]


def _history_row(customer: str, contact: Contact, state: str, now: Instant) -> tuple[object, ...]:
    kind = contact.kind
    return (
        *(customer, contact.message_id, state, contact.at, contact.since),
        *(kind.channel, kind.cls, kind.intent, kind.topic, kind.campaign),
        *(contact.priority, contact.event, int(contact.reported), now),
    )


async def recalled(tx: Tx, customer: str, since: Instant) -> Ledger:
    """The customer's ledger rebuilt from the history table, complete from `since` on."""
    ledger = Ledger.empty()
    for row in await contact_rows(tx, customer):
        ledger = learned(ledger, row)
    return ledger.forget(since)


async def contact_rows(tx: Tx, customer: str, until: Instant = LATEST) -> Sequence[Row[Any]]:
    """The history of the customer's contacts as recorded by an instant, oldest first."""
    return await tx.rows(
        f"SELECT {', '.join(HISTORY[1:])} FROM contact_history "
        "WHERE customer = :customer AND recorded <= :until ORDER BY seq",
        customer=customer,
        until=until,
    )


def learned(ledger: Ledger, row: Row[Any]) -> Ledger:
    """The ledger after one row of the history."""
    if row.state == "released":
        return ledger.release(row.message_id)
    state = next(state for state in STATES if state == row.state)
    kind = Kind(row.campaign or "", row.topic, row.channel, row.cls, row.intent)
    contact = Contact(
        row.message_id, row.event, kind, row.priority, row.at, row.since, state, reported=bool(row.reported)
    )
    return ledger.plan(contact)


async def seen(tx: Tx, keys: Sequence[EventKey]) -> set[EventKey]:
    """Which of these events have left an inbox row."""
    return set(await tx.find("inbox", EVENT_KEY, keys, "received")) if keys else set()


async def stored_events(tx: Tx, keys: Sequence[EventKey]) -> dict[EventKey, bytes]:
    """The structured JSON of these events, as the inbox keeps it."""
    return await tx.find("inbox", EVENT_KEY, keys, "event") if keys else {}


class Arrived(msgspec.Struct, frozen=True):
    """An event that triggered or changed something, and where it lay in the log."""

    event: Event
    topic: str
    partition: int
    offset: int


async def keep_events(tx: Tx, arrived: Iterable[Arrived], now: Instant) -> None:
    """Leave inbox rows."""
    rows = [
        (a.event.subject, a.event.source, a.event.id, a.event.type, a.event.time, now)
        + (a.topic, a.partition, a.offset, encode(a.event))
        for a in arrived
    ]
    await tx.insert("inbox", INBOX, rows)


async def keep_decisions(tx: Tx, decisions: Iterable[Decision]) -> None:
    """Append decisions with their whole trace."""
    rows = [
        (d.time, d.message_id, d.customer, d.campaign, d.channel, d.cls, d.outcome, d.reason)
        + (d.event.source, d.event.id, _DECISION.encode(d))
        for d in decisions
    ]
    await tx.insert("decision", DECISION, rows)


async def keep_history(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    """Append what happened to contacts."""
    await tx.insert("contact_history", HISTORY, rows)
