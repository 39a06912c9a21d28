"""SQL of receipts."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row

from schemas.receipt import Receipt
from schemas.times import Instant
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Tx
from services.orchestrator.decisions.store import ERASED_SOURCE

_INSERTED = {
    **dict.fromkeys(("receipt_key", "message_id", "customer", "adapter", "kind", "detail", "suppresses"), "text"),
    **dict.fromkeys(("permanent", "by_machine", "at", "received"), "bigint"),
}
_OPEN = (
    "SELECT r.seq, r.receipt_key, r.message_id, r.customer, r.adapter, r.kind, r.permanent, r.by_machine, r.detail, "
    "r.at, r.suppresses, r.published, m.channel, m.campaign, m.cls, m.topic, m.to_address "
    "FROM receipt r JOIN message m ON m.message_id = r.message_id"
)


RECEIPTS_TAKEN: Final = "receipts_taken"
"""Notified when receipts were kept that have to be published."""


class NewReceipt(NamedTuple):
    """A receipt of a message that is known here."""

    receipt: Receipt
    customer: str
    suppresses: SuppressionReason | None


async def load_messages(tx: Tx, ids: Collection[str]) -> dict[str, Row[Any]]:
    """The messages that receipts are about, by id; an unknown one, and one of an erased customer, is absent."""
    if not ids:
        return {}
    rows = await tx.rows(
        "SELECT message_id, customer, channel, cls, state, attempts, adapter, closed_at "
        f"FROM tracked_message WHERE event_source <> :erased AND {tx.in_list('message_id', 'ids')}",
        erased=ERASED_SOURCE,
        ids=tx.list_parameter(sorted(ids)),
    )
    return {row.message_id: row for row in rows}


async def insert_receipts(tx: Tx, adapter: str, new: Sequence[NewReceipt], now: Instant) -> set[str]:
    """Keep these receipts; returns the keys of those that were not kept before."""
    if not new:
        return set()
    rows: list[Sequence[object]] = [
        [
            *(each.receipt.key, each.receipt.message_id, each.customer, adapter, each.receipt.kind),
            *(each.receipt.detail, each.suppresses),
            *(int(each.receipt.permanent), int(each.receipt.by_machine), each.receipt.at, now),
        ]
        # In one order, so that of two requests with the same receipts one waits for the other.
        for each in sorted(new, key=lambda each: each.receipt.key)
    ]
    names = ", ".join(_INSERTED)
    inserted = await tx.tuples(
        f"INSERT INTO receipt ({names}) SELECT {', '.join(f'r.{name}' for name in _INSERTED)} "
        f"FROM {tx.table_parameter('r', _INSERTED)} WHERE true "
        "ON CONFLICT (receipt_key) DO NOTHING RETURNING receipt_key",
        **tx.bind_table_parameter("r", _INSERTED, rows),
    )
    return {key for (key,) in inserted}


async def find_told(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those of these messages of which a provider has said something."""
    if not ids:
        return set()
    rows = await tx.tuples(
        f"SELECT DISTINCT message_id FROM receipt WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter(sorted(ids)),
    )
    return {message_id for (message_id,) in rows}


async def list_unsuppressed(tx: Tx, keys: Collection[str]) -> Sequence[Row[Any]]:
    """Those of the receipts whose do-not-contact entry is not made yet, with their messages."""
    return await tx.rows(
        f"{_OPEN} WHERE r.suppresses IS NOT NULL AND {tx.in_list('r.receipt_key', 'keys')} ORDER BY r.seq",
        keys=tx.list_parameter(sorted(keys)),
    )


async def list_owed_entries(tx: Tx, limit: int) -> Sequence[Row[Any]]:
    """The oldest receipts that still have to lead to an entry, with their messages."""
    return await tx.rows(f"{_OPEN} WHERE r.suppresses IS NOT NULL ORDER BY r.seq LIMIT :limit", limit=limit)


async def list_unpublished(tx: Tx, limit: int) -> Sequence[Row[Any]]:
    """The oldest receipts whose events are not in the log, with their messages."""
    return await tx.rows(f"{_OPEN} WHERE r.published = 0 ORDER BY r.seq LIMIT :limit", limit=limit)


async def mark_suppressed(tx: Tx, sequence: Sequence[int]) -> None:
    """Note that the entries of these receipts are made."""
    await tx.execute(
        f"UPDATE receipt SET suppresses = NULL WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
        seqs=tx.list_parameter(sequence),
    )


async def mark_published(tx: Tx, sequence: Sequence[int]) -> None:
    """Note that the events of these receipts are in the log."""
    await tx.execute(
        f"UPDATE receipt SET published = 1 WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
        seqs=tx.list_parameter(sequence),
    )


async def list_receipts(tx: Tx, message_id: str) -> Sequence[Row[Any]]:
    """What was said about one message, in the order of the times that were said."""
    return await tx.rows(
        "SELECT kind, permanent, by_machine, detail, adapter, at, received FROM receipt "
        "WHERE message_id = :id ORDER BY at, seq",
        id=message_id,
    )
