"""SQL of inboxes.

An inbox holds the newest `MOST_MESSAGES` of a customer, so nothing that reads one of them has to be bounded further.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Row

from schemas.message import Message
from schemas.times import Instant
from services.kit.db.database import Tx

INBOX_CHANGED: Final = "app_inbox_changed"
"""Notified when messages of inboxes were added or changed."""
MOST_MESSAGES: Final = 500
EXPIRED_AT_ONCE: Final = 1_000

Mark = Literal["seen", "read", "clicked", "archived"]

_COLUMNS: Final = "message_id, position, version, content, locale, topic, at, seen_at, read_at, clicked_at, archived_at"
_INSERTED: Final = {
    **dict.fromkeys(("message_id", "customer", "content", "locale", "topic"), "text"),
    **dict.fromkeys(("position", "version", "at"), "bigint"),
}
_COUNTED: Final = {"customer": "text", "many": "bigint"}
_FLOORS: Final = {"customer": "text", "floor": "bigint"}


async def insert_messages(tx: Tx, messages: Sequence[Message], now: Instant) -> None:
    """Add messages to the inboxes of their customers, and notify; one whose id is there already is ignored."""
    ends = await _count_up(tx, Counter(message.customer for message in messages))
    left = Counter({customer: count for customer, (_, _, count) in ends.items()})
    rows = []
    for message in messages:
        left[message.customer] -= 1
        position, version, _ = ends[message.customer]
        before = left[message.customer]
        content = msgspec.json.encode({name: _as_unicode(text) for name, text in message.content.items()}).decode()
        rows.append([
            *(message.id, message.customer, content, message.locale, message.topic),
            *(position - before, version - before, now),
        ])  # fmt: skip
    names = ", ".join(_INSERTED)
    await tx.execute(
        f"INSERT INTO app_message ({names}) SELECT {', '.join(f'k.{name}' for name in _INSERTED)} "
        f"FROM {tx.table_parameter('k', _INSERTED)} WHERE true ON CONFLICT (message_id) DO NOTHING",
        **tx.bind_table_parameter("k", _INSERTED, rows),
    )
    await _delete_overflow(tx, {customer: end[0] - MOST_MESSAGES for customer, end in ends.items()})
    await tx.notify(INBOX_CHANGED)


def _as_unicode(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which no JSON may have."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


async def _count_up(tx: Tx, counts: Mapping[str, int]) -> dict[str, tuple[int, int, int]]:
    """Lock the customers' rows, and give each so many new numbers: the last position, the last version, how many."""
    # In one order, so that of two batches with the same customers one waits for the other.
    rows = [[customer, counts[customer]] for customer in sorted(counts)]
    found = await tx.tuples(
        "INSERT INTO app_message_head (customer, position, version) SELECT k.customer, k.many, k.many "
        f"FROM {tx.table_parameter('k', _COUNTED)} WHERE true ON CONFLICT (customer) DO UPDATE SET "
        "position = app_message_head.position + excluded.position, "
        "version = app_message_head.version + excluded.version RETURNING customer, position, version",
        **tx.bind_table_parameter("k", _COUNTED, rows),
    )
    return {customer: (position, version, counts[customer]) for customer, position, version in found}


async def _delete_overflow(tx: Tx, floors: Mapping[str, int]) -> None:
    over = [[customer, floor] for customer, floor in floors.items() if floor > 0]
    if over:
        await tx.execute(
            "DELETE FROM app_message WHERE EXISTS "
            f"(SELECT 1 FROM {tx.table_parameter('k', _FLOORS)} "
            "WHERE app_message.customer = k.customer AND app_message.position <= k.floor)"
            f" AND {tx.in_list('customer', 'customers')}",
            customers=tx.list_parameter([customer for customer, _ in over]),
            **tx.bind_table_parameter("k", _FLOORS, over),
        )


async def list_inbox(tx: Tx, customer: str, *, archived: bool, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """A page of a customer's messages, newest first. `before`: the position where the page before has ended."""
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM app_message WHERE customer = :customer AND position < :before "
        f"AND archived_at IS {'NOT NULL' if archived else 'NULL'} ORDER BY position DESC LIMIT :limit",
        customer=customer,
        before=2**62 if before is None else before,
        limit=limit,
    )


async def count_unread(tx: Tx, customer: str) -> int:
    """How many messages a customer has neither read nor archived."""
    row = await tx.row(
        "SELECT count(*) AS many FROM app_message WHERE customer = :customer "
        "AND read_at IS NULL AND archived_at IS NULL",
        customer=customer,
    )
    return 0 if row is None else int(row.many)


async def find_messages(tx: Tx, customer: str, ids: Collection[str]) -> Sequence[Row[Any]]:
    """Those of these messages that are in the customer's inbox."""
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM app_message WHERE customer = :customer AND {tx.in_list('message_id', 'ids')}",
        customer=customer,
        ids=tx.list_parameter(sorted(set(ids))),
    )


async def find_unread(tx: Tx, customer: str, until: int | None) -> Sequence[Row[Any]]:
    """The unread messages of a customer up to this position."""
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM app_message WHERE customer = :customer AND position <= :until "
        "AND read_at IS NULL AND archived_at IS NULL",
        customer=customer,
        until=2**62 if until is None else until,
    )


async def list_changed(tx: Tx, customer: str, after: int) -> Sequence[Row[Any]]:
    """The messages that were added or changed after a version, in order."""
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM app_message WHERE customer = :customer AND version > :after "
        "ORDER BY version, position",
        customer=customer,
        after=after,
    )


async def read_versions(tx: Tx, customers: Collection[str]) -> dict[str, int]:
    """The number of the last change to the inbox of each of these customers; one without an inbox is absent."""
    rows = await tx.rows(
        f"SELECT customer, version FROM app_message_head WHERE {tx.in_list('customer', 'customers')}",
        customers=tx.list_parameter(sorted(customers)),
    )
    return {row.customer: row.version for row in rows}


async def set_marks(tx: Tx, customer: str, ids: Collection[str], marks: Collection[Mark], now: Instant) -> None:
    """Mark messages of a customer, keeping marks that are there, and notify."""
    assigned = ", ".join(f"{mark}_at = COALESCE({mark}_at, :now)" for mark in sorted(marks))
    await _change(tx, customer, ids, assigned, now=now)


async def unarchive(tx: Tx, customer: str, ids: Collection[str]) -> None:
    """Take messages back out of the archive, and notify."""
    await _change(tx, customer, ids, "archived_at = NULL")


async def _change(tx: Tx, customer: str, ids: Collection[str], assigned: str, **params: Any) -> None:
    head = await tx.row(
        "UPDATE app_message_head SET version = version + 1 WHERE customer = :customer RETURNING version",
        customer=customer,
    )
    if head is None:  # erased meanwhile
        return
    await tx.execute(
        f"UPDATE app_message SET {assigned}, version = :version WHERE customer = :customer "
        f"AND {tx.in_list('message_id', 'ids')}",
        customer=customer,
        version=head.version,
        ids=tx.list_parameter(sorted(set(ids))),
        **params,
    )
    await tx.notify(INBOX_CHANGED)


async def delete_old_messages(tx: Tx, before: Instant) -> int:
    """Delete some of the messages that came before an instant; returns how many."""
    found = await tx.tuples(
        "SELECT message_id FROM app_message WHERE at < :before ORDER BY at LIMIT :most",
        before=before,
        most=EXPIRED_AT_ONCE,
    )
    return await tx.execute(
        f"DELETE FROM app_message WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter([message_id for (message_id,) in found]),
    )
