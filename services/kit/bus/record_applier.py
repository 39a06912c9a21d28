"""Applies records until each is done: applied in one transaction with its offset, dead-lettered, or no longer ours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import Generic, Literal, TypeVar

from schemas.event import peek_identity
from services.kit.bus.batch import Batch, BatchHandler
from services.kit.bus.consume_metrics import ConsumerMetrics, DeadLetterCause
from services.kit.bus.dead_letters import problems_of, store_dead_letter
from services.kit.bus.fence import WakeSignal
from services.kit.bus.partition_lease import OffsetAdvance, PartitionLease, advance_offsets, read_leases
from services.kit.bus.protocol import Partition, Record
from services.kit.bus.records_in_hand import MAX_MARKS, EndedProcess, RecordsInHand, remove_marks
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.retry import LeaseLost, Retrier, RetryCancelled, RetryPolicy

T = TypeVar("T")

MAX_LOGGED_PROBLEMS = 20
MAX_UNEXPECTED_FAILURES = 100
"""Consecutive records that fail unexpectedly before the loop gives up: then the fault is ours, not the records'."""


class _OffsetsNotMoved(Exception):
    """The database did not move the offsets of these partitions."""

    def __init__(self, partitions: set[Partition]) -> None:
        super().__init__(partitions)
        self.partitions = partitions


