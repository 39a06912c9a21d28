"""What every service's database says about itself: its pool, and the records that could not be applied."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry, SharedGauge, gauge, histogram

OTHER_TOPIC = "other"
"""The label of letters of topics that the service reads no longer."""


class DatabaseMetrics:
    """The series of one service's database. Services in one process share the pool's: sums."""

    def __init__(self, registry: Registry, service: str, database: Database, topics: Sequence[str]) -> None:
        self._database = database
        self._topics = tuple(topics)
        states = {"state": ("in_use", "idle")}
        pool = gauge(registry, "db_pool_connections", "Pool use", states)
        labels = {"service": (service,), "topic": (*self._topics, OTHER_TOPIC)}
        self._unresolved = gauge(
            registry, "dead_letter_unresolved_records", "Dead letters neither redriven nor discarded", labels
        )
        self._oldest = gauge(
            registry,
            "dead_letter_oldest_timestamp_seconds",
            "Time of the oldest unresolved dead letter; 0 if none",
            labels,
        )
        self._service = service
        self._pool = SharedGauge(registry, pool, service)
        database.on_connection_wait = histogram(registry, "db_pool_wait_seconds", "Wait for a connection")().observe

    async def update_gauges(self) -> None:
        """Set the gauges. Raises Transient."""
        async with self._database.read() as tx:
            rows = await tx.rows(
                "SELECT topic, count(*) AS records, min(at) AS oldest FROM dead_letter WHERE state = 'open' "
                "GROUP BY topic"
            )
        found: dict[str, list[Row[Any]]] = {topic: [] for topic in (*self._topics, OTHER_TOPIC)}
        for row in rows:
            found[row.topic if row.topic in self._topics else OTHER_TOPIC].append(row)
        for topic, counts in found.items():
            self._unresolved(self._service, topic).set(sum(row.records for row in counts))
            self._oldest(self._service, topic).set(min((row.oldest / SECOND for row in counts), default=0))
        in_use, idle = self._database.pool_usage
        self._pool.set(in_use, "in_use")
        self._pool.set(idle, "idle")
