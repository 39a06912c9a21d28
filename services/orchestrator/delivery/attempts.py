"""Attempts: one try of an adapter each. Open from the mark until their owner's own result, or until closed for it."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import Instant
from services.kit.db import Tx

MAYBE_SENT = "an earlier attempt may have arrived"
"""What a message says of itself while it is tried again after an attempt with an unknown outcome."""

GONE = "the dispatcher is gone"
"""Detail of attempts that were closed for their owner: nobody knows how far they came."""

ATTEMPT = (
    *("message_id", "customer", "channel", "cls", "intent", "topic", "campaign", "address_hash", "number"),
    *("owner", "marked_at", "opened", "state"),
)


class Opening(NamedTuple):
    """An attempt to be opened. `marked_at` is ledger time, `opened` the database's time at the mark."""

    message_id: str
    customer: str
    channel: str
    cls: str
    intent: str | None
    topic: str | None
    campaign: str
    address_hash: str
    number: int
    owner: str
    marked_at: Instant
    opened: Instant


class Closing(NamedTuple):
    """The end of an attempt."""

    message_id: str
    number: int
    outcome: str
    detail: str | None


async def open_all(tx: Tx, openings: Sequence[Opening]) -> None:
    """Open attempts, in the transaction that marks their messages."""
    await tx.insert("attempt", ATTEMPT, [(*opening, "open") for opening in openings])


_KINDS = {"message_id": "text", "number": "bigint", "outcome": "text", "detail": "text"}


async def close_all(tx: Tx, closings: Sequence[Closing], now: Instant) -> set[tuple[str, int]]:
    """Close attempts; returns (message id, number) of those that were still open."""
    if not closings:
        return set()
    rows = await tx.rows(
        "UPDATE attempt SET state = 'closed', outcome = c.outcome, detail = c.detail, closed_at = :now "
        f"FROM {tx.table('c', _KINDS)} WHERE attempt.message_id = c.message_id AND attempt.number = c.number "
        "AND attempt.closed_at IS NULL "
        "RETURNING attempt.message_id, attempt.number",
        now=now,
        **tx.bind_table("c", _KINDS, closings),
    )
    return {(row.message_id, row.number) for row in rows}


async def overdue(tx: Tx, opened_before: Instant, limit: int) -> list[Opening]:
    """Open attempts that were opened at or before an instant of the database's time, the oldest first."""
    rows = await tx.rows(
        f"SELECT {', '.join(Opening._fields)} FROM attempt WHERE state = 'open' AND opened <= :before "
        "ORDER BY attempt_id LIMIT :limit",
        before=opened_before,
        limit=limit,
    )
    return [Opening._make(row) for row in rows]
