"""Updates gauges from the database at intervals: live entries, holds in force, loaded situation kinds."""

from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log_error
from services.kit.runtime.clock import Clock
from services.suppression.metrics import MODES, SuppressionMetrics
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import entry_store, hold_store


class SuppressionGauges:
    """Counts live entries by reason and holds in force by mode."""

    def __init__(
        self, database: Database, clock: Clock, metrics: SuppressionMetrics, kinds_cache: SituationKindsCache
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._kinds_cache = kinds_cache

    async def refresh_kinds(self) -> None:
        """Reload the situation kinds if they changed, also in an idle process. Raises Transient."""
        async with self._database.read() as tx:
            await self._kinds_cache.current(tx)
        self._metrics.mark_kinds_current()

    async def update_holds(self) -> None:
        """Count the holds in force; there are few. Raises Transient."""
        async with self._database.read() as tx:
            by_mode = await hold_store.count_by_mode(tx, self._clock.now())
        for mode in MODES:
            self._metrics.holds(mode).set(by_mode.get(mode, 0))

    async def update_entries(self) -> None:
        """Count all entries. A busy database is skipped: the next interval counts again."""
        try:
            async with self._database.read() as tx:
                by_reason = await entry_store.count_by_reason(tx)
        except Transient as error:
            log_error("not_counted", error, "warning")
            return
        for reason in self._metrics.reasons:
            self._metrics.entries(reason).set(by_reason.get(reason, 0))
