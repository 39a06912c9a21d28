"""Deletes what was decided longer ago than the retention: decisions, their events, their messages and attempts.

An event is known again for as long as it is stored, so it must be stored for longer than the log keeps it; else one
that is read again would be decided again. `check_retention` refuses to start otherwise.

The history of contacts stays: rules may look back at any time, and it holds no contents. Nothing is deleted that a
waiting message needs, and no message before all of its event's messages have ended as long ago.

Rows are deleted in the order in which they were written, in bounded transactions. Partitions by day could be dropped
whole, but each look at a known event would have to search all of them (docs/decisions/0041).
"""

import asyncio
from collections import Counter

from schemas.times import DAY
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.observability.logs import log
from services.kit.observability.metrics import Registry, counter
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.retention import store

PAUSE_SECONDS = 0.05
"""Between two transactions, so that a first run over years of decisions leaves room for everything else."""
DAY_SECONDS = 24 * 3600


class RetentionMetrics:
    """What has been deleted because of its age."""

    def __init__(self, registry: Registry) -> None:
        tables = ("attempt", "decision", "handover", "inbox", "message", "receipt", "undecided_reply")
        self._deleted = counter(registry, "expired_rows_total", "Rows deleted because of their age", {"table": tables})

    def record_deleted(self, counts: Counter[str]) -> None:
        """Count the rows of each table."""
        for table, count in counts.items():
            self._deleted(table).inc(count)


class HistoryExpiry:
    """The deletion of old decisions. For a periodic task; any number of processes may run it. `days`: the retention."""

    def __init__(self, database: Database, clock: Clock, days: int, metrics: RetentionMetrics) -> None:
        self._database = database
        self._clock = clock
        self._days = days
        self._metrics = metrics

    async def delete_expired(self) -> None:
        """Delete until nothing is left to delete."""
        before = self._clock.now() - self._days * DAY
        total: Counter[str] = Counter()
        steps = (
            *(store.delete_decisions, store.delete_inbox_rows, store.delete_stray_replies),
            *(store.delete_decided_replies, store.delete_handovers),
        )
        for step in steps:
            after: int | None = 0
            while after is not None:
                async with self._database.write() as tx:
                    after, counts = await step(tx, before, after)
                self._metrics.record_deleted(counts)
                total += counts
                await asyncio.sleep(PAUSE_SECONDS)
        if total:
            log("history_expired", retention_days=self._days, count=total.total())


async def check_retention(bus: Bus, topic: str, days: int) -> None:
    """Raises SettingsError if events would be forgotten while the log still has them, and BusGone."""
    kept = await bus.retention(topic)
    if kept is not None and kept <= days * DAY_SECONDS:
        return
    how_long = "for ever" if kept is None else f"for {kept / DAY_SECONDS:g} days"
    raise SettingsError(
        f"retention.decisions is {days} days, but the topic {topic} keeps its records {how_long}: one that is read "
        "again after its decisions have been deleted would be decided again. Set retention.decisions to at least what "
        "the topic keeps, or shorten retention.ms of the topic"
    )
