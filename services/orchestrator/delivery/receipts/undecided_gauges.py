"""The periodic check of how many replies wait for a person, and since when."""

from services.kit.db.database import Database
from services.kit.runtime.periodic import PeriodicCheck
from services.orchestrator.delivery.receipts import undecided_store
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics


def undecided_check(database: Database, metrics: ReceiptMetrics) -> PeriodicCheck:
    """Sets the gauges of undecided replies."""

    async def set_gauges() -> None:
        async with database.read() as tx:
            metrics.set_undecided(await undecided_store.measure_undecided(tx))

    return set_gauges
