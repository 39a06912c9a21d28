"""SQL of receipts."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Row

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.receipt import Receipt
from schemas.times import Instant
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Tx
from services.orchestrator.decisions.message_life import MessageStep, keep_steps
from services.orchestrator.decisions.store import ERASED_SOURCE

_INSERTED = {
    **dict.fromkeys(("receipt_key", "message_id", "customer", "adapter", "kind", "detail", "suppresses"), "text"),
    **dict.fromkeys(("permanent", "by_machine", "at", "received", "published"), "bigint"),
    **dict.fromkeys(("text", "channel", "address"), "text"),
}
_OPEN = (
    "SELECT r.seq, r.receipt_key, r.message_id, r.customer, r.adapter, r.kind, r.permanent, r.by_machine, r.detail, "
    "r.at, r.received, r.suppresses, r.published, r.text, COALESCE(m.channel, r.channel) AS channel, "
    "m.campaign, m.cls, m.topic, COALESCE(m.to_address, r.address) AS to_address "
    "FROM receipt r LEFT JOIN message m ON m.message_id = r.message_id "
    "WHERE (m.message_id IS NOT NULL OR r.address IS NOT NULL)"
)
"""What of them is not done yet, in a query that goes on with AND."""
LAST_MESSAGE: Final = (
    "SELECT message_id, customer, channel, closed_at, created FROM tracked_message "
    "WHERE channel = '{channel}' AND to_address = :address AND attempts > 0 AND event_source <> :erased "
    "ORDER BY created DESC, message_id LIMIT 1"
)
"""The channel stands in the statement itself, or its partial index (migrations 0026, 0030) would not be used."""
REPLY_CHANNELS: Final = tuple(id for id, each in CHANNEL_REGISTRY.declarations.items() if each.has_replies)
"""Channels with such an index. On others a reply would be looked for in all messages, so none is taken there."""
STOPS_ADVERTISING: Final[Literal["stop_advertising"]] = "stop_advertising"
"""What `suppresses` says of a reply that wants no advertising, whatever a stop means on its channel."""
LIFTS: Final[Literal["lift"]] = "lift"
"""What `suppresses` says of a reply, or of an arrival, that takes back the entry of earlier ones."""
OF_HANDOVER: Final = "handover:"
"""Beginning of the keys of what a provider has said at once, when a message was handed over."""
RECEIPTS_TAKEN: Final = "receipts_taken"
"""Notified when receipts were kept that have to be published."""


Suppresses = SuppressionReason | Literal["lift", "stop_advertising"]


class NewReceipt(NamedTuple):
    """A receipt of a message that is known here, or a reply from an address that no message is known to have gone to:
    then `customer` and the message id are empty, and `channel` and `address` are given. `reply_from`: of every reply,
    the address that it comes from, which is not kept with the receipt. `repeats`: it stands beside another one of the
    same reply, for an address that the customer may be known by as well.
    """

    receipt: Receipt
    customer: str
    suppresses: Suppresses | None
    text: str | None = None
    channel: str | None = None
    address: str | None = None
    reply_from: str | None = None
    repeats: bool = False


async def load_messages(tx: Tx, ids: Collection[str]) -> dict[str, Row[Any]]:
    """The messages that receipts are about, by id; an unknown one, and one of an erased customer, is absent."""
    if not ids:
        return {}
    rows = await tx.rows(
        "SELECT message_id, customer, channel, cls, state, attempts, adapter, closed_at, address_hash, event_source, "
        "event_id "
        f"FROM tracked_message WHERE event_source <> :erased AND {tx.in_list('message_id', 'ids')}",
        erased=ERASED_SOURCE,
        ids=tx.list_parameter(sorted(ids)),
    )
    return {row.message_id: row for row in rows}


async def find_last_message(tx: Tx, channel: str, address: str) -> Row[Any] | None:
    """The last message to an address, which a reply from there belongs to."""
    assert channel in REPLY_CHANNELS
    return await tx.row(LAST_MESSAGE.format(channel=channel), address=address, erased=ERASED_SOURCE)


async def load_last_replies(
    tx: Tx, channel: str, adapter: str, customers: Collection[str]
) -> dict[tuple[str, str], Instant]:
    """When these customers last wrote to an adapter on a channel, by customer and address. Who has stopped advertising
    in the provider's own way has written nothing.
    """
    rows = await tx.rows(
        "SELECT r.customer, m.to_address, max(r.at) AS last FROM receipt r "
        "JOIN tracked_message m ON m.message_id = r.message_id "
        "WHERE r.channel = :channel AND r.adapter = :adapter AND COALESCE(r.detail, '') <> :no_message "
        f"AND {tx.in_list('r.customer', 'customers')} "
        "GROUP BY r.customer, m.to_address",
        channel=channel,
        adapter=adapter,
        no_message=STOPS_ADVERTISING,
        customers=tx.list_parameter(sorted(customers)),
    )
    return {(row.customer, row.to_address): row.last for row in rows}


async def insert_receipts(tx: Tx, adapter: str, new: Sequence[NewReceipt], now: Instant) -> set[str]:
    """Keep these receipts; returns the keys of those that were not kept before."""
    if not new:
        return set()
    rows: list[Sequence[object]] = [
        [
            *(each.receipt.key, each.receipt.message_id, each.customer, adapter, each.receipt.kind),
            *(each.receipt.detail, each.suppresses),
            *(int(each.receipt.permanent), int(each.receipt.by_machine), each.receipt.at, now),
            *(int(not each.customer), each.text, each.channel, each.address),  # without a customer there is no event
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


async def keep_receipts(
    tx: Tx, adapter: str, new: Sequence[NewReceipt], inserted: Collection[str], now: Instant
) -> None:
    """Keep for `tactful.messages` what the new ones of these receipts say. Requires the locks of the ledgers."""
    await keep_steps(tx, _steps_of(adapter, new, inserted), now)


def _steps_of(adapter: str, new: Sequence[NewReceipt], inserted: Collection[str]) -> Iterator[MessageStep]:
    """What the new ones of these receipts say of messages; a statement that is in them twice counts once."""
    by_key = {each.receipt.key: each.receipt for each in reversed(new) if each.receipt.message_id}
    for key in dict.fromkeys(each.receipt.key for each in new):
        if key in inserted and (receipt := by_key.get(key)) is not None:
            yield MessageStep(
                *(receipt.message_id, receipt.kind, receipt.at, None, adapter, receipt.detail),
                *(receipt.permanent, receipt.by_machine),
            )


async def note_consequence(tx: Tx, key: str, suppresses: Suppresses) -> None:
    """Note that a receipt leads to an entry, or takes one back, unless it leads to one anyway."""
    await tx.execute(
        "UPDATE receipt SET suppresses = :suppresses WHERE receipt_key = :key AND suppresses IS NULL",
        suppresses=suppresses,
        key=key,
    )


async def find_told(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those of these messages of which a provider has said something."""
    if not ids:
        return set()
    rows = await tx.tuples(
        f"SELECT DISTINCT message_id FROM receipt WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter(sorted(ids)),
    )
    return {message_id for (message_id,) in rows}


