"""SQL of events, ledgers, decisions and the history of contacts. Hot paths take and return whole batches.

Whoever writes a customer's messages holds the lock on the customer's ledger row. So a check made under that lock is
exact, and the message that uses up a cap commits together with the ledger that counts it.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from schemas.decision import Decision
from schemas.event import Event, encode_event
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.policy.ledger import CONTACT_STATES, Contact, Ledger
from services.orchestrator.policy.ledger_changes import diff_ledgers
from services.orchestrator.policy.scope import MessageAttributes

SHARDS = 16

ERASED_SOURCE: Final = "/erased"
"""The source of events of erased customers, whose ids are pseudonyms."""
EventKey = tuple[str, ...]
"""Customer, source, event id."""
ReportedKey = tuple[str, str]
"""Customer, message id of a contact that another tool reported."""
EVENT_KEY_COLUMNS = ("customer", "source", "event_id")

_DECISION_ENCODER = msgspec.msgpack.Encoder()

INBOX_COLUMNS = (
    "customer",
    "source",
    "event_id",
    "type",
    "time",
    "received",
    "topic",
    "partition",
    "log_offset",
    "event",
)
DECISION_COLUMNS = (
    *("time", "message_id", "customer", "campaign", "channel", "cls", "outcome", "reason"),
    *("event_source", "event_id", "body"),
    *("event_type", "event_time", "log_topic", "log_partition", "log_offset", "event"),
)
_WITHOUT_EVENT = (None,) * 6
HISTORY_COLUMNS = (
    *("customer", "message_id", "state", "at", "since", "channel", "cls", "intent", "topic", "campaign"),
    *("priority", "event", "reported", "recorded"),
)


class VersionedLedger(msgspec.Struct, frozen=True):
    """A customer's ledger as it was read. Version 0 means that there is no row yet."""

    version: int
    ledger: Ledger


END_OF_TIME = 2**63 - 1

EMPTY_LEDGER = VersionedLedger(0, Ledger.empty())
NOTHING_CLAIMED: Mapping[str, Sequence[str]] = MappingProxyType({})


def shard_of(customer: str) -> int:
    """The outbox shard of a customer."""
    return zlib.crc32(customer.encode()) % SHARDS


async def load_ledgers(
    tx: Tx, customers: Sequence[str], complete_since: Instant = END_OF_TIME
) -> dict[str, VersionedLedger]:
    """The ledgers of these customers, complete from `complete_since` on. Customers without a row are absent.

    A ledger that has forgotten what lies after that instant, because a longer rule came into force, is rebuilt from
    the history.
    """
    return await _load_ledgers(tx, customers, complete_since)


async def _load_ledgers(
    tx: Tx, customers: Sequence[str], complete_since: Instant, lock: str = ""
) -> dict[str, VersionedLedger]:
    if not customers:
        return {}
    sql = f"SELECT customer, version, ring FROM ledger WHERE {tx.in_list('customer', 'customers')} {lock}"
    rows = await tx.tuples(sql, customers=tx.list_parameter(customers))
    found = {customer: VersionedLedger(version, Ledger.unpack(ring)) for customer, version, ring in rows}
    for customer, loaded in found.items():
        if loaded.ledger.complete_from > complete_since:
            found[customer] = VersionedLedger(loaded.version, await rebuild_ledger(tx, customer, complete_since))
    return found


async def lock_ledgers(tx: Tx, customers: Sequence[str], new_customers: Sequence[str] = ()) -> dict[str, int]:
    """Lock the customers' ledger rows in customer order, so that two transactions never wait for each other.

    `new_customers` get a row first. Returns the versions.
    """
    await insert_empty_ledgers(tx, new_customers)
    return dict(
        await tx.tuples(
            f"SELECT customer, version FROM ledger WHERE {tx.in_list('customer', 'customers')} "
            f"ORDER BY customer {tx.for_update}",
            customers=tx.list_parameter(customers),
        )
    )


