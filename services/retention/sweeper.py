"""The job that removes what is older than its retention, kind after kind, in transactions of bounded size.

Steps can be repeated at will, so a crash needs no care, and any number of processes may run the job. What it does not
manage shows: `tactful_retention_overdue_seconds` grows, and an alert fires on it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.times import DAY, SECOND, Instant
from services.kit.db.database import Database
from services.kit.errors import Permanent, Transient
from services.kit.observability.logs import log, log_error
from services.kit.observability.metrics import Registry, counter, gauge
from services.kit.runtime.clock import Clock
from services.retention.kept_kinds import KeptKind

SWEEP_SECONDS: Final = 3600.0
LATE_AFTER: Final = 2 * DAY
"""Microseconds behind its retention after which readiness, and `tactful doctor`, say so."""
PAUSE_SECONDS: Final = 0.05
"""Between two transactions, so that a first run over years leaves room for everything else."""


class RetentionBehind(Permanent):
    """Data is kept for longer than the settings say."""

    default_code = "retention_behind"


class RetentionMetrics:
    """What was removed because of its age, how old the oldest is, and whether the job keeps up.

    `oldest`: of the rows that their retention may remove; what is needed for longer does not count.
    """

    def __init__(self, registry: Registry, service: str, kinds: Sequence[KeptKind]) -> None:
        self._service = service
        names = {"service": (service,), "kind": tuple(kind.name for kind in kinds)}
        self._deleted = counter(registry, "expired_rows_total", "Rows removed or stripped because of their age", names)
        self._oldest = gauge(registry, "retention_oldest_seconds", "Age of the oldest row that has a retention", names)
        self._overdue = gauge(
            registry, "retention_overdue_seconds", "By how much the oldest row has outlived its retention", names
        )
        self._last_run = gauge(
            registry, "retention_last_run_timestamp_seconds", "When the job last went through a kind to its end", names
        )

    def record_deleted(self, kind: str, counts: Counter[str]) -> None:
        """Count the rows."""
        self._deleted(self._service, kind).inc(counts.total())

    def record_age(self, kind: str, age: int, overdue: int) -> None:
        """Show the age of the oldest row, and by how much one has outlived its retention, in microseconds."""
        self._oldest(self._service, kind).set(age / SECOND)
        self._overdue(self._service, kind).set(overdue / SECOND)

    def record_run(self, kind: str, now: Instant) -> None:
        """Show that the job has come to the end of a kind."""
        self._last_run(self._service, kind).set(now / SECOND)


class RetentionSweeper:
    """The removal of old data of one service. For a periodic task."""

    def __init__(self, database: Database, clock: Clock, kinds: Sequence[KeptKind], metrics: RetentionMetrics) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._overdue: dict[str, int] = {}

    def keep_for(self, kind: str, days: int | None) -> None:
        """Keep a kind for so many days, which were not known when the service was built."""
        self._kinds[kind] = self._kinds[kind]._replace(days=days)

    async def check_lateness(self) -> None:
        """For readiness, as a check that may fail: raises RetentionBehind while a kind is days behind its retention."""
        late = {name: overdue // DAY for name, overdue in self._overdue.items() if overdue > LATE_AFTER}
        if late:
            kinds = ", ".join(f"{name} ({days} days)" for name, days in sorted(late.items()))
            raise RetentionBehind(f"older than their retention, and still there: {kinds}; see the log for errors")

    async def delete_expired(self) -> None:
        """Remove until nothing is left to remove. Raises Transient.

        A kind that fails in another way is logged, and must not keep the others waiting.
        """
        for name in self._kinds:
            try:
                await self._sweep(self._kinds[name])
            except Transient:
                raise
            except Exception as error:
                log_error("retention_failed", error, kind=name)
            finally:
                await self._measure(self._kinds[name])

    async def _sweep(self, kind: KeptKind) -> None:
        if kind.days is None:
            return
        before = self._clock.now() - kind.days * DAY
        total: Counter[str] = Counter()
        for step in kind.steps:
            after: int | None = 0
            while after is not None:
                async with self._database.write() as tx:
                    after, counts = await step(tx, before, after)
                self._metrics.record_deleted(kind.name, counts)
                total += counts
                await asyncio.sleep(PAUSE_SECONDS)
        self._metrics.record_run(kind.name, self._clock.now())
        if total:
            log("history_expired", kind=kind.name, retention_days=kind.days, count=total.total())

    async def _measure(self, kind: KeptKind) -> None:
        now = self._clock.now()
        before = now if kind.days is None else now - kind.days * DAY
        async with self._database.read() as tx:
            oldest = await kind.oldest(tx, now)
            late = None if kind.days is None else await kind.oldest(tx, before)
        self._overdue[kind.name] = 0 if late is None else before - late
        self._metrics.record_age(kind.name, 0 if oldest is None else now - oldest, self._overdue[kind.name])
