"""What becomes of marked messages: look again, then refuse or hand over, then settle.

No transaction is open across a call to a provider or to another service.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from schemas.message import Handed, Message
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.claim import Marked
from services.orchestrator.delivery.deadline import Handovers, boot_time
from services.orchestrator.delivery.recheck_stage import Gate, Look
from services.orchestrator.delivery.results import Result, settle
from services.orchestrator.metrics import Metrics

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds within which a handover may start, and from its last check to its first byte."""

    deadline: float
    slack: float


class Handover:
    """Brings marked messages to their end, for whoever of this process has marked them."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        adapters: Mapping[str, Adapter],
        handovers: Handovers,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._gate = gate
        self._adapters = adapters
        self._handovers = handovers
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._ended = asyncio.Event()

    @property
    def channels(self) -> frozenset[str]:
        """The channels that can be served."""
        return frozenset(self._adapters)

    def deadline(self) -> float:
        """Until when (boot time) a handover may start whose mark begins now."""
        return boot_time() + self._limits.deadline

    def end(self) -> None:
        """Let no further handover start: what is marked and not begun is given back."""
        self._ended.set()
        self._handovers.end()

    async def finish(self, channel: str, marked: Sequence[Marked], deadline: float) -> None:
        """Hand over what may go, take back what may not, and write down what came of it."""
        look = await self._look(marked, deadline)
        if look is None:
            handed = [Handed(item.message_id, "retry", detail="no_facts") for item in marked]
            await self._settle(channel, marked, handed)
            return
        going = [item for item in marked if item.message_id not in look.refused]
        await self._refuse(channel, [item for item in marked if item.message_id in look.refused], look)
        if going:
            await self._settle(channel, going, await self._hand_over(channel, going, deadline))

    async def _look(self, marked: Sequence[Marked], deadline: float) -> Look | None:
        """What the gate sees, or None when fresh facts cannot be had before the deadline, or before we stop."""
        rest = 0.05
        try:
            async with asyncio.timeout(deadline - boot_time()):
                while not self._ended.is_set():
                    try:
                        return await self._gate.look(marked)
                    except Transient as error:
                        log("gate_waits", level="warning", reason=error.code, detail=error.detail)
                        await pause(self._ended, rest)
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


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
