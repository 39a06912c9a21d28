"""Periodic checks that set the gauges: how much waits, and whether the catalogue in memory is current."""

from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import PeriodicCheck
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.metrics import BacklogMetrics


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
            sizes = await read_store.measure_backlog(tx, clock.now())
        metrics.set_gauges(sizes)

    return check
