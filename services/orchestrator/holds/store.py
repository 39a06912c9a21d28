"""SQL about messages that wait because of holds, in functions named after the question.

A message that a hold without an end parked is `parked` under the cause `hold`; one that waits for a hold's end, and
perhaps for something after it, under `hold_until`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row

from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.policy.rank import CLASS_ORDER

CAUSE_HOLD: Final = "hold"
CAUSE_HOLD_UNTIL: Final = "hold_until"

_CLASS_RANK = " ".join(f"WHEN '{cls}' THEN {rank}" for cls, rank in CLASS_ORDER.items())
_RELEASE_ORDER = f"CASE m.cls {_CLASS_RANK} END, m.priority DESC, COALESCE(m.since, m.created), m.message_id"
"""Class and priority first, then who has waited longest."""
_FROM_WAITING = (
    "FROM parked p JOIN message m ON m.message_id = p.message_id JOIN timer t ON t.message_id = p.message_id "
    "WHERE p.name = :key AND p.cause "
)
_ANY_HOLD_CAUSE = "IN ('hold', 'hold_until')"
_COLUMNS = "m.message_id, m.customer, m.campaign, m.channel, m.since, m.event_source, m.event_id, m.expires_at, t.due"


async def list_waited_holds(tx: Tx, cause: str) -> list[str]:
    """The keys of the holds behind which messages wait; as quick with a million messages as with one."""
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


async def load_waiting(tx: Tx, key: str, limit: int) -> Sequence[Row[Any]]:
    """The messages that wait because of this hold, in the order of their release."""
    return await tx.rows(
        f"SELECT {_COLUMNS} {_FROM_WAITING} {_ANY_HOLD_CAUSE} ORDER BY {_RELEASE_ORDER} LIMIT :limit",
        key=key,
        limit=limit,
    )


async def load_waiting_for_cause(tx: Tx, key: str, cause: str, limit: int) -> Sequence[Row[Any]]:
    """Those that wait for one cause: `message_id` and `due`, in the order of their release."""
    return await tx.rows(
        f"SELECT m.message_id, t.due {_FROM_WAITING} = :cause ORDER BY {_RELEASE_ORDER} LIMIT :limit",
        key=key,
        cause=cause,
        limit=limit,
    )


async def drop_ended_hold(tx: Tx, key: str, now: Instant) -> None:
    """The hold has ended by itself: what waits for something after its end waits for that alone."""
    await tx.execute(
        "DELETE FROM parked WHERE cause = 'hold_until' AND name = :key "
        "AND message_id IN (SELECT message_id FROM timer WHERE due > :now)",
        key=key,
        now=now,
    )


async def set_turns(tx: Tx, key: str, turns: Mapping[str, Instant]) -> None:
    """These messages come due at their turns, and wait for this hold no more."""
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
    """When the next turn of each release may be."""
    return {row.name: row.next_at for row in await tx.rows("SELECT name, next_at FROM hold_release")}


async def lock_next_turn(tx: Tx, key: str, now: Instant) -> Instant:
    """When the next turn of this release may be; nobody else gives turns until the transaction ends.

    Releases that are over are forgotten.
    """
    await tx.execute("DELETE FROM hold_release WHERE next_at < :now AND name <> :key", key=key, now=now)
    sql = "INSERT INTO hold_release (name, next_at) VALUES (:key, :now) ON CONFLICT (name) DO NOTHING"
    await tx.execute(sql, key=key, now=now)
    row = await tx.row(f"SELECT next_at FROM hold_release WHERE name = :key {tx.for_update}", key=key)
    return now if row is None else int(row.next_at)


async def save_next_turn(tx: Tx, key: str, next_at: Instant) -> None:
    """Keep when the next turn may be."""
    await tx.execute("UPDATE hold_release SET next_at = :next_at WHERE name = :key", key=key, next_at=next_at)
