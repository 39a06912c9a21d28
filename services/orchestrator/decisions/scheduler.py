"""Evaluates waiting messages again in full, on fresh facts, when their timers are due.

A timer is claimed for a while with SKIP LOCKED, so any number of schedulers share the work. The claim only avoids
double work, and is counted, so that a message whose evaluation ends the process is found. What is exact is the state
of the message, checked under the lock of the customer's ledger when the evaluation is written.

A scheduler sleeps until the next timer is due. It is woken when one is written that is due soon, and looks now and then
without that (services/kit/db/notifications.py), also for holds that have ended: nobody tells of their ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Database
from services.kit.db.notifications import FALLBACK_INTERVAL
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import wait_for_any
from services.orchestrator.decisions import timer_store
from services.orchestrator.decisions.evaluation import EvaluationRequest
from services.orchestrator.decisions.evaluator import EvaluationInput, Evaluator
from services.orchestrator.decisions.message_store import TIMER_NEAR
from services.orchestrator.decisions.metrics import DecisionMetrics
from services.orchestrator.decisions.store import END_OF_TIME
from services.orchestrator.decisions.timer_store import MAX_CLAIMS, DueMessage, RetryAdmission, admit_all
from services.orchestrator.policy.rank import Rank, make_rank

RETRY_INTERVAL = 0.25
"""Seconds until timers are looked at again after an error that may pass."""


class _DueRequest(NamedTuple):
    """A request in the order of evaluation: what is due earlier first, then by rank."""

    due: Instant
    rank: Rank
    request: EvaluationRequest


class Scheduler:
    """Evaluates due messages again. `release_ended_holds` gives turns to messages whose holds have ended,
    `admit_retries` says which messages wait longer before they are tried again.
    """

    def __init__(
        self,
        database: Database,
        evaluator: Evaluator,
        release_ended_holds: Callable[[], Awaitable[None]],
        clock: Clock,
        metrics: DecisionMetrics,
        admit_retries: RetryAdmission = admit_all,
    ) -> None:
        self._database = database
        self._evaluator = evaluator
        self.release_ended_holds = release_ended_holds
        self._clock = clock
        self._metrics = metrics
        self._admit_retries = admit_retries
        self._timer_signal = database.notifications.listen(TIMER_NEAR)

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Evaluate what is due until `stop` is set. Transient errors are logged and waited out."""
        while not stop.is_set():
            upcoming = self._timer_signal.next_event()
            try:
                now = self._clock.now()
                due = await self._process_due(now)
                pause = 0.0 if due is None else min(max(0.0, (due - self._clock.now()) / SECOND), FALLBACK_INTERVAL)
            except Transient as error:
                log("schedule_waits", level="warning", reason=error.code, detail=error.detail)
                pause = RETRY_INTERVAL
            if pause:
                await wait_for_any(pause, upcoming, stop)

    async def next_due(self) -> Instant | None:
        """The instant at which the next timer is due; None when there is no timer."""
        async with self._database.read() as tx:
            return await timer_store.next_due(tx)

    async def tick(self, now: Instant) -> bool:
        """Process one batch of timers that are due; whether there were any. Raises Transient while facts or holds
        cannot be read.
        """
        return await self._process_due(now) is None

    async def _process_due(self, now: Instant) -> Instant | None:
        """Process one batch of timers that are due. If there are none: when the next one is due, or END_OF_TIME.

        What is due and was not found has been claimed, maybe by a process that is gone. It does not count.
        """
        await self.release_ended_holds()
        async with self._database.write() as tx:
            due = await timer_store.claim_due(tx, now)
            if not due:
                return await timer_store.next_due(tx, after=now) or END_OF_TIME
            retries = [item for item in due if item.state == MessageState.RETRY]
            await timer_store.requeue_retries(tx, retries, now, self._admit_retries)
        waiting = [item for item in due if item.state != MessageState.RETRY]
        if waiting:
            try:
                await self._reevaluate(waiting, now)
            except Transient:
                async with self._database.write() as tx:
                    await timer_store.forget_claims(tx, waiting)
                raise
        return None

    async def _reevaluate(self, due: Sequence[DueMessage], now: Instant) -> None:
        inputs = await self._evaluator.read_for_messages(
            [item.message.customer for item in due], [item.message.event_key for item in due], now
        )
        requests = await self._evaluation_requests(due, inputs)
        evaluations = await self._evaluator.evaluate_all(inputs, requests, now)
        async with self._database.write() as tx:
            written = await self._evaluator.write(tx, inputs, evaluations, now)
            # Somebody else has moved a message of these customers meanwhile: what else is due is looked at again.
            dropped = {each.customer for each in evaluations} - {each.customer for each in written}
            await timer_store.give_back_claims(tx, [item for item in due if item.message.customer in dropped])
        self._metrics.record_reevaluations(written)

    async def _evaluation_requests(
        self, due: Sequence[DueMessage], inputs: EvaluationInput
    ) -> dict[str, list[EvaluationRequest]]:
        """One request for each message, by customer; one for all those among which a campaign falls back."""
        by_customer: dict[str, list[_DueRequest]] = {}
        choices: dict[tuple[str, ...], list[_DueRequest]] = {}
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
            due_request = _DueRequest(item.due, rank, request)
            if item.falls_back or triggered.falls_back:
                choices.setdefault((*message.event_key, message.campaign), []).append(due_request)
            else:
                by_customer.setdefault(message.customer, []).append(due_request)
        for (customer, *_), due_request in zip(choices, await self._merge_choices(choices.values()), strict=True):
            by_customer.setdefault(customer, []).append(due_request)
        return {
            customer: [each.request for each in sorted(requests, key=lambda each: (each.due, each.rank))]
            for customer, requests in by_customer.items()
        }

    async def _merge_choices(self, choices: Collection[Sequence[_DueRequest]]) -> list[_DueRequest]:
        """One request in place of those about messages of one campaign and event."""
        if not choices:
            return []
        firsts = [min(each, key=lambda each: (each.due, each.rank)) for each in choices]
        states = [
            {id: state for each in requests for id, state in (each.request.expected_states or {}).items()}
            for requests in choices
        ]
        triggered_campaigns = [first.request.triggered_campaigns[0] for first in firsts]
        async with self._database.read() as tx:
            merged = await self._evaluator.requests_of_choices(tx, list(zip(triggered_campaigns, states, strict=True)))
        ended = [any(each.request.has_ended_processes for each in requests) for requests in choices]
        return [
            first._replace(request=replace(request, has_ended_processes=has_ended))
            for first, request, has_ended in zip(firsts, merged, ended, strict=True)
        ]