class BatchApplier(Generic[T]):
    """Applies records under the leases that the loop holds; the loop may take leases away at any time."""

    def __init__(
        self,
        database: Database,
        handler: BatchHandler[T],
        leases: dict[Partition, PartitionLease],
        in_hand: RecordsInHand,
        retrier: Retrier,
        metrics: ConsumerMetrics,
        *,
        clock: Clock,
        stage: str,
        wake: WakeSignal,
        on_leases_lost: Callable[[set[Partition]], None],
    ) -> None:
        self._database = database
        self._handler = handler
        self._leases = leases
        self._in_hand = in_hand
        self._retrier = retrier
        self._metrics = metrics
        self._clock = clock
        self._stage = stage
        self._wake = wake
        self._on_leases_lost = on_leases_lost
        self._unexpected_failures = 0

    async def apply_records(self, records: Sequence[Record]) -> None:
        """Returns when all records are done, or when stopping. Raises what must end the loop."""
        chunks = self._in_hand.split(records)[::-1]
        while chunks:
            chunk = self._owned_records(chunks.pop())
            if not chunk:
                continue
            if len(chunk) == 1 and self._in_hand.has_ended_processes(chunk[0]):
                await self._pass_failed_record(chunk[0], EndedProcess(), MAX_MARKS + 1)
                continue
            policy = RetryPolicy()
            try:
                await self._retrier.run(lambda chunk=chunk: self._apply_batch(chunk), policy)  # type: ignore[misc]
                self._unexpected_failures = 0
                continue
            except LeaseLost:
                chunks.append(chunk)
                continue
            except RetryCancelled:
                return
            except Exception as error:
                failure = error
            if len(chunk) > 1:
                middle = len(chunk) // 2
                chunks += [chunk[middle:], chunk[:middle]]  # the earlier half is taken first
            else:
                await self._pass_failed_record(chunk[0], failure, policy.attempts)

    def _owned_records(self, records: Sequence[Record]) -> list[Record]:
        leases: Container[tuple[str, int]] = self._leases
        return [record for record in records if (record.topic, record.partition) in leases]

    async def _apply_batch(self, records: list[Record]) -> None:
        if len(self._owned_records(records)) < len(records):
            raise LeaseLost
        batch = Batch.from_records(records)
        mark_id = await self._in_hand.mark(batch)
        try:
            await self._handle(batch)
        except BaseException:
            if mark_id is not None:
                await remove_marks(self._database, mark_id)
            raise

    async def _handle(self, batch: Batch) -> None:
        began = time.monotonic()
        prepared = await self._handler.prepare(batch)
        self._metrics.add_activity("process", time.monotonic() - began)

        async def write_effects(tx: Tx) -> None:
            for record, error in batch.rejected:
                await self._store_dead_letter(tx, record, error, 1)
            await self._handler.apply(tx, prepared)

        await self._commit(batch, write_effects)
        rejected = [record for record, _ in batch.rejected]
        self._count_records("dead_lettered", rejected)
        self._count_dead_letters(rejected, "unreadable")
        self._count_records("processed", [record for record in batch.records if record not in rejected])
        try:
            await self._handler.after_commit(prepared)
        except Exception as error:
            log("applied_hook_failed", level="error", stage=self._stage, error_class=type(error).__name__)

    async def _commit(self, batch: Batch, write_effects: Callable[[Tx], Awaitable[None]]) -> None:
        """Moves the offsets and writes the effects in one transaction. Raises LeaseLost if the batch is not ours."""
        began = time.monotonic()
        try:
            async with self._database.write() as tx:
                await self._advance_offsets(tx, batch)
                await self._in_hand.clear_passed(tx, batch)
                await write_effects(tx)
        except _OffsetsNotMoved as refused:
            if not await self._was_committed(batch, refused.partitions):
                self._on_leases_lost(refused.partitions)
                raise LeaseLost from None
        for partition, offset in batch.next_offsets.items():
            if lease := self._leases.get(partition):
                lease.applied_offset = offset
        self._in_hand.forget_passed(batch)
        self._wake.notify()
        self._metrics.add_activity("commit", time.monotonic() - began)

    async def _advance_offsets(self, tx: Tx, batch: Batch) -> None:
        moves = [
            OffsetAdvance(*partition, self._leases[partition].epoch, batch.first_offsets[partition], offset)
            for partition, offset in sorted(batch.next_offsets.items())
            if partition in self._leases
        ]
        missing = batch.next_offsets.keys() - await advance_offsets(tx, moves)
        if missing:
            raise _OffsetsNotMoved(missing)

    async def _was_committed(self, batch: Batch, refused: set[Partition]) -> bool:
        """Whether an earlier attempt with unknown outcome had committed this batch.

        Only we move offsets under our epoch, and all partitions of a batch move together, so the stored offsets tell.
        """
        async with self._database.read() as tx:
            rows = await read_leases(tx, refused)
        for partition, row in rows.items():
            lease = self._leases.get(partition)
            if lease and lease.epoch == row.epoch and row.applied_offset >= batch.next_offsets[partition]:
                return True
        return False

    async def _pass_failed_record(self, record: Record, error: Exception, attempts: int) -> None:
        """Dead-letters one record and moves past it."""
        if not isinstance(error, Permanent):
            self._unexpected_failures += 1
            if self._unexpected_failures > MAX_UNEXPECTED_FAILURES:
                raise error
        batch = Batch.from_records([record])

        async def write_effects(tx: Tx) -> None:
            await self._store_dead_letter(tx, record, error, attempts)

        try:
            await self._retrier.run(lambda: self._commit(batch, write_effects), RetryPolicy())
        except (LeaseLost, RetryCancelled):
            return
        self._count_records("dead_lettered", [record])
        self._count_dead_letters([record], "refused" if isinstance(error, Permanent) else "failed")

    async def _store_dead_letter(self, tx: Tx, record: Record, error: BaseException, attempts: int) -> None:
        if await self._handler.keeps_nothing_of(tx, record):
            log("record_passed_over", stage=self._stage, partition=record.partition, offset=record.offset)
            return
        identity, problems = peek_identity(record.key, record.headers, record.value), problems_of(error)
        log(
            "dead_letter",
            level="error",
            stage=self._stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            event_source=identity.source,
            event_id=identity.id,
            event_type=identity.type,
            problems=[f"{each.pointer or '/'}: {each.code}" for each in problems[:MAX_LOGGED_PROBLEMS]],
            error_class=type(error).__name__,
            attempts=attempts,
        )
        await store_dead_letter(tx, record, error, stage=self._stage, attempts=attempts, at=self._clock.now())
        await self._handler.on_dead_letter(tx, record, error)

    def _count_records(self, outcome: Literal["processed", "dead_lettered"], records: Sequence[Record]) -> None:
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.count_records(topic, outcome, count)

    def _count_dead_letters(self, records: Sequence[Record], cause: DeadLetterCause) -> None:
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.count_dead_letters(topic, cause, count)
