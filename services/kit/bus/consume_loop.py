"""The one loop by which every service reads the log: poll, prepare, apply in one transaction with the offsets.

A record is done when that transaction has committed, and only then. A crash, a lost partition or a frozen process
loses work in memory, never a record: whoever owns the partition next starts at `next_offset` of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from services.kit.bus.batch import Batch, Handler
from services.kit.bus.consume_metrics import ConsumeMetrics, NoMetrics
from services.kit.bus.dead_letters import DeadLetterRelay
from services.kit.bus.fence import Nudge
from services.kit.bus.partition_lease import Lease, claim, reset
from services.kit.bus.protocol import Bus, Partition, Record
from services.kit.bus.record_applier import Applier
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.retry import Abandoned, Effort, Patience

__all__ = ["Batch", "ConsumeLoop", "Handler"]

T = TypeVar("T")

IDLE_WAIT = 0.25
"""Seconds that a poll waits for the first record."""
KEEP_ALIVE = 3.0
"""Seconds of work on one batch after which the group is shown, again and again, that we live."""
TELL_EVERY = 1.0
"""Seconds between advisory commits."""
TELL_TIMEOUT = 2.0
WATCH_EVERY = 5.0
"""Seconds between looks at the lag."""


class ConsumeLoop(Generic[T]):
    """Reads topics as a member of a group. `run` ends after `stop`, or raises what cannot be survived."""

    def __init__(
        self,
        bus: Bus,
        database: Database,
        handler: Handler[T],
        *,
        group: str,
        topics: Sequence[str],
        clock: Clock,
        stage: str,
        dead_letter_topic: str,
        max_batch: int = 2000,
        linger: float = 0.005,
        metrics: ConsumeMetrics | None = None,
        nudge: Nudge | None = None,
    ) -> None:
        self._bus = bus
        self._database = database
        self._topics = tuple(topics)
        self._max_batch = max_batch
        self._linger = linger
        self._metrics = metrics or NoMetrics()
        self._consumer = bus.consumer(group, topics)
        self._relay = DeadLetterRelay(bus, database, dead_letter_topic, clock, owned=self.owned)
        self._leases: dict[Partition, Lease] = {}
        self._waiting: set[Partition] = set()
        self._round = 0
        self._held = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._told = self._progress = self._polled = time.monotonic()
        self._patience = Patience(self._stopping, self._on_rest)
        self._applier = Applier(
            database,
            handler,
            self._leases,
            self._patience,
            self._metrics,
            clock=clock,
            stage=stage,
            nudge=nudge or Nudge(),
            lost=self._claim_again,
        )

    async def run(self) -> None:
        """Read and apply until `stop`. Errors that may pass are waited out; all others are raised."""
        self._task = asyncio.create_task(self._main())
        helpers = {asyncio.create_task(self._relay.run()), asyncio.create_task(self._watch())}
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
            await self._leave()

    async def stop(self, drain: float) -> None:
        """Finish the batch at hand within `drain` seconds, or drop it, and leave the group. `run` then returns."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=drain)
            self._task.cancel()

    def stuck(self, after: float = 60.0) -> str | None:
        """Why the process should be restarted, or None. To be asked by the liveness probe."""
        now = time.monotonic()
        if now - self._polled > after:
            return f"no poll has returned for {now - self._polled:.0f} s"
        if now - self._progress > after:
            return f"records wait, but none has been read for {now - self._progress:.0f} s"
        return None

    def owned(self) -> frozenset[Partition]:
        """The partitions that this loop may apply."""
        return frozenset(self._leases)

    async def _main(self) -> None:
        with contextlib.suppress(Abandoned):
            await self._patience.persist(self._join, Effort(tries=1))
            while not self._stopping.is_set():
                await self._patience.persist(self._turn, Effort(tries=1))

    async def _join(self) -> None:
        await self._consumer.start(self._on_assigned, self._on_revoked)

    async def _turn(self) -> None:
        try:
            if self._waiting:
                await self._claim()
            records = await self._gather()
        except Transient:
            await self._keep_alive()
            raise
        if records:
            await self._while_alive(self._applier.work(records))
        await self._tell()

    # -- assignment ----------------------------------------------------------------------------------------------

    async def _on_assigned(self, partitions: set[Partition]) -> None:
        self._round += 1
        self._drop(partitions)
        self._waiting |= partitions
        self._consumer.pause(partitions)
        self._metrics.rebalanced()

    async def _on_revoked(self, partitions: set[Partition]) -> None:
        self._round += 1
        self._drop(partitions)
        self._waiting -= partitions

    def _drop(self, partitions: set[Partition]) -> None:
        for partition in partitions:
            self._leases.pop(partition, None)

    def _claim_again(self, partitions: set[Partition]) -> None:
        """Another has claimed these. Drop the work; what the group still gives to us is claimed anew."""
        self._drop(partitions)
        ours = partitions & self._consumer.assigned()
        self._waiting |= ours
        self._consumer.pause(ours)

    async def _claim(self) -> None:
        """Take a new epoch for all that wait, then read on where the database says."""
        began = time.monotonic()
        current, wanted = self._round, set(self._waiting)
        async with self._database.write() as tx:
            leases = await claim(tx, wanted)
        for partition, lease in leases.items():
            taken = await self._consumer.seek(partition, lease.applied)
            if taken != lease.applied:
                await self._reset(partition, lease, taken)
        if current == self._round:  # else the assignment has changed meanwhile: claim again
            self._waiting -= wanted
            self._leases.update(leases)
            self._consumer.resume(wanted)
        self._metrics.activity("rebalance", time.monotonic() - began)

    async def _reset(self, partition: Partition, lease: Lease, taken: int) -> None:
        """The log does not hold our offset: retention has passed it, or the topic is another one. Say so, loudly."""
        async with self._database.write() as tx:
            await reset(tx, partition, lease.epoch, taken)
        level: Literal["info", "error"] = "info" if lease.applied == 0 else "error"
        place = {"topic": partition.topic, "partition": partition.partition}
        log("offset_reset", level=level, **place, applied=lease.applied, taken=taken)
        lease.applied = lease.position = taken

    # -- reading -------------------------------------------------------------------------------------------------

    async def _gather(self) -> list[Record]:
        """Up to `max_batch` records: what is there, and what comes within `linger` seconds of the first."""
        if self._held:
            self._hold(False)
        began = time.monotonic()
        found: dict[Partition, list[Record]] = {}
        self._accept(await self._consumer.poll(self._max_batch, IDLE_WAIT), found)
        self._polled = time.monotonic()
        deadline = self._polled + self._linger
        while found and (room := self._max_batch - sum(map(len, found.values()))) > 0:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                self._accept(await self._consumer.poll(room, left), found)
            except Transient:
                break  # what we have is not lost; the next poll tells
        self._metrics.activity("poll" if found else "idle", time.monotonic() - began)
        records = [record for partition in sorted(found) for record in found[partition]]
        for topic in self._topics:
            oldest = min((record.timestamp for record in records if record.topic == topic), default=0)
            self._metrics.next_record(topic, oldest)
        if records:
            self._progress = time.monotonic()
        return records

    def _accept(self, polled: Mapping[Partition, list[Record]], found: dict[Partition, list[Record]]) -> None:
        """Keep records of our leases that we have not read yet; the bus may hand out others around a rebalance."""
        for partition, records in polled.items():
            if lease := self._leases.get(partition):
                fresh = [record for record in records if record.offset >= lease.position]
                if fresh:
                    lease.position = fresh[-1].offset + 1
                    found.setdefault(partition, []).extend(fresh)

    # -- while a batch takes long --------------------------------------------------------------------------------

    async def _while_alive(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; if it takes long, read nothing more, but keep showing the group that we live."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=KEEP_ALIVE))[0]:
                await self._keep_alive()
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_alive(self) -> None:
        self._hold(True)
        with contextlib.suppress(Transient):
            self._claim_again(set(await self._consumer.poll(1, 0.0)))  # all are paused: there should be none
            self._polled = self._progress = time.monotonic()

    def _hold(self, held: bool) -> None:
        self._held = held
        if held:
            self._consumer.pause(self._consumer.assigned())
        else:
            self._consumer.resume(self._leases)
        for topic in self._topics:
            self._metrics.paused(topic, held)

    def _on_rest(self, reason: str, seconds: float) -> None:
        log("consume_waits", level="warning", reason=reason, seconds=round(seconds, 3))
        self._metrics.activity("backpressure", seconds)
        for topic in self._topics:
            self._metrics.records(topic, "retried", 1)

    # -- for others to see ---------------------------------------------------------------------------------------

    async def _tell(self, *, every: float = TELL_EVERY) -> None:
        """Advisory commit: tools that watch the bus see our lag. Nothing rests on it."""
        if time.monotonic() - self._told < every or not self._leases:
            return
        self._told = time.monotonic()
        with contextlib.suppress(Transient, TimeoutError):
            async with asyncio.timeout(TELL_TIMEOUT):
                await self._consumer.commit({p: lease.applied for p, lease in self._leases.items()})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            waiting = 0
            with contextlib.suppress(Transient):
                for topic in self._topics:
                    for partition, end in (await self._bus.end_offsets(topic)).items():
                        if lease := self._leases.get(partition):
                            waiting += max(0, end - lease.position)
                            self._metrics.lag(partition, max(0, end - lease.applied))
            if not waiting:
                self._progress = time.monotonic()

    async def _leave(self) -> None:
        await self._tell(every=0)
        self._leases.clear()
        with contextlib.suppress(Transient):
            await self._consumer.stop()
