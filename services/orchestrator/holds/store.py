"""SQL of messages that wait because of holds, and of their releases.

A message that a hold without an end parked is `parked` under the cause `hold`; one that waits for a hold's end, and
perhaps for something after it, under `hold_until`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.stored_trigger import StoredMessage
from services.orchestrator.policy.rank import CLASS_ORDER

_CLASS_RANK = " ".join(f"WHEN '{cls}' THEN {rank}" for cls, rank in CLASS_ORDER.items())
_RELEASE_ORDER = f"CASE m.cls {_CLASS_RANK} END, m.priority DESC, COALESCE(m.since, m.created), m.message_id"
"""Class and priority first, then the message that has waited longest."""
_FROM_WAITING = (
    "FROM parked p JOIN message m ON m.message_id = p.message_id JOIN timer t ON t.message_id = p.message_id "
    "WHERE p.name = :key AND p.cause "
)
_ANY_HOLD_CAUSE = "IN ('hold', 'hold_until')"
_STORED_MESSAGE_COLUMNS = "m.message_id, m.customer, m.campaign, m.channel, m.since, m.event_source, m.event_id"


async def list_waited_holds(tx: Tx, cause: str) -> list[str]:
    """The keys of the holds for which messages wait. A loose index scan: as fast for a million as for one."""
    rows = await tx.rows(
        "WITH RECURSIVE found(name) AS (SELECT min(name) FROM parked WHERE cause = :cause UNION ALL "
        "SELECT (SELECT min(p.name) FROM parked p WHERE p.cause = :cause AND p.name > found.name) FROM found "
        "WHERE found.name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL",
        cause=cause,
    )
    return [row.name for row in rows]


async def count_waiting(tx: Tx, key: str) -> int:
    """How many messages wait because of this hold."""
    row = await tx.row(f"SELECT count(DISTINCT p.message_id) AS messages {_FROM_WAITING} {_ANY_HOLD_CAUSE}", key=key)
    return 0 if row is None else int(row.messages)


async def load_waiting(tx: Tx, key: str, limit: int) -> list[StoredMessage]:
    """The messages that wait because of this hold, in the order of their release."""
    rows = await tx.rows(
        f"SELECT {_STORED_MESSAGE_COLUMNS} {_FROM_WAITING} {_ANY_HOLD_CAUSE} ORDER BY {_RELEASE_ORDER} LIMIT :limit",
        key=key,
        limit=limit,
    )
    return [StoredMessage._make(row) for row in rows]


async def load_waiting_for_cause(tx: Tx, key: str, cause: str, limit: int) -> Sequence[Row[Any]]:
    """The messages that wait under one cause: `message_id` and `due`, in the order of their release."""
    return await tx.rows(
        f"SELECT m.message_id, t.due {_FROM_WAITING} = :cause ORDER BY {_RELEASE_ORDER} LIMIT :limit",
        key=key,
        cause=cause,
        limit=limit,
    )


async def drop_ended_hold(tx: Tx, key: str, now: Instant) -> None:
    """A hold has ended at its set time: messages that also wait for something later no longer wait for this hold."""
    await tx.execute(
        "DELETE FROM parked WHERE cause = 'hold_until' AND name = :key "
        "AND message_id IN (SELECT message_id FROM timer WHERE due > :now)",
        key=key,
        now=now,
    )


async def set_turns(tx: Tx, key: str, turns: Mapping[str, Instant]) -> None:
    """Set the timers of these messages to their turns; they no longer wait for this hold."""
    if not turns:
        return
    column_types = {"message_id": "text", "due": "bigint"}
    await tx.execute(
        f"UPDATE timer SET due = v.due FROM {tx.table_parameter('v', column_types)} "
        "WHERE timer.message_id = v.message_id",
        **tx.bind_table_parameter("v", column_types, sorted(turns.items())),
    )
    await tx.execute(
        f"DELETE FROM parked WHERE cause {_ANY_HOLD_CAUSE} AND name = :key AND {tx.in_list('message_id', 'ids')}",
        key=key,
        ids=tx.list_parameter(list(turns)),
    )


async def load_next_turns(tx: Tx) -> dict[str, Instant]:
    """The earliest instant of each release's next turn, by key of the hold."""
    return {row.name: row.next_at for row in await tx.rows("SELECT name, next_at FROM hold_release")}


async def lock_next_turn(tx: Tx, key: str, now: Instant) -> Instant:
    """Lock a release and return the earliest instant of its next turn. Releases that are over are deleted.

    Nobody else gives turns of this release until the transaction ends.
    """
    await tx.execute("DELETE FROM hold_release WHERE next_at < :now AND name <> :key", key=key, now=now)
    sql = "INSERT INTO hold_release (name, next_at) VALUES (:key, :now) ON CONFLICT (name) DO NOTHING"
    await tx.execute(sql, key=key, now=now)
    row = await tx.row(f"SELECT next_at FROM hold_release WHERE name = :key {tx.for_update}", key=key)
    return now if row is None else int(row.next_at)


async def save_next_turn(tx: Tx, key: str, next_at: Instant) -> None:
    """Save the earliest instant of the next turn."""
    await tx.execute("UPDATE hold_release SET next_at = :next_at WHERE name = :key", key=key, next_at=next_at)
