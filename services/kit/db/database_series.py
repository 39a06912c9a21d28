"""What every service's database says about itself: its pool, and the records that could not be applied."""

from collections.abc import Sequence

from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry, SharedGauge, earliest, gauge, histogram


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
