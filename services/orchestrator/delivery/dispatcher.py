"""Hands over what lies in the outbox. One loop a channel, so that a slow provider holds up only itself."""

import asyncio
from collections.abc import Awaitable, Callable

from services.kit.bus.fence import Nudge
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery import shard_lease
from services.orchestrator.delivery.claim import Marker
from services.orchestrator.delivery.recovery import Recovery
from services.orchestrator.delivery.sender import Handover, pause

RENEW_EVERY = 2.0
POLL = 0.1


class Dispatcher:
    """One dispatcher process; `owner` tells it from all others, past and present."""

    def __init__(
        self,
        database: Database,
        marker: Marker,
        handover: Handover,
        recovery: Recovery,
        clock: Clock,
        nudge: Nudge,
    ) -> None:
        self._database = database
        self._marker = marker
        self._handover = handover
        self._recovery = recovery
        self._clock = clock
        self._nudge = nudge
        self._epochs: dict[int, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Hand over until stopped; then finish what is in flight and give the shards back."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end(stop))
            tasks.create_task(self._forever(stop, self._keep_shards, RENEW_EVERY))
            tasks.create_task(self._forever(stop, self._recovery.close_overdue, 1.0))
            for channel in self._handover.channels:
                tasks.create_task(self._serve(channel, stop))
        try:
            async with self._database.write() as tx:
                await shard_lease.release(tx, self._marker.owner)
        except Transient as error:
            log("shards_not_released", level="warning", reason=error.code)

    async def _end(self, stop: asyncio.Event) -> None:
        """Once stopped, give back what is marked and not begun instead of handing it over."""
        await stop.wait()
        self._handover.end()

    async def start(self) -> None:
        """Take shards before the first round, if the database lets us; `run` goes on trying."""
        await self._once(self._keep_shards)

    async def _keep_shards(self) -> None:
        now = await self._database.now()
        async with self._database.write() as tx:
            if not self._epochs:
                await shard_lease.create(tx)
            self._epochs = await shard_lease.renew(tx, self._marker.owner, now)

    async def _once(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Transient as error:
            log("dispatch_waits", level="warning", reason=error.code, detail=error.detail)

    async def _forever(self, stop: asyncio.Event, step: Callable[[], Awaitable[None]], every: float) -> None:
        while not stop.is_set():
            await self._once(step)
            await pause(stop, every)

    async def _serve(self, channel: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            upcoming = self._nudge.upcoming()
            try:
                done = await self.round(channel)
            except Transient as error:
                log("dispatch_waits", level="warning", reason=error.code, detail=error.detail, channel=channel)
                done = 0
            if not done:
                await _first(upcoming, stop, POLL)

    async def _waits(self, channel: str) -> bool:
        """Whether anything lies there for us; to mark is dearer than to look."""
        async with self._database.read() as tx:
            row = await tx.row(
                f"SELECT seq FROM outbox WHERE {tx.among('shard', 'shards', 'bigint')} AND channel = :channel LIMIT 1",
                shards=tx.array(sorted(self._epochs)),
                channel=channel,
            )
        return row is not None

    async def round(self, channel: str) -> int:
        """Hand over the next messages of a channel; returns how many were marked."""
        if not await self._waits(channel):
            return 0
        deadline = self._handover.deadline()
        opened = await self._database.now()
        async with self._database.write() as tx:
            marked = await self._marker.mark(tx, channel, self._epochs, self._clock.now(), opened)
        if marked:
            await self._handover.finish(channel, marked, deadline)
        return len(marked)


async def _first(nudged: asyncio.Event, stop: asyncio.Event, seconds: float) -> None:
    waits = [asyncio.ensure_future(nudged.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
