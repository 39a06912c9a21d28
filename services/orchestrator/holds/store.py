"""SQL about messages that wait because of holds, in functions named after the question.

A message that a hold without an end parked is `parked` under the cause `hold`; one that waits for a hold's end, and
perhaps for something after it, under `hold_until`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row

from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.policy.rank import ORDER

PARKING: Final = "hold"
WITH_AN_END: Final = "hold_until"

_CLASS = " ".join(f"WHEN '{cls}' THEN {place}" for cls, place in ORDER.items())
_ORDER = f"CASE m.cls {_CLASS} END, m.priority DESC, COALESCE(m.since, m.created), m.message_id"
"""Class and priority first, then who has waited longest."""
_BEHIND = (
    "FROM parked p JOIN message m ON m.message_id = p.message_id JOIN timer t ON t.message_id = p.message_id "
    "WHERE p.name = :key AND p.cause "
)
_EITHER = "IN ('hold', 'hold_until')"
_COLUMNS = "m.message_id, m.customer, m.campaign, m.channel, m.since, m.event_source, m.event_id, m.expires_at, t.due"


async def names(tx: Tx, cause: str) -> list[str]:
    """The keys of the holds behind which messages wait; as quick with a million messages as with one."""
    rows = await tx.rows(
        "WITH RECURSIVE found(name) AS (SELECT min(name) FROM parked WHERE cause = :cause UNION ALL "
        "SELECT (SELECT min(p.name) FROM parked p WHERE p.cause = :cause AND p.name > found.name) FROM found "
        "WHERE found.name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL",
        cause=cause,
    )
    return [row.name for row in rows]


async def count(tx: Tx, key: str) -> int:
    """How many messages wait because of this hold."""
    row = await tx.row(f"SELECT count(DISTINCT p.message_id) AS messages {_BEHIND} {_EITHER}", key=key)
    return 0 if row is None else int(row.messages)


async def behind(tx: Tx, key: str, limit: int) -> Sequence[Row[Any]]:
    """The messages that wait because of this hold, in the order of their release."""
    return await tx.rows(f"SELECT {_COLUMNS} {_BEHIND} {_EITHER} ORDER BY {_ORDER} LIMIT :limit", key=key, limit=limit)


async def waiting(tx: Tx, key: str, cause: str, limit: int) -> Sequence[Row[Any]]:
    """Those that wait for one cause: `message_id` and `due`, in the order of their release."""
    return await tx.rows(
        f"SELECT m.message_id, t.due {_BEHIND} = :cause ORDER BY {_ORDER} LIMIT :limit",
        key=key,
        cause=cause,
        limit=limit,
    )


async def forget_later(tx: Tx, key: str, now: Instant) -> None:
    """The hold has ended by itself: what waits for something after its end waits for that alone."""
    await tx.run(
        "DELETE FROM parked WHERE cause = 'hold_until' AND name = :key "
        "AND message_id IN (SELECT message_id FROM timer WHERE due > :now)",
        key=key,
        now=now,
    )


async def give_turns(tx: Tx, key: str, turns: Mapping[str, Instant]) -> None:
    """These messages come due at their turns, and wait for this hold no more."""
    if not turns:
        return
    kinds = {"message_id": "text", "due": "bigint"}
    await tx.run(
        f"UPDATE timer SET due = v.due FROM {tx.table('v', kinds)} WHERE timer.message_id = v.message_id",
        **tx.bind_table("v", kinds, sorted(turns.items())),
    )
    await tx.run(
        f"DELETE FROM parked WHERE cause {_EITHER} AND name = :key AND {tx.among('message_id', 'ids')}",
        key=key,
        ids=tx.array(list(turns)),
    )


async def paces(tx: Tx) -> dict[str, Instant]:
    """When the next turn of each release may be."""
    return {row.name: row.next_at for row in await tx.rows("SELECT name, next_at FROM hold_release")}


async def lock_pace(tx: Tx, key: str, now: Instant) -> Instant:
    """When the next turn of this release may be; nobody else gives turns until the transaction ends.

    Releases that are over are forgotten.
    """
    await tx.run("DELETE FROM hold_release WHERE next_at < :now AND name <> :key", key=key, now=now)
    sql = "INSERT INTO hold_release (name, next_at) VALUES (:key, :now) ON CONFLICT (name) DO NOTHING"
    await tx.run(sql, key=key, now=now)
    row = await tx.row(f"SELECT next_at FROM hold_release WHERE name = :key {tx.for_update}", key=key)
    return now if row is None else int(row.next_at)


async def keep_pace(tx: Tx, key: str, next_at: Instant) -> None:
    """Keep when the next turn may be."""
    await tx.run("UPDATE hold_release SET next_at = :next_at WHERE name = :key", key=key, next_at=next_at)
