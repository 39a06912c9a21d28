"""Looks now and then at how much waits and whether the catalogue in memory is current, and tells the metrics."""

from typing import Final

from services.kit.db.database import Database, Tx
from services.kit.db.database_series import Look
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.metrics import DEFERRED, Metrics, Waits

_WAITING: Final = """
    SELECT m.channel AS channel, t.kind AS reason, count(*) AS messages,
           min(CASE WHEN t.due < :now AND t.kind <> 'retry' THEN t.due END) AS overdue
    FROM timer t JOIN message m ON m.message_id = t.message_id GROUP BY m.channel, t.kind
"""
_QUEUED: Final = """
    SELECT q.channel AS channel, q.messages AS messages, m.updated AS ready
    FROM (SELECT channel, count(*) AS messages, min(seq) AS first FROM outbox GROUP BY channel) q
    JOIN outbox o ON o.seq = q.first JOIN message m ON m.message_id = o.message_id
"""
_APPROVALS: Final = """
    SELECT 'campaign' AS kind, count(*) AS reviews FROM campaign_version WHERE status = 'submitted'
    UNION ALL SELECT 'policy', count(*) FROM policy_version WHERE status = 'submitted'
"""


def catalogue_look(database: Database, snapshot: Snapshot, metrics: Metrics) -> Look:
    """Keeps the catalogue of an idle process current, and says that it is."""

    async def look() -> None:
        async with database.read() as tx:
            await snapshot.current(tx)
        metrics.snapshot_is_current()

    return look


def backlog_look(database: Database, clock: Clock, metrics: Metrics) -> Look:
    """Counts what is deferred, what is queued and what is in review, and finds the oldest of each."""

    async def look() -> None:
        async with database.read() as tx:
            waits = await _waits(tx, clock)
        metrics.backlog.show(waits)

    return look


async def _waits(tx: Tx, clock: Clock) -> Waits:
    waiting = [row for row in await tx.rows(_WAITING, now=clock.now()) if row.reason in DEFERRED]
    queued = await tx.rows(_QUEUED)
    overdue: dict[str, int] = {}
    for row in waiting:
        if row.overdue is not None:
            overdue[row.channel] = min(row.overdue, overdue.get(row.channel, row.overdue))
    return Waits(
        deferred={(row.channel, row.reason): row.messages for row in waiting},
        overdue=overdue,
        queued={row.channel: row.messages for row in queued},
        oldest={row.channel: row.ready for row in queued},
        approvals={row.kind: row.reviews for row in await tx.rows(_APPROVALS)},
    )