async def insert_empty_ledgers(tx: Tx, customers: Sequence[str]) -> None:
    """Make sure that each of the customers has a row. Version 0: nothing was ever written to it."""
    if not customers:
        return
    # Two processes may meet a new customer at the same time: one inserts the row, the other waits for it here.
    # Sorted, because inserted rows are locked rows.
    await tx.execute(
        f"INSERT INTO ledger (customer, version, complete_from, ring) "
        f"SELECT c.customer, 0, {Ledger.empty().complete_from}, :ring "
        f"FROM {tx.table_parameter('c', {'customer': 'text'})} "
        f"{'WHERE true' if tx.dialect == 'sqlite' else 'ORDER BY c.customer'} ON CONFLICT (customer) DO NOTHING",
        ring=Ledger.empty().pack(),
        **tx.bind_table_parameter("c", {"customer": "text"}, [(customer,) for customer in sorted(customers)]),
    )


async def delete_unused_ledgers(tx: Tx, customers: Sequence[str]) -> None:
    """Delete those of these customers' ledgers to which nothing was ever written. Requires `lock_ledgers`."""
    if customers:
        await tx.execute(
            f"DELETE FROM ledger WHERE version = 0 AND {tx.in_list('customer', 'customers')}",
            customers=tx.list_parameter(list(customers)),
        )


async def lock_and_load_ledgers(
    tx: Tx, customers: Sequence[str], complete_since: Instant = END_OF_TIME
) -> dict[str, VersionedLedger]:
    """Lock the ledger rows of customers, in customer order, and read them: see `load_ledgers`.

    Whoever has a message that has been ready has a ledger; where there is none, the customer has just been erased.
    """
    ordered = sorted(set(customers))
    return await _load_ledgers(tx, ordered, complete_since, f"ORDER BY customer {tx.for_update}")


_LEDGER_COLUMN_TYPES = {"customer": "text", "complete_from": "bigint", "ring": "bytea"}


async def save_ledgers(tx: Tx, changed: Mapping[str, Ledger]) -> None:
    """Write the ledgers back, each with its next version. The rows must be locked by this transaction."""
    if not changed:
        return
    rows = await tx.loop_share.collect(
        (customer, ledger.complete_from, ledger.pack()) for customer, ledger in changed.items()
    )
    await tx.update_rows(
        "ledger",
        "version = version + 1, complete_from = {complete_from}, ring = {ring}",
        "ledger.customer = {customer}",
        _LEDGER_COLUMN_TYPES,
        rows,
    )


_READ_LEDGER_COLUMN_TYPES = {**_LEDGER_COLUMN_TYPES, "version": "bigint"}


async def save_unlocked_ledgers(tx: Tx, changed: Mapping[str, VersionedLedger]) -> bool:
    """Write ledgers whose rows are not locked, each on the version that it was read with. Returns whether all were
    still of that version; if not, the caller takes the transaction, or this part of it, back.

    The rows are locked in customer order, as by `lock_ledgers`: they are looked up one by one in the order given.
    """
    rows = await tx.loop_share.collect(
        (name, each.ledger.complete_from, each.ledger.pack(), each.version) for name, each in sorted(changed.items())
    )
    saved = await tx.update_rows(
        "ledger",
        "version = {version} + 1, complete_from = {complete_from}, ring = {ring}",
        "ledger.customer = {customer} AND ledger.version = {version}",
        _READ_LEDGER_COLUMN_TYPES,
        rows,
    )
    return saved == len(rows)


async def save_ledger_changes(
    tx: Tx,
    before: Mapping[str, Ledger],
    after: Mapping[str, Ledger],
    now: Instant,
    claimed_ids: Mapping[str, Sequence[str]] = NOTHING_CLAIMED,
) -> None:
    """Write the ledgers that have changed, and the changes to the history. The rows must be locked by this transaction.

    `claimed_ids`: the messages that were claimed together, by customer, in the order of their claims.
    """
    changed = {customer: ledger for customer, ledger in after.items() if ledger is not before[customer]}
    await save_ledgers(tx, changed)
    rows = [
        row
        for customer, ledger in changed.items()
        for row in contact_history_rows(customer, before[customer], ledger, now, claimed_ids.get(customer, ()))
    ]
    await insert_contact_history(tx, rows)


