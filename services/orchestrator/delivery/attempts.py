"""Attempts: one try of an adapter each. Open from the mark until their owner's own result, or until closed for it.

The message carries its last attempt: it is open as long as the message is `handing_over`. What was accepted needs no
more; an attempt that ended in any other way leaves a row, for the message may be tried again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import Instant
from services.kit.db.database import Tx

MAYBE_SENT_DETAIL = "an earlier attempt may have arrived"
"""`detail` of a message that is retried after an attempt with an unknown outcome. The state is in `maybe_sent`."""

DISPATCHER_GONE = "the dispatcher is gone"
"""Detail of attempts that were closed for their owner: nobody knows how far they came."""

IN_FLIGHT_SQL = "state = 'handing_over'"
"""Condition on `message`: its attempt is open. A literal, so that the small index of these is found."""
IN_FLIGHT_BY_ID_SQL = "state = (SELECT 'handing_over')"
"""The same of messages that are named: no literal, so that they are found by their names, not by that index."""

ATTEMPT_COLUMNS = (
    "message_id",
    "customer",
    "number",
    "owner",
    "claimed_at",
    "opened",
    "outcome",
    "detail",
    "closed_at",
)


class MessageClaim(NamedTuple):
    """What a mark writes on a message. `claimed_at` is ledger time, `opened` the database's time."""

    owner: str
    claimed_at: Instant
    opened: Instant
    address_hash: str


class OpenAttempt(NamedTuple):
    """An attempt that has no end yet."""

    message_id: str
    customer: str
    channel: str
    number: int


class ClosedAttempt(NamedTuple):
    """The end of an attempt."""

    message_id: str
    number: int
    outcome: str
    detail: str | None


async def close_attempts(tx: Tx, closed_attempts: Sequence[ClosedAttempt], now: Instant) -> set[tuple[str, int]]:
    """Write how attempts ended, and lock their messages; returns (message id, number) of those that were still open.

    The caller gives each message its next state in the same transaction.
    """
    if not closed_attempts:
        return set()
    rows = await tx.rows(
        f"SELECT message_id, customer, attempts, owner, claimed_at, opened FROM message WHERE {IN_FLIGHT_BY_ID_SQL} "
        f"AND {tx.in_list('message_id', 'ids')} ORDER BY message_id {tx.for_update}",
        ids=tx.list_parameter([closed_attempt.message_id for closed_attempt in closed_attempts]),
    )
    found = {(row.message_id, row.attempts): row for row in rows}
    ended = [
        (closed_attempt, found.get((closed_attempt.message_id, closed_attempt.number)))
        for closed_attempt in closed_attempts
    ]
    await tx.bulk_insert(
        "attempt",
        ATTEMPT_COLUMNS,
        [
            (row.message_id, row.customer, row.attempts, row.owner, row.claimed_at, row.opened)
            + (closed_attempt.outcome, closed_attempt.detail, now)
            for closed_attempt, row in ended
            if row is not None
        ],
    )
    return found.keys() & {(closed_attempt.message_id, closed_attempt.number) for closed_attempt in closed_attempts}


class AcceptedAttempt(NamedTuple):
    """An attempt that a provider accepted."""

    message_id: str
    number: int
    adapter: str
    provider_id: str | None
    detail: str | None


_ACCEPTED_COLUMN_TYPES = {
    "message_id": "text",
    "number": "bigint",
    "adapter": "text",
    "provider_id": "text",
    "detail": "text",
}


async def accept_attempts(tx: Tx, accepted: Sequence[AcceptedAttempt], now: Instant) -> bool:
    """Messages whose open attempt was accepted are so too; returns whether the attempts of all were still open.

    It needs no lock on a ledger, for no contact changes; who closes an attempt in another way locks its message.
    """
    if not accepted:
        return True
    written = await tx.execute(
        "UPDATE message SET state = 'accepted', maybe_sent = 0, until = NULL, adapter = a.adapter, "
        f"provider_id = a.provider_id, detail = a.detail, closed_at = :now, updated = :now "
        f"FROM {tx.table_parameter('a', _ACCEPTED_COLUMN_TYPES)} "
        f"WHERE message.message_id = a.message_id AND message.{IN_FLIGHT_BY_ID_SQL} AND message.attempts = a.number",
        now=now,
        **tx.bind_table_parameter("a", _ACCEPTED_COLUMN_TYPES, accepted),
    )
    return written == len(accepted)


async def find_overdue_attempts(tx: Tx, opened_before: Instant, limit: int) -> list[OpenAttempt]:
    """Open attempts that were opened at or before an instant of the database's time, the oldest first."""
    rows = await tx.rows(
        f"SELECT message_id, customer, channel, attempts FROM message WHERE {IN_FLIGHT_SQL} "
        "AND opened <= :before ORDER BY opened, message_id LIMIT :limit",
        before=opened_before,
        limit=limit,
    )
    return [OpenAttempt._make(row) for row in rows]
