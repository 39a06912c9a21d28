"""Applies records until each is done: applied in one transaction with its offset, dead-lettered, or no longer ours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import Generic, Literal, TypeVar

from services.kit.bus.batch import Batch, Handler
from services.kit.bus.consume_metrics import Cause, ConsumeMetrics
from services.kit.bus.dead_letters import bury
from services.kit.bus.fence import Nudge
from services.kit.bus.partition_lease import Lease, Move, advance, standing
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.retry import Abandoned, Effort, Patience, Stale

T = TypeVar("T")

FLOOD = 100
"""Records in a row that fail for an unexpected reason before the loop gives up: it is us, not them."""


class _Refused(Exception):
    """The database did not move the offsets of these partitions."""

    def __init__(self, partitions: set[Partition]) -> None:
        super().__init__(partitions)
        self.partitions = partitions


class Applier(Generic[T]):
    """Works through records under the leases that the loop holds; the loop takes leases away at any time."""

    def __init__(
        self,
        database: Database,
        handler: Handler[T],
        leases: dict[Partition, Lease],
        patience: Patience,
        metrics: ConsumeMetrics,
        *,
        clock: Clock,
        stage: str,
        nudge: Nudge,
        lost: Callable[[set[Partition]], None],
    ) -> None:
        self._database = database
        self._handler = handler
        self._leases = leases
        self._patience = patience
        self._metrics = metrics
        self._clock = clock
        self._stage = stage
        self._nudge = nudge
        self._lost = lost
        self._unexpected = 0

    async def work(self, records: Sequence[Record]) -> None:
        """Return when all are done, or when we stop. Raises what must end the loop."""
        parts = [list(records)]
        while parts:
            part = self._ours(parts.pop())
            if not part:
                continue
            effort = Effort()
            try:
                await self._patience.persist(lambda part=part: self._once(part), effort)  # type: ignore[misc]
                self._unexpected = 0
                continue
            except Stale:
                parts.append(part)
                continue
            except Abandoned:
                return
            except Exception as error:
                failure = error
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]  # the earlier half is taken first
            else:
                await self._give_up(part[0], failure, effort.attempts)

    def _ours(self, records: Sequence[Record]) -> list[Record]:
        leases: Container[tuple[str, int]] = self._leases
        return [record for record in records if (record.topic, record.partition) in leases]

    async def _once(self, records: list[Record]) -> None:
        if len(self._ours(records)) < len(records):
            raise Stale
        batch = Batch.of(records)
        began = time.monotonic()
        prepared = await self._handler.prepare(batch)
        self._metrics.activity("process", time.monotonic() - began)

        async def write(tx: Tx) -> None:
            for record, error in batch.rejected:
                await self._bury(tx, record, error, 1)
            await self._handler.apply(tx, prepared)

        await self._commit(batch, write)
        rejected = [record for record, _ in batch.rejected]
        self._count("dead_lettered", rejected)
        self._count_dead(rejected, "unreadable")
        self._count("processed", [record for record in records if record not in rejected])
        try:
            await self._handler.applied(prepared)
        except Exception as error:
            log("applied_hook_failed", level="error", stage=self._stage, error_class=type(error).__name__)

    async def _commit(self, batch: Batch, write: Callable[[Tx], Awaitable[None]]) -> None:
        """Move the offsets and `write`, in one transaction. Stale if the batch is not ours any more."""
        began = time.monotonic()
        try:
            async with self._database.write() as tx:
                await self._advance(tx, batch)
                await write(tx)
        except _Refused as refused:
            if not await self._was_committed(batch, refused.partitions):
                self._lost(refused.partitions)
                raise Stale from None
        for partition, offset in batch.positions.items():
            if lease := self._leases.get(partition):
                lease.applied = offset
        self._nudge.notify()
        self._metrics.activity("commit", time.monotonic() - began)

    async def _advance(self, tx: Tx, batch: Batch) -> None:
        moves = [
            Move(*partition, self._leases[partition].epoch, batch.first[partition], offset)
            for partition, offset in sorted(batch.positions.items())
            if partition in self._leases
        ]
        missing = batch.positions.keys() - await advance(tx, moves)
        if missing:
            raise _Refused(missing)

    async def _was_committed(self, batch: Batch, refused: set[Partition]) -> bool:
        """Whether an earlier try, whose outcome was unknown, had in fact committed this batch.

        Under our epoch only we move an offset, and all partitions of a batch move together.
        """
        async with self._database.read() as tx:
            rows = await standing(tx, refused)
        for partition, row in rows.items():
            lease = self._leases.get(partition)
            if lease and lease.epoch == row.epoch and row.applied >= batch.positions[partition]:
                return True
        return False

    async def _give_up(self, record: Record, error: Exception, attempts: int) -> None:
        """Dead-letter one record and pass it."""
        if not isinstance(error, Permanent):
            self._unexpected += 1
            if self._unexpected > FLOOD:
                raise error
        batch = Batch.of([record])

        async def write(tx: Tx) -> None:
            await self._bury(tx, record, error, attempts)

        try:
            await self._patience.persist(lambda: self._commit(batch, write), Effort())
        except (Stale, Abandoned):
            return
        self._count("dead_lettered", [record])
        self._count_dead([record], "refused" if isinstance(error, Permanent) else "failed")

    async def _bury(self, tx: Tx, record: Record, error: BaseException, attempts: int) -> None:
        log(
            "dead_letter",
            level="error",
            stage=self._stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error_class=type(error).__name__,
            attempts=attempts,
        )
        await bury(tx, record, error, stage=self._stage, attempts=attempts, at=self._clock.now())
        await self._handler.poisoned(tx, record, error)

    def _count(self, outcome: Literal["processed", "dead_lettered"], records: Sequence[Record]) -> None:
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.records(topic, outcome, count)

    def _count_dead(self, records: Sequence[Record], cause: Cause) -> None:
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.dead_letter(topic, cause, count)
