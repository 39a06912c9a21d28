"""Periodic checks that set the gauges: how much waits, and whether the catalogue in memory is current."""

from typing import Final

from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import PeriodicCheck
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions.metrics import DEFERRED, BacklogMetrics, BacklogSizes

_DEFERRED_SQL: Final = """
    SELECT m.channel AS channel, t.kind AS reason, count(*) AS messages,
           min(CASE WHEN t.due < :now AND t.kind <> 'retry' THEN t.due END) AS overdue
    FROM timer t JOIN message m ON m.message_id = t.message_id GROUP BY m.channel, t.kind
"""
_QUEUE_SQL: Final = """
    SELECT q.channel AS channel, q.messages AS messages, m.updated AS ready
    FROM (SELECT channel, count(*) AS messages, min(seq) AS first FROM outbox GROUP BY channel) q
    JOIN outbox o ON o.seq = q.first JOIN message m ON m.message_id = o.message_id
"""
_APPROVALS_SQL: Final = """
    SELECT 'campaign' AS kind, count(*) AS reviews FROM campaign_version WHERE status = 'submitted'
    UNION ALL SELECT 'policy', count(*) FROM policy_version WHERE status = 'submitted'
"""


def catalogue_check(database: Database, snapshot: CatalogueSnapshot, metrics: BacklogMetrics) -> PeriodicCheck:
    """Refreshes the catalogue of an idle process, and records when it was current."""

    async def check() -> None:
        async with database.read() as tx:
            await snapshot.get_catalogue(tx)
        metrics.record_catalogue_refresh()

    return check


def backlog_check(database: Database, clock: Clock, metrics: BacklogMetrics) -> PeriodicCheck:
    """Measures what is deferred, queued and in review, and the age of the oldest of each."""

    async def check() -> None:
        async with database.read() as tx:
            sizes = await _measure_backlog(tx, clock)
        metrics.set_gauges(sizes)

    return check


async def _measure_backlog(tx: Tx, clock: Clock) -> BacklogSizes:
    deferred_rows = [row for row in await tx.rows(_DEFERRED_SQL, now=clock.now()) if row.reason in DEFERRED]
    queued = await tx.rows(_QUEUE_SQL)
    overdue: dict[str, int] = {}
    for row in deferred_rows:
        if row.overdue is not None:
            overdue[row.channel] = min(row.overdue, overdue.get(row.channel, row.overdue))
    return BacklogSizes(
        deferred={(row.channel, row.reason): row.messages for row in deferred_rows},
        overdue=overdue,
        queued={row.channel: row.messages for row in queued},
        oldest={row.channel: row.ready for row in queued},
        approvals={row.kind: row.reviews for row in await tx.rows(_APPROVALS_SQL)},
    )
