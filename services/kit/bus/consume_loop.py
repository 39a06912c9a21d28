"""The consume loop of every service: poll, prepare, and apply in one transaction with the offsets.

A record is done when that transaction has committed, and only then. A crash, a lost partition or a frozen process loses
work in memory but never a record: the next owner of the partition starts at `next_offset` of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from services.kit.bus.batch import Batch, BatchHandler
from services.kit.bus.consume_metrics import ConsumerMetrics, NullConsumerMetrics
from services.kit.bus.dead_letters import DeadLetterRelay
from services.kit.bus.fence import WakeSignal
from services.kit.bus.partition_lease import PartitionLease, claim_partitions, reset_offset
from services.kit.bus.protocol import Bus, Partition, Record
from services.kit.bus.record_applier import BatchApplier
from services.kit.bus.records_in_hand import RecordsInHand
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import wait_for_any
from services.kit.runtime.retry import Retrier, RetryCancelled, RetryPolicy

__all__ = ["Batch", "BatchHandler", "ConsumeLoop"]

T = TypeVar("T")

POLL_TIMEOUT = 2.0
"""Seconds that a poll waits for the first record; less when the process stops or gets partitions."""
PACE = 0.025
"""Seconds from the start of one batch to that of the next, at least. A batch costs every process that takes part some
milliseconds, however small it is: without a pace a steady load would be taken record by record.
"""
LONGEST_PACE = 0.1
"""The same where batches take long, as on a busy machine: up to so many seconds, half of the time is left to others."""
KEEP_ALIVE_INTERVAL = 3.0
"""Seconds of work on one batch after which the loop keeps polling without reading, to stay in the group."""
COMMIT_INTERVAL = 1.0
"""Seconds between advisory commits to the bus."""
COMMIT_TIMEOUT = 2.0
LAG_INTERVAL = 5.0
"""Seconds between measurements of the lag."""


class ConsumeLoop(Generic[T]):
    """Reads topics as a member of a group. `run` ends after `stop`, or raises an unrecoverable error."""

    def __init__(
        self,
        bus: Bus,
        database: Database,
        handler: BatchHandler[T],
        *,
        group: str,
        topics: Sequence[str],
        clock: Clock,
        stage: str,
        dead_letter_topic: str,
        max_batch: int = 2000,
        pace: float = PACE,
        metrics: ConsumerMetrics | None = None,
        wake: WakeSignal | None = None,
    ) -> None:
        self._bus = bus
        self._database = database
        self._topics = tuple(topics)
        self._max_batch = max_batch
        self._pace = pace
        self._metrics = metrics or NullConsumerMetrics()
        self._wake = wake or WakeSignal()
        self._consumer = bus.consumer(group, topics)
        self._relay = DeadLetterRelay(bus, database, dead_letter_topic, clock, owned=self.owned_partitions)
        self._leases: dict[Partition, PartitionLease] = {}
        self._in_hand = RecordsInHand(database, max_batch)
        self._unclaimed: set[Partition] = set()
        self._generation = 0
        self._paused = False
        self._stopping = asyncio.Event()
        self._poll_limit: asyncio.Timeout | None = None
        self._committed: dict[Partition, int] = {}
        self._task: asyncio.Task[Any] | None = None
        self._last_commit = self._last_progress = self._last_poll = time.monotonic()
        self._next_start = 0.0
        self._work = 0.0
        self._reads_ahead = True
        self._retrier = Retrier(self._stopping, self._on_retry_wait)
        self._applier = BatchApplier(
            database,
            handler,
            self._leases,
            self._in_hand,
            self._retrier,
            self._metrics,
            clock=clock,
            stage=stage,
            wake=self._wake,
            on_leases_lost=self._on_leases_lost,
        )

    async def run(self) -> None:
        """Reads and applies records until `stop`. Transient errors are retried; all others are raised."""
        self._task = asyncio.create_task(self._consume_until_stopped())
        helpers = {asyncio.create_task(self._relay.publish_until_cancelled()), asyncio.create_task(self._measure_lag())}
        tasks = {self._task, *helpers}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._leave_group()

    async def stop(self, drain: float) -> bool:
        """Finishes the current batch within `drain` seconds, or drops it, and leaves the group. `run` then returns.

        Returns whether the batch was finished.
        """
        self._stopping.set()
        self._interrupt_poll()
        if self._task is None:
            return True
        _, late = await asyncio.wait({self._task}, timeout=drain)
        self._task.cancel()
        return not late

    def stuck_reason(self, after: float = 60.0) -> str | None:
        """Returns why the process should be restarted, or None. For the liveness probe."""
        now = time.monotonic()
        if self._bus.is_lost():  # a restart would not help, and the wait begins anew when the log is back
            self._last_poll = self._last_progress = now
        if now - self._last_poll > after:
            return f"no poll has returned for {now - self._last_poll:.0f} s"
        if now - self._last_progress > after:
            return f"records wait, but none has been read for {now - self._last_progress:.0f} s"
        return None

    def owned_partitions(self) -> frozenset[Partition]:
        """The partitions that this loop may apply."""
        return frozenset(self._leases)

    async def _consume_until_stopped(self) -> None:
        with contextlib.suppress(RetryCancelled):
            await self._retrier.run(self._join_group, RetryPolicy(tries=1))
            while not self._stopping.is_set():
                await self._retrier.run(self._consume_batch, RetryPolicy(tries=1))

    async def _join_group(self) -> None:
        await self._consumer.start(self._on_assigned, self._on_revoked)

    async def _consume_batch(self) -> None:
        try:
            if self._unclaimed:
                await self._claim_unclaimed()
            records = await self._poll_batch()
        except Transient:
            await self._keep_alive()
            raise
        if records:
            began = time.monotonic()
            await self._run_with_keep_alive(self._applier.apply_records(records))
            self._work = time.monotonic() - began
        await self._commit_to_bus()

    # -- assignment ----------------------------------------------------------------------------------------------

    async def _on_assigned(self, partitions: set[Partition]) -> None:
        self._generation += 1
        self._drop_leases(partitions)
        self._unclaimed |= partitions
        self._consumer.pause(partitions)
        self._interrupt_poll()  # to claim them
        self._metrics.count_rebalance()

    async def _on_revoked(self, partitions: set[Partition]) -> None:
        self._generation += 1
        self._drop_leases(partitions)
        self._unclaimed -= partitions

    def _drop_leases(self, partitions: set[Partition]) -> None:
        for partition in partitions:
            self._leases.pop(partition, None)

    def _on_leases_lost(self, partitions: set[Partition]) -> None:
        """Handles the loss of leases to another worker: drops their work, and claims again what the group still assigns
        to us.
        """
        self._drop_leases(partitions)
        ours = partitions & self._consumer.assigned()
        self._unclaimed |= ours
        self._consumer.pause(ours)

    async def _claim_unclaimed(self) -> None:
        """Claims a new epoch for all waiting partitions, then reads on from the offsets in the database."""
        began = time.monotonic()
        generation, unclaimed = self._generation, set(self._unclaimed)
        async with self._database.write() as tx:
            leases = await claim_partitions(tx, unclaimed)
            await self._in_hand.watch(tx, leases)
        for partition, lease in leases.items():
            taken = await self._consumer.seek(partition, lease.applied_offset)
            if taken != lease.applied_offset:
                await self._reset_offset(partition, lease, taken)
        if generation == self._generation:  # else the assignment has changed meanwhile: claim again
            self._unclaimed -= unclaimed
            self._leases.update(leases)
            self._consumer.resume(unclaimed)
        self._metrics.add_activity("rebalance", time.monotonic() - began)

    async def _reset_offset(self, partition: Partition, lease: PartitionLease, taken: int) -> None:
        """Resets our offset to the start of the log because the log no longer contains it (retention, or a recreated
        topic); logs an error.
        """
        async with self._database.write() as tx:
            await reset_offset(tx, partition, lease.epoch, taken)
        level: Literal["info", "error"] = "info" if lease.applied_offset == 0 else "error"
        place = {"topic": partition.topic, "partition": partition.partition}
        log("offset_reset", level=level, **place, applied=lease.applied_offset, taken=taken)
        lease.applied_offset = lease.read_offset = taken

    # -- reading -------------------------------------------------------------------------------------------------

    async def _poll_batch(self) -> list[Record]:
        """Returns up to `max_batch` records. Batches keep the pace, so that they are as large as the load asks for: the
        first record after a pause is taken at once, under a steady load those of some milliseconds are taken together,
        and full batches, as under a backlog, follow each other without waiting. Nor do batches that somebody waits for.
        """
        if self._paused:
            self._set_paused(False)
        began = time.monotonic()
        if began < self._next_start:
            await wait_for_any(self._next_start - began, self._stopping, self._wake.wanted)
            if self._stopping.is_set():
                return []
        self._wake.wanted.clear()
        self._set_reading_ahead(True)
        found: dict[Partition, list[Record]] = {}
        self._add_unread(await self._poll_until_interrupted(), found)
        self._last_poll = time.monotonic()
        if found and sum(map(len, found.values())) < self._max_batch:
            self._next_start = self._last_poll + max(self._pace, min(2 * self._work, LONGEST_PACE))
            self._set_reading_ahead(False)
        self._metrics.add_activity("poll" if found else "idle", time.monotonic() - began)
        records = [record for partition in sorted(found) for record in found[partition]]
        for topic in self._topics:
            if not records and self._bus.is_lost():  # that nothing was read does not mean that there is nothing
                self._metrics.forget_next_record(topic)
                continue
            oldest = min((record.timestamp for record in records if record.topic == topic), default=0)
            self._metrics.set_next_record(topic, oldest)
        if records:
            self._last_progress = time.monotonic()
        return records

    def _set_reading_ahead(self, ahead: bool) -> None:
        """Whether the bus may read the next records while a batch is worked off. Under a backlog it saves waiting for
        them. Otherwise it would read the few that are there already, so that each batch is as old as the one before.
        """
        if ahead and not self._reads_ahead:
            self._consumer.resume(self._leases)
        elif not ahead:
            self._consumer.pause(self._leases)
        self._reads_ahead = ahead

    def _interrupt_poll(self) -> None:
        if self._poll_limit is not None:
            self._poll_limit.reschedule(asyncio.get_running_loop().time())

    async def _poll_until_interrupted(self) -> Mapping[Partition, list[Record]]:
        """Waits for the first records, but no longer once it stops or has been given partitions. A poll that is cut off
        has delivered nothing: the next one does, here or at the next owner of the partition.
        """
        try:
            async with asyncio.timeout(None) as limit:
                self._poll_limit = limit
                return await self._consumer.poll(self._max_batch, POLL_TIMEOUT)
        except TimeoutError:
            if not limit.expired():
                raise
            return {}
        finally:
            self._poll_limit = None

    def _add_unread(self, polled: Mapping[Partition, list[Record]], found: dict[Partition, list[Record]]) -> None:
        """Adds records of our leases that were not read before; around a rebalance the bus may deliver others."""
        for partition, records in polled.items():
            if lease := self._leases.get(partition):
                fresh = [record for record in records if record.offset >= lease.read_offset]
                if fresh:
                    lease.read_offset = fresh[-1].offset + 1
                    found.setdefault(partition, []).extend(fresh)

    # -- while a batch takes long --------------------------------------------------------------------------------

    async def _run_with_keep_alive(self, application: Coroutine[Any, Any, None]) -> None:
        """Runs the work; if it takes long, polls without reading so that the group does not expel this member."""
        task = asyncio.create_task(application)
        try:
            while not (await asyncio.wait({task}, timeout=KEEP_ALIVE_INTERVAL))[0]:
                await self._keep_alive()
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_alive(self) -> None:
        self._set_paused(True)
        with contextlib.suppress(Transient):
            self._on_leases_lost(set(await self._consumer.poll(1, 0.0)))  # all are paused: there should be none
            self._last_poll = self._last_progress = time.monotonic()

    def _set_paused(self, paused: bool) -> None:
        self._paused = paused
        if paused:
            self._consumer.pause(self._consumer.assigned())
        else:
            self._consumer.resume(self._leases)
        for topic in self._topics:
            self._metrics.set_paused(topic, paused)

    def _on_retry_wait(self, reason: str, seconds: float) -> None:
        log("consume_waits", level="warning", reason=reason, seconds=round(seconds, 3))
        self._metrics.add_activity("backpressure", seconds)
        for topic in self._topics:
            self._metrics.count_records(topic, "retried", 1)

    # -- for others to see ---------------------------------------------------------------------------------------

    async def _commit_to_bus(self, *, interval: float = COMMIT_INTERVAL) -> None:
        """Commits to the bus for lag tools only; correctness does not depend on it."""
        applied = {partition: lease.applied_offset for partition, lease in self._leases.items()}
        if applied == self._committed or time.monotonic() - self._last_commit < interval:
            return
        self._last_commit = time.monotonic()
        with contextlib.suppress(Transient, TimeoutError):
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await self._consumer.commit(applied)
                self._committed = applied

    async def _measure_lag(self) -> None:
        """Reports the lag of our partitions; of those whose end is unknown, and of those that were ours, none."""
        reported: set[Partition] = set()
        while True:
            await asyncio.sleep(LAG_INTERVAL)
            ends: dict[Partition, int] = {}
            with contextlib.suppress(Transient):
                for topic in self._topics:
                    ends |= await self._bus.end_offsets(topic)
            lags = {
                partition: (ends[partition], lease) for partition, lease in self._leases.items() if partition in ends
            }
            self._metrics.forget_lag(reported - lags.keys())
            for partition, (end, lease) in lags.items():
                self._metrics.set_lag(partition, max(0, end - lease.applied_offset))
            reported = set(lags)
            if not any(end > lease.read_offset for end, lease in lags.values()):
                self._last_progress = time.monotonic()

    async def _leave_group(self) -> None:
        await self._commit_to_bus(interval=0)
        self._leases.clear()
        with contextlib.suppress(Transient):
            await self._consumer.stop()
