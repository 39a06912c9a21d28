"""What becomes of marked messages: look again, then refuse or hand over, then settle.

No transaction is open across a call to a provider or to another service.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from schemas.message import HandoverResult, Message
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.claim import ClaimedMessage
from services.orchestrator.delivery.deadline import HandoverDeadlines, boot_time
from services.orchestrator.delivery.recheck_stage import Recheck, RecheckResult
from services.orchestrator.delivery.results import AttemptResult, record_results
from services.orchestrator.metrics import OrchestratorMetrics

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HandoverLimits:
    """Seconds within which a handover may start, and from its last check to its first byte."""

    deadline: float
    slack: float


class Sender:
    """Brings marked messages to their end, for whoever of this process has marked them."""

    def __init__(
        self,
        database: Database,
        recheck: Recheck,
        adapters: Mapping[str, Adapter],
        deadlines: HandoverDeadlines,
        limits: HandoverLimits,
        clock: Clock,
        metrics: OrchestratorMetrics,
    ) -> None:
        self._database = database
        self._recheck = recheck
        self._adapters = adapters
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._stopping = asyncio.Event()

    @property
    def channels(self) -> frozenset[str]:
        """The channels that can be served."""
        return frozenset(self._adapters)

    def deadline(self) -> float:
        """Until when (boot time) a handover may start whose mark begins now."""
        return boot_time() + self._limits.deadline

    def refuse_new(self) -> None:
        """Let no further handover start: what is marked and not begun is given back."""
        self._stopping.set()
        self._deadlines.refuse_new()

    async def send_claimed(self, channel: str, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Hand over what may go, take back what may not, and write down what came of it."""
        recheck_result = await self._recheck_until(claimed_messages, deadline)
        if recheck_result is None:
            handover_results = [
                HandoverResult(item.message_id, "retry", detail="no_facts") for item in claimed_messages
            ]
            await self._record_results(channel, claimed_messages, handover_results)
            return
        to_send = [item for item in claimed_messages if item.message_id not in recheck_result.refused]
        await self._take_back(
            channel, [item for item in claimed_messages if item.message_id in recheck_result.refused], recheck_result
        )
        if to_send:
            await self._record_results(channel, to_send, await self._hand_over(channel, to_send, deadline))

    async def _recheck_until(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> RecheckResult | None:
        """What the gate sees, or None when fresh facts cannot be had before the deadline, or before we stop."""
        delay = 0.05
        try:
            async with asyncio.timeout(deadline - boot_time()):
                while not self._stopping.is_set():
                    try:
                        return await self._recheck.recheck_messages(claimed_messages)
                    except Transient as error:
                        log("gate_waits", level="warning", reason=error.code, detail=error.detail)
                        await sleep_unless_set(self._stopping, delay)
                        delay = min(delay * 2, 1.0)
        except TimeoutError:
            pass
        return None

    async def _take_back(self, channel: str, refused: Sequence[ClaimedMessage], recheck_result: RecheckResult) -> None:
        possibly_sent = [item for item in refused if item.maybe_sent]
        await self._record_results(
            channel, possibly_sent, [HandoverResult(item.message_id, "unknown") for item in possibly_sent], final=True
        )
        taken_back = [item for item in refused if not item.maybe_sent]
        evaluations = await self._retry_until_written(lambda: self._recheck.take_back(taken_back, recheck_result))
        self._metrics.record_refusals(evaluations)

    async def _hand_over(
        self, channel: str, to_send: Sequence[ClaimedMessage], deadline: float
    ) -> list[HandoverResult]:
        for item in to_send:
            self._deadlines.allow(item.message_id, deadline)
        started = boot_time()
        try:
            messages = [_to_message(item) for item in to_send]
            handover_results = await self._adapters[channel].send_batch(messages, self._deadlines)
        except Exception as error:  # an adapter's fault must not stop the others; nobody knows what was written
            log("adapter_raised", level="error", channel=channel, error_class=type(error).__name__)
            handover_results = [
                HandoverResult(item.message_id, "unknown", detail=type(error).__name__) for item in to_send
            ]
        finally:
            for item in to_send:
                self._deadlines.forget(item.message_id)
        self._metrics.record_handovers(
            channel, self._adapters[channel].name, to_send, handover_results, boot_time() - started
        )
        return handover_results

    async def _record_results(
        self,
        channel: str,
        claimed_messages: Sequence[ClaimedMessage],
        handover_results: Sequence[HandoverResult],
        *,
        final: bool = False,
    ) -> None:
        adapter = self._adapters[channel]
        ends = {item.message_id: item for item in handover_results}
        results = [
            AttemptResult(
                item.customer, item.number, ends[item.message_id], adapter.idempotent and not final, adapter.name
            )
            for item in claimed_messages
        ]

        async def write() -> None:
            async with self._database.write() as tx:
                await record_results(tx, results, self._clock.now())

        if results:
            await self._retry_until_written(write)

    async def _retry_until_written(self, write: Callable[[], Awaitable[T]]) -> T:
        """The owner's result must be written: go on until the database takes it."""
        delay = 0.05
        while True:
            try:
                return await write()
            except Transient as error:
                log("result_waits", level="warning", reason=error.code)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)


def _to_message(item: ClaimedMessage) -> Message:
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
        at=item.claimed_at,
    )


async def sleep_unless_set(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
