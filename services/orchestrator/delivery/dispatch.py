"""Handover: mark, look again, hand over, settle. One loop a channel, so that a slow provider holds up only itself.

No transaction is open across a call to a provider or to another service.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from schemas.message import Handed, Message
from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.errors import Transient
from services.kit.fence import Nudge
from services.kit.logs import log
from services.orchestrator.delivery import shards
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.deadline import Handovers, boot_time
from services.orchestrator.delivery.gate import Gate, Look
from services.orchestrator.delivery.mark import Marked, Marker
from services.orchestrator.delivery.recovery import Recovery
from services.orchestrator.delivery.settle import Result, settle
from services.orchestrator.metrics import Metrics

T = TypeVar("T")

RENEW_EVERY = 2.0
POLL = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds within which a handover may start, and from its last check to its first byte."""

    deadline: float
    slack: float


class Dispatcher:
    """One dispatcher process; `owner` tells it from all others, past and present."""

    def __init__(
        self,
        database: Database,
        marker: Marker,
        gate: Gate,
        recovery: Recovery,
        adapters: Mapping[str, Adapter],
        handovers: Handovers,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
        nudge: Nudge,
    ) -> None:
        self._database = database
        self._marker = marker
        self._gate = gate
        self._recovery = recovery
        self._adapters = adapters
        self._handovers = handovers
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._nudge = nudge
        self._epochs: dict[int, int] = {}
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Hand over until stopped; then finish what is in flight and give the shards back."""
        self._stop = stop
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end(stop))
            tasks.create_task(self._forever(stop, self._keep_shards, RENEW_EVERY))
            tasks.create_task(self._forever(stop, self._recovery.close_overdue, 1.0))
            for channel in self._adapters:
                tasks.create_task(self._serve(channel, stop))
        try:
            async with self._database.write() as tx:
                await shards.release(tx, self._marker.owner)
        except Transient as error:
            log("shards_not_released", level="warning", reason=error.code)

    async def _end(self, stop: asyncio.Event) -> None:
        """Once stopped, give back what is marked and not begun instead of handing it over."""
        await stop.wait()
        self._handovers.end()

    async def start(self) -> None:
        """Take shards before the first round, if the database lets us; `run` goes on trying."""
        await self._once(self._keep_shards)

    async def _keep_shards(self) -> None:
        now = await self._database.now()
        async with self._database.write() as tx:
            if not self._epochs:
                await shards.create(tx)
            self._epochs = await shards.renew(tx, self._marker.owner, now)

    async def _once(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Transient as error:
            log("dispatch_waits", level="warning", reason=error.code, detail=error.detail)

    async def _forever(self, stop: asyncio.Event, step: Callable[[], Awaitable[None]], every: float) -> None:
        while not stop.is_set():
            await self._once(step)
            await _pause(stop, every)

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

    async def round(self, channel: str) -> int:
        """Hand over the next messages of a channel; returns how many were marked."""
        deadline = boot_time() + self._limits.deadline
        opened = await self._database.now()
        async with self._database.write() as tx:
            marked = await self._marker.mark(tx, channel, self._epochs, self._clock.now(), opened)
        if not marked:
            return 0
        look = await self._look(marked, deadline)
        if look is None:
            await self._settle(
                channel, marked, [Handed(item.message_id, "retry", detail="no_facts") for item in marked]
            )
            return len(marked)
        going = [item for item in marked if item.message_id not in look.refused]
        await self._refuse(channel, [item for item in marked if item.message_id in look.refused], look)
        if going:
            await self._settle(channel, going, await self._hand_over(channel, going, deadline))
        return len(marked)

    async def _look(self, marked: Sequence[Marked], deadline: float) -> Look | None:
        """What the gate sees, or None when fresh facts cannot be had before the deadline, or before we stop."""
        rest = 0.05
        try:
            async with asyncio.timeout(deadline - boot_time()):
                while not self._stop.is_set():
                    try:
                        return await self._gate.look(marked)
                    except Transient as error:
                        log("gate_waits", level="warning", reason=error.code, detail=error.detail)
                        await _pause(self._stop, rest)
                        rest = min(rest * 2, 1.0)
        except TimeoutError:
            pass
        return None

    async def _refuse(self, channel: str, refused: Sequence[Marked], look: Look) -> None:
        gone = [item for item in refused if item.maybe_sent]
        await self._settle(channel, gone, [Handed(item.message_id, "unknown") for item in gone], final=True)
        taken_back = [item for item in refused if not item.maybe_sent]
        works = await self._patiently(lambda: self._gate.refuse(taken_back, look))
        self._metrics.refused(works)

    async def _hand_over(self, channel: str, going: Sequence[Marked], deadline: float) -> list[Handed]:
        for item in going:
            self._handovers.allow(item.message_id, deadline)
        began = boot_time()
        try:
            messages = [_message(item) for item in going]
            handed = await self._adapters[channel].send_batch(messages, self._handovers)
        except Exception as error:  # an adapter's fault must not stop the others; nobody knows what was written
            log("adapter_raised", level="error", channel=channel, error_class=type(error).__name__)
            handed = [Handed(item.message_id, "unknown", detail=type(error).__name__) for item in going]
        finally:
            for item in going:
                self._handovers.forget(item.message_id)
        self._metrics.handed(channel, self._adapters[channel].name, going, handed, boot_time() - began)
        return handed

    async def _settle(
        self, channel: str, marked: Sequence[Marked], handed: Sequence[Handed], *, final: bool = False
    ) -> None:
        adapter = self._adapters[channel]
        ends = {item.message_id: item for item in handed}
        results = [
            Result(item.customer, item.number, ends[item.message_id], adapter.idempotent and not final, adapter.name)
            for item in marked
        ]

        async def write() -> None:
            async with self._database.write() as tx:
                await settle(tx, results, self._clock.now())

        if results:
            await self._patiently(write)

    async def _patiently(self, write: Callable[[], Awaitable[T]]) -> T:
        """The owner's result must be written: go on until the database takes it."""
        rest = 0.05
        while True:
            try:
                return await write()
            except Transient as error:
                log("result_waits", level="warning", reason=error.code)
                await asyncio.sleep(rest)
                rest = min(rest * 2, 2.0)


def _message(item: Marked) -> Message:
    return Message(
        id=item.message_id,
        customer=item.customer,
        campaign=item.campaign,
        version=item.version,
        channel=item.channel,
        cls=item.cls,
        to=item.to,
        content=item.content,
        event_source=item.event_source,
        event_id=item.event_id,
        attempt=item.number,
        at=item.marked_at,
    )


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


async def _first(nudged: asyncio.Event, stop: asyncio.Event, seconds: float) -> None:
    waits = [asyncio.ensure_future(nudged.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
