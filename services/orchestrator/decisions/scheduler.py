"""Evaluates waiting messages again in full, on fresh facts, when their timers are due.

A timer is claimed for a while with SKIP LOCKED, so any number of schedulers share the work. The claim only avoids
double work, and is counted, so that a message whose evaluation ends the process is found. What is exact is the state
of the message, checked under the lock of the customer's ledger when the evaluation is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.bus.fence import WakeSignal
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions import timer_store
from services.orchestrator.decisions.evaluation import EvaluationRequest
from services.orchestrator.decisions.evaluator import EvaluationInput, Evaluator
from services.orchestrator.decisions.metrics import DecisionMetrics
from services.orchestrator.decisions.timer_store import MAX_CLAIMS, DueMessage
from services.orchestrator.policy.rank import Rank, make_rank

POLL_INTERVAL = 0.25
"""Seconds between two looks at the timers while nothing is due."""


class _DueRequest(NamedTuple):
    """A request in the order of evaluation: what is due earlier first, then by rank."""

    due: Instant
    rank: Rank
    request: EvaluationRequest


class Scheduler:
    """Evaluates due messages again. `release_ended_holds` gives turns to messages whose holds have ended."""

    def __init__(
        self,
        database: Database,
        evaluator: Evaluator,
        release_ended_holds: Callable[[], Awaitable[None]],
        clock: Clock,
        metrics: DecisionMetrics,
        outbox_signal: WakeSignal,
    ) -> None:
        self._database = database
        self._evaluator = evaluator
        self.release_ended_holds = release_ended_holds
        self._clock = clock
        self._metrics = metrics
        self._outbox_signal = outbox_signal

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Evaluate what is due until `stop` is set. Transient errors are logged and waited out."""
        while not stop.is_set():
            try:
                busy = await self.tick(self._clock.now())
            except Transient as error:
                log("schedule_waits", level="warning", reason=error.code, detail=error.detail)
                busy = False
            if not busy:
                await _sleep_unless_stopped(stop, POLL_INTERVAL)

    async def next_due(self) -> Instant | None:
        """The instant at which the next timer is due; None when there is no timer."""
        async with self._database.read() as tx:
            return await timer_store.next_due(tx)

    async def tick(self, now: Instant, until: Instant | None = None) -> bool:
        """Process one batch of timers that are due at or before `until` [`now`]; whether there were any.

        Raises Transient while facts or holds cannot be read.
        """
        await self.release_ended_holds()
        async with self._database.write() as tx:
            due = await timer_store.claim_due(tx, now if until is None else until)
            await timer_store.requeue_retries(tx, [item for item in due if item.state == MessageState.RETRY], now)
        waiting = [item for item in due if item.state != MessageState.RETRY]
        if waiting:
            try:
                await self._reevaluate(waiting, now)
            except Transient:
                async with self._database.write() as tx:
                    await timer_store.forget_claims(tx, waiting)
                raise
        return bool(due)

    async def _reevaluate(self, due: Sequence[DueMessage], now: Instant) -> None:
        inputs = await self._evaluator.read_for_messages(
            [item.message.customer for item in due], [item.message.event_key for item in due], now
        )
        evaluations = [
            await self._evaluator.evaluate(inputs, customer, requests, inputs.ledger_of(customer), now)
            for customer, requests in self._evaluation_requests(due, inputs).items()
        ]
        async with self._database.write() as tx:
            written = await self._evaluator.write(tx, inputs, evaluations, now)
        self._metrics.record_reevaluations(written)
        if any(evaluation.ready_messages for evaluation in written):
            self._outbox_signal.notify()

    def _evaluation_requests(
        self, due: Sequence[DueMessage], inputs: EvaluationInput
    ) -> dict[str, list[EvaluationRequest]]:
        """One request for each message, by customer."""
        by_customer: dict[str, list[_DueRequest]] = {}
        for item in due:
            message = item.message
            if message.event_key not in inputs.events:  # its customer has been erased since the timer was claimed
                continue
            triggered = self._evaluator.rebuild_triggered(inputs, message)
            campaign = triggered.campaign
            rank = make_rank(
                campaign.cls, campaign.priority, message.first_planned, campaign.key, message.message_id.encode()
            )
            request = EvaluationRequest(
                triggered_campaigns=(triggered,),
                expected_states={message.message_id: item.state},
                has_ended_processes=item.earlier_claims >= MAX_CLAIMS,
            )
            by_customer.setdefault(message.customer, []).append(_DueRequest(item.due, rank, request))
        return {
            customer: [each.request for each in sorted(requests, key=lambda each: (each.due, each.rank))]
            for customer, requests in by_customer.items()
        }


async def _sleep_unless_stopped(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