def contact_history_rows(
    customer: str, before: Ledger, after: Ledger, now: Instant, claimed_ids: Sequence[str] = ()
) -> list[tuple[object, ...]]:
    """What changed between two ledgers, as rows of `contact_history`. What was only forgotten is not released.

    The rows of messages that were claimed together come last, in the order of their claims.
    """
    changed, released = diff_ledgers(before, after)
    if len(claimed_ids) > 1:
        claim_order = {message: index for index, message in enumerate(claimed_ids)}
        changed = tuple(sorted(changed, key=lambda contact: claim_order.get(contact.message_id, -1)))
    return [_history_row(customer, contact, contact.state, now) for contact in changed] + [
        _history_row(customer, contact, "released", now) for contact in released
    ]


def _history_row(customer: str, contact: Contact, state: str, now: Instant) -> tuple[object, ...]:
    attributes = contact.attributes
    return (
        *(customer, contact.message_id, state, contact.at, contact.first_planned),
        *(attributes.channel, attributes.cls, attributes.intent, attributes.topic, attributes.campaign),
        *(contact.priority, contact.event_hash, int(contact.reported), now),
    )


async def rebuild_ledger(tx: Tx, customer: str, complete_since: Instant) -> Ledger:
    """The customer's ledger, rebuilt from the history, complete from `complete_since` on."""
    ledger = Ledger.empty()
    for row in await load_contact_history(tx, customer):
        ledger = apply_history_row(ledger, row)
    return ledger.forget(complete_since)


async def load_contact_history(tx: Tx, customer: str, until: Instant = END_OF_TIME) -> Sequence[Row[Any]]:
    """The history of the customer's contacts as recorded by an instant, oldest first."""
    return await tx.rows(
        f"SELECT {', '.join(HISTORY_COLUMNS[1:])} FROM contact_history "
        "WHERE customer = :customer AND recorded <= :until ORDER BY seq",
        customer=customer,
        until=until,
    )


def apply_history_row(ledger: Ledger, row: Row[Any]) -> Ledger:
    """The ledger after one row of the history."""
    return ledger.release(row.message_id) if row.state == "released" else ledger.put_contact(_contact_of(row))


def _contact_of(row: Row[Any]) -> Contact:
    state = next(state for state in CONTACT_STATES if state == row.state)
    attributes = MessageAttributes(row.campaign or "", row.topic, row.channel, row.cls, row.intent)
    return Contact(
        row.message_id, row.event, attributes, row.priority, row.at, row.since, state, reported=bool(row.reported)
    )


async def find_reported_contacts(tx: Tx, keys: Sequence[ReportedKey]) -> dict[ReportedKey, Contact]:
    """Those of these contacts that the history has as reported by another tool, however old they are."""
    rows = await tx.rows(
        f"SELECT {', '.join(HISTORY_COLUMNS)} FROM contact_history WHERE {tx.in_list('customer', 'customers')} "
        f"AND {tx.in_list('message_id', 'ids')} AND reported = 1 ORDER BY seq",
        customers=tx.list_parameter(sorted({customer for customer, _ in keys})),
        ids=tx.list_parameter(sorted({message_id for _, message_id in keys})),
    )
    return {(row.customer, row.message_id): _contact_of(row) for row in rows}


async def count_history_rows(tx: Tx, customers: Sequence[str]) -> dict[str, int]:
    """How many rows of contacts the history has of these customers; one without any is absent."""
    if not customers:
        return {}
    rows = await tx.tuples(
        f"SELECT customer, count(*) FROM contact_history WHERE {tx.in_list('customer', 'customers')} GROUP BY customer",
        customers=tx.list_parameter(list(customers)),
    )
    return dict(rows)


async def insert_reported_contacts(tx: Tx, contacts: Iterable[tuple[str, Contact]], now: Instant) -> None:
    """Append contacts, each with its customer, that another tool has reported."""
    rows = [_history_row(customer, contact, contact.state, now) for customer, contact in contacts]
    await insert_contact_history(tx, rows)


async def known_event_keys(tx: Tx, keys: Sequence[EventKey]) -> set[EventKey]:
    """Returns those of these events that are stored."""
    return set(await tx.lookup_column("stored_event", EVENT_KEY_COLUMNS, keys, "received")) if keys else set()