async def find_told_by_provider(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those of these messages that their providers must have had, by what they have said since. A reply proves nothing:
    it is kept with the last message to its address, and may answer an earlier one. Nor does a refused handover.
    """
    if not ids:
        return set()
    rows = await tx.tuples(
        f"SELECT DISTINCT message_id FROM receipt WHERE {tx.in_list('message_id', 'ids')} "
        "AND kind <> 'replied' AND receipt_key <> :of_handover || message_id",
        ids=tx.list_parameter(sorted(ids)),
        of_handover=OF_HANDOVER,
    )
    return {message_id for (message_id,) in rows}


async def list_unsuppressed(tx: Tx, keys: Collection[str]) -> Sequence[Row[Any]]:
    """Those of the receipts whose do-not-contact entry is not made yet, with their messages."""
    return await tx.rows(
        f"{_OPEN} AND r.suppresses IS NOT NULL AND {tx.in_list('r.receipt_key', 'keys')} ORDER BY r.seq",
        keys=tx.list_parameter(sorted(keys)),
    )


async def list_owed_entries(tx: Tx, limit: int) -> Sequence[Row[Any]]:
    """The oldest receipts that still have to lead to an entry, with their messages."""
    return await tx.rows(f"{_OPEN} AND r.suppresses IS NOT NULL ORDER BY r.seq LIMIT :limit", limit=limit)


async def list_unpublished(tx: Tx, limit: int) -> Sequence[Row[Any]]:
    """The oldest receipts whose events are not in the log, with their messages."""
    return await tx.rows(f"{_OPEN} AND r.published = 0 ORDER BY r.seq LIMIT :limit", limit=limit)


async def mark_suppressed(tx: Tx, sequence: Sequence[int]) -> None:
    """Note that the entries of these receipts are made."""
    await tx.execute(
        f"UPDATE receipt SET suppresses = NULL, address = NULL WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
        seqs=tx.list_parameter(sequence),
    )


async def mark_published(tx: Tx, sequence: Sequence[int]) -> None:
    """Note that the events of these receipts are in the log."""
    await tx.execute(
        f"UPDATE receipt SET published = 1, text = NULL WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
        seqs=tx.list_parameter(sequence),
    )


async def list_receipts(tx: Tx, message_id: str) -> Sequence[Row[Any]]:
    """What was said about one message, in the order of the times that were said."""
    return await tx.rows(
        "SELECT kind, permanent, by_machine, detail, adapter, at, received FROM receipt "
        "WHERE message_id = :id ORDER BY at, seq",
        id=message_id,
    )
