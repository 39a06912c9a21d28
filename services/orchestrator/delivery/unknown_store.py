"""SQL of messages with an unknown outcome whose provider can be asked about them. `until` of such a message says when;
the index `message_search` finds those that are due.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from schemas.campaign import MIN_FALLBACK_AFTER
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.store import ERASED_SOURCE


async def find_due_searches(tx: Tx, adapter: str, now: Instant, limit: int) -> Sequence[Row[Any]]:
    """The messages of an adapter that are due, those that are due longest first: `message_id`, `customer`,
    `to_address`, `attempts`, `claimed_at`, and `ended`, when their attempt ended. None of an erased customer.
    """
    return await tx.rows(
        "SELECT m.message_id, m.customer, m.to_address, m.attempts, h.claimed_at, m.updated AS ended "
        "FROM message m JOIN handover h ON h.handover_id = m.handover_id "
        "WHERE m.state = 'unknown' AND m.until <= :now AND m.adapter = :adapter AND m.event_source <> :erased "
        "ORDER BY m.until, m.message_id LIMIT :limit",
        now=now,
        adapter=adapter,
        erased=ERASED_SOURCE,
        limit=limit,
    )


async def find_overtaken(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Those of these messages whose event went out on another channel after their attempt had ended, or is about to:
    their campaign has fallen back. It may also do so while the attempt is open, where its owner is dead and nobody has
    closed it yet, but no sooner after the claim than a campaign can wait. The caller holds the locks of their ledgers.
    """
    if not ids:
        return set()
    rows = await tx.tuples(
        "SELECT DISTINCT m.message_id FROM message m JOIN message o ON o.customer = m.customer "
        "AND o.campaign = m.campaign AND o.event_source = m.event_source AND o.event_id = m.event_id "
        "AND o.message_id <> m.message_id LEFT JOIN handover h ON h.handover_id = o.handover_id "
        "LEFT JOIN handover own ON own.handover_id = m.handover_id "
        f"WHERE {tx.in_list('m.message_id', 'ids')} AND (o.state IN ('pending', 'retry') "
        "OR h.claimed_at > m.updated OR h.claimed_at >= own.claimed_at + :soonest)",
        ids=tx.list_parameter(ids),
        soonest=MIN_FALLBACK_AFTER,
    )
    return {message_id for (message_id,) in rows}


_NEXT_COLUMN_TYPES = {"message_id": "text", "until": "bigint"}


async def plan_next_searches(tx: Tx, searches: Mapping[str, Instant | None]) -> None:
    """Write when these messages are searched for next, None for never. The caller holds the locks of their ledgers."""
    await tx.execute(
        f"UPDATE message SET until = n.until FROM {tx.table_parameter('n', _NEXT_COLUMN_TYPES)} "
        "WHERE message.message_id = n.message_id AND message.state = 'unknown'",
        **tx.bind_table_parameter("n", _NEXT_COLUMN_TYPES, list(searches.items())),
    )