async def known_and_erased(
    tx: Tx, keys: Sequence[EventKey], pseudonyms: Sequence[str]
) -> tuple[set[EventKey], set[str]]:
    """Those of these events that are stored, and those of the customers who were erased: one statement."""
    if not keys:
        return set(), set()
    kinds = dict.fromkeys(EVENT_KEY_COLUMNS, "text")
    same = " AND ".join(f"e.{name} = k.{name}" for name in EVENT_KEY_COLUMNS)
    known = f"(SELECT e.received FROM stored_event e WHERE {same}) AS known"
    rows = await tx.tuples(
        "SELECT customer, source, event_id FROM "
        f"(SELECT k.customer, k.source, k.event_id, {known} FROM {tx.table_parameter('k', kinds)}) AS found "
        "WHERE known IS NOT NULL UNION ALL "
        f"SELECT pseudonym, NULL, NULL FROM erasure WHERE {tx.in_list('pseudonym', 'pseudonyms')}",
        pseudonyms=tx.list_parameter(list(pseudonyms)),
        **tx.bind_table_parameter("k", kinds, list(dict.fromkeys(keys))),
    )
    return {row for row in map(tuple, rows) if row[1] is not None}, {row[0] for row in rows if row[1] is None}


async def load_events(tx: Tx, keys: Sequence[EventKey]) -> dict[EventKey, bytes]:
    """The structured JSON of these events, as they are stored."""
    return await tx.lookup_column("stored_event", EVENT_KEY_COLUMNS, keys, "event") if keys else {}


class ReceivedEvent(msgspec.Struct, frozen=True):
    """An event that triggered or changed something, and its position in the log."""

    event: Event
    topic: str
    partition: int
    offset: int


async def insert_decisions(
    tx: Tx, decisions: Iterable[Decision], events: Iterable[ReceivedEvent] = ()
) -> list[ReceivedEvent]:
    """Append decisions with their whole trace, and each of the events with its first decision.

    Returns the events about which nothing was decided.
    """
    undecided = {event_key(each.event): each for each in events}
    await tx.bulk_insert("decision", DECISION_COLUMNS, (_decision_row(each, undecided) for each in decisions))
    return list(undecided.values())


def _decision_row(d: Decision, undecided: dict[EventKey, ReceivedEvent]) -> tuple[object, ...]:
    """A row of a decision. The first about an event takes it from the undecided ones, and stores it as well."""
    first_of = undecided.pop((d.customer, d.event.source, d.event.id), None)
    return (
        (d.time, d.message_id, d.customer, d.campaign, d.channel, d.cls, d.outcome, d.reason)
        + (d.event.source, d.event.id, _DECISION_ENCODER.encode(d))
        + (_WITHOUT_EVENT if first_of is None else _event_columns(first_of))
    )


def _event_columns(received: ReceivedEvent) -> tuple[object, ...]:
    event = received.event
    return (event.type, event.time, received.topic, received.partition, received.offset, encode_event(event))


async def insert_events(tx: Tx, events: Iterable[ReceivedEvent], now: Instant) -> None:
    """Insert inbox rows: events about which nothing was decided."""
    rows: list[tuple[object, ...]] = []
    for each in events:
        kind, time, *position, encoded = _event_columns(each)
        rows.append((*event_key(each.event), kind, time, now, *position, encoded))
    await tx.bulk_insert("inbox", INBOX_COLUMNS, rows)


async def count_decisions_since(tx: Tx, customers: Sequence[str], since: Instant) -> int:
    """How many decisions on these customers were made from an instant on."""
    row = await tx.row(
        f"SELECT count(*) AS decisions FROM decision WHERE customer IN ({tx.unnest('customers')}) AND time >= :since",
        customers=tx.list_parameter(list(customers)),
        since=since,
    )
    return 0 if row is None else int(row.decisions)


async def insert_contact_history(tx: Tx, rows: Iterable[tuple[object, ...]]) -> None:
    """Append what happened to contacts."""
    await tx.bulk_insert("contact_history", HISTORY_COLUMNS, rows)


def event_key(event: Event) -> EventKey:
    """Identifies the event: customer, source, id."""
    return event.subject, event.source, event.id
