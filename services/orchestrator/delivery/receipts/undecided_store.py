"""SQL of replies that a person has to decide about."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Row

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.orchestrator.delivery.receipts.store import NewReceipt

ReplyDecision = Literal["stop", "not_stop"]
"""What a reply was: a wish for no more messages, or not."""
ReplyState = Literal["undecided", "stop", "not_stop", "erased"]
BY_THE_CUSTOMER: Final = "the customer"
"""Who has decided, where a STOP or a START has followed."""
_COLUMNS: Final = (
    "seq, message_id, customer, adapter, channel, address, text, at, received, held_from, state, decided_by, "
    "decided_at, owes"
)
_INSERTED: Final = (
    *("receipt_key", "message_id", "customer", "adapter", "channel", "address", "text"),
    *("at", "received", "held_from", "state", "owes"),
)
_CLOSED: Final = "text = NULL, state = :state, decided_by = :by, decided_at = :now"


class UndecidedSize(NamedTuple):
    """How many replies nobody has decided about, and when the oldest of them was received; 0 if there is none."""

    waiting: int
    oldest: Instant


async def insert_undecided(tx: Tx, adapter: str, replies: Sequence[NewReceipt], now: Instant) -> None:
    """Keep replies, which are new, until a person decides. The do-not-contact list has to be told."""
    await tx.bulk_insert(
        "undecided_reply",
        _INSERTED,
        [
            (
                *(each.receipt.key, each.receipt.message_id, each.customer, adapter, each.channel, each.reply_from),
                *(each.text, each.receipt.at, now, _held_from(each.receipt.key, now), "undecided", "hold"),
            )
            for each in replies
        ],
    )


def _held_from(key: str, now: Instant) -> Instant:
    """An instant of the last second, another one for each reply: it tells the entry from those of other replies."""
    return now - int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % SECOND


async def close_by_customer(
    tx: Tx, channel: str, address: str, state: ReplyDecision, until: Instant, now: Instant
) -> list[str]:
    """The customer has said plainly what they want: what they had said until then needs no decision any more. Returns
    the keys of these replies.
    """
    closed = await tx.tuples(
        f"UPDATE undecided_reply SET {_CLOSED}, owes = 'lift' "
        "WHERE state = 'undecided' AND channel = :channel AND address = :address AND at <= :until "
        "RETURNING receipt_key",
        state=state,
        by=BY_THE_CUSTOMER,
        until=until,
        now=now,
        channel=channel,
        address=address,
    )
    return [key for (key,) in closed]


async def list_replies(tx: Tx, state: ReplyState | None, after: int, limit: int) -> Sequence[Row[Any]]:
    """Replies in the order of their arrival, those with a number above `after`; None: in any state."""
    where = "" if state is None else "AND state = :state "
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM undecided_reply WHERE seq > :after {where}ORDER BY seq LIMIT :limit",
        after=after,
        limit=limit,
        **({} if state is None else {"state": state}),
    )


async def get_reply(tx: Tx, seq: int, *, lock: bool = False) -> Row[Any] | None:
    """One of them. `lock`: nobody else decides about it until the transaction ends."""
    return await tx.row(
        f"SELECT {_COLUMNS} FROM undecided_reply WHERE seq = :seq {tx.for_update if lock else ''}", seq=seq
    )


async def write_decision(tx: Tx, seq: int, decision: ReplyDecision, by: str, now: Instant) -> None:
    """Write what a person has decided about a reply, which is locked. The do-not-contact list has to be told."""
    await tx.execute(
        f"UPDATE undecided_reply SET {_CLOSED}, owes = :owes WHERE seq = :seq",
        state=decision,
        by=by,
        now=now,
        owes="stop" if decision == "stop" else "lift",
        seq=seq,
    )


async def list_owed(tx: Tx, limit: int, keys: Collection[str] | None = None) -> Sequence[Row[Any]]:
    """The oldest replies of which the do-not-contact list does not know everything yet; optionally only some."""
    of_keys = "" if keys is None else f"AND {tx.in_list('receipt_key', 'keys')} "
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM undecided_reply WHERE owes IS NOT NULL {of_keys}ORDER BY seq LIMIT :limit",
        limit=limit,
        **({} if keys is None else {"keys": tx.list_parameter(sorted(keys))}),
    )


async def mark_told(tx: Tx, sequence: Sequence[int], owed: str) -> set[int]:
    """The do-not-contact list knows it of these now; returns those of which it need not be told something else
    meanwhile.
    """
    gone = "" if owed == "hold" else ", address = NULL"
    told = await tx.tuples(
        f"UPDATE undecided_reply SET owes = NULL{gone} WHERE owes = :owed AND {tx.in_list('seq', 'seqs', 'bigint')} "
        "RETURNING seq",
        owed=owed,
        seqs=tx.list_parameter(sequence),
    )
    return {seq for (seq,) in told}


async def measure_undecided(tx: Tx) -> UndecidedSize:
    """How much waits for a person."""
    row = await tx.row(
        "SELECT count(*) AS many, min(received) AS oldest FROM undecided_reply WHERE state = 'undecided'"
    )
    return UndecidedSize(0, 0) if row is None else UndecidedSize(int(row.many), int(row.oldest or 0))
