"""What every service's database says about itself: its pool, and the records that could not be applied."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log_error
from services.kit.observability.metrics import Registry, SharedGauge, earliest, gauge, histogram

CHECK_INTERVAL = 5.0
"""Seconds between looks, at least."""
MAX_TIME_SHARE = 0.05
"""The part of its time that looking may take: a look that is slow, because much waits, is taken more rarely."""

PeriodicCheck = Callable[[], Awaitable[None]]


class DatabaseMetrics:
    """The series of one service's database. Services in one process share them: sums, and the earliest instants."""

    def __init__(self, registry: Registry, service: str, database: Database, topics: Sequence[str]) -> None:
        self._database = database
        self._topics = tuple(topics)
        states = {"state": ("in_use", "idle")}
        pool = gauge(registry, "db_pool_connections", "Pool use", states)
        unresolved = gauge(
            registry,
            "dead_letter_unresolved_records",
            "Dead letters neither redriven nor discarded",
            {"topic": self._topics},
        )
        oldest = gauge(
            registry,
            "dead_letter_oldest_timestamp_seconds",
            "Time of the oldest unresolved dead letter; 0 if none",
            {"topic": self._topics},
        )
        self._pool = SharedGauge(registry, pool, service)
        self._unresolved = SharedGauge(registry, unresolved, service)
        self._oldest = SharedGauge(registry, oldest, service, earliest)
        database.on_connection_wait = histogram(registry, "db_pool_wait_seconds", "Wait for a connection")().observe

    async def update_gauges(self) -> None:
        """Set the gauges. Raises Transient."""
        async with self._database.read() as tx:
            rows = await tx.rows(
                "SELECT topic, count(*) AS records, min(at) AS oldest FROM dead_letter WHERE state = 'open' "
                "GROUP BY topic"
            )
        found = {row.topic: row for row in rows}
        for topic in self._topics:
            row = found.get(topic)
            self._unresolved.set(0 if row is None else row.records, topic)
            self._oldest.set(0 if row is None else row.oldest / SECOND, topic)
        in_use, idle = self._database.pool_usage
        self._pool.set(in_use, "in_use")
        self._pool.set(idle, "idle")


async def run_periodic_checks(stopping: asyncio.Event, *checks: PeriodicCheck) -> None:
    """Take all looks now and then, until stopped. What may pass is waited out."""
    while not stopping.is_set():
        began = time.monotonic()
        for look in checks:
            try:
                await look()
            except Transient as error:
                log_error("look_failed", error, "warning")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(CHECK_INTERVAL, (time.monotonic() - began) / MAX_TIME_SHARE)):
                await stopping.wait()
