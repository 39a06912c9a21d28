"""Delivers messages: claim, recheck, send, record. The claim is in `claims.py`, all that follows here, in its order.

1. Claim. In one transaction messages of one adapter become `handing_over`, their handover opens, and their contacts
   count as made. `OutboxClaimer` claims for a dispatcher; `InlineDelivery` claims in the transaction that decides.
2. Recheck. After the claim has committed, facts are read again and the rules run once more. An opt-out that committed
   before the claim is seen by these facts. One that commits later finds the open attempt and waits for its end.
3. Send. The adapter hands over what may go. No transaction is open meanwhile, nor across any call to another service.
4. Record (`results.py`). What was not accepted gets its next state, with its contact; then one statement closes the
   handover, and so says that the others were accepted: one transaction. Whoever finds it closed already is late.

The order of these steps and their locks is model-checked: docs/protocols/Dispatch.tla, Handover.tla and Rank.tla.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from schemas.event import Event
from schemas.message import HandoverResult, Message
from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import Level, log
from services.kit.observability.tracer import Tracer
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import sleep_unless_set
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.evaluation import (
    TAKEN_BACK,
    ClaimedMessage,
    CustomerEvaluation,
    EvaluationRequest,
)
from services.orchestrator.decisions.evaluator import EvaluationInput, Evaluator
from services.orchestrator.decisions.message_store import wake_waiting
from services.orchestrator.decisions.metrics import DecisionMetrics
from services.orchestrator.delivery import store
from services.orchestrator.delivery.adapter_health import AdapterHealth, WatchedFirstByte
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.attempts import PROVIDER_FAILS, AttemptEnd, AttemptResult, may_repeat
from services.orchestrator.delivery.deadline import HandoverDeadlines, boot_time
from services.orchestrator.delivery.earlier_attempts import find_arrived
from services.orchestrator.delivery.handover_trace import HandoverTrace
from services.orchestrator.delivery.metrics import DeliveryMetrics
from services.orchestrator.delivery.reply_window import ReplyWindows
from services.orchestrator.delivery.results import record_late_results, record_results
from services.orchestrator.delivery.routing import AdapterChoice, OutboxLine, choose_adapter
from services.orchestrator.delivery.store import CLAIM_BATCH_SIZE
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.recheck import is_still_allowed, recheck_message

T = TypeVar("T")
NO_ANSWER: Final = "no_answer"
"""Detail of messages for which an adapter has returned no result."""


@dataclass(frozen=True, slots=True)
class HandoverLimits:
    """Seconds from the claim within which a handover may start, and from its last check to its first byte.

    `max_duplicates`: how often a transactional message may be handed over again to a provider that does not recognise
    it, after nobody knew what became of it.
    """

    deadline: float
    slack: float
    max_duplicates: int = 0


class RecheckResult(msgspec.Struct, frozen=True):
    """What a recheck found: facts read after the claims, and the messages that must not go.

    `triggered_campaigns`: of the messages whose rules had to run again, by message id.
    """

    inputs: EvaluationInput
    triggered_campaigns: Mapping[str, TriggeredCampaign]
    refused: frozenset[str]


class Delivery:
    """Brings claimed messages to the end of their attempts, for inline delivery and for the dispatcher."""

    def __init__(
        self,
        database: Database,
        evaluator: Evaluator,
        adapters: Adapters,
        deadlines: HandoverDeadlines,
        limits: HandoverLimits,
        clock: Clock,
        decision_metrics: DecisionMetrics,
        metrics: DeliveryMetrics,
        tracer: Tracer | None = None,
    ) -> None:
        """`tracer` records messages of sampled events."""
        self._tracer = tracer
        self._database = database
        self._evaluator = evaluator
        self._adapters = adapters
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._decision_metrics = decision_metrics
        self._metrics = metrics
        self._windows = ReplyWindows(database, adapters, clock)
        self._stopping = asyncio.Event()
        self.health = {name: AdapterHealth() for name in adapters.by_name}
        """Of each adapter, as far as this process has seen."""
        self._only_lines = {
            channel: OutboxLine(channel, routes[0].adapter, False)
            for channel, routes in adapters.routes.items()
            if len(routes) == 1 and routes[0].adapter not in adapters.rates
        }

    @property
    def adapters(self) -> Adapters:
        """The adapters of this installation."""
        return self._adapters

    def choose_line(self, message: Message) -> OutboxLine | None:
        """Which adapter may have a fresh message at once. None if none can: it waits in the outbox.

        An adapter with a rate gets its messages from the outbox alone, because others count on its places, too.
        """
        only = self._only_lines.get(message.channel)
        if only is not None:
            return only if self.health[only.adapter].is_usable else None
        routes = self._adapters.routes.get(message.channel)
        if routes is None:
            return None
        choice = self.choose_adapter(message)
        if not choice.is_usable or choice.adapter in self._adapters.rates:
            return None
        return OutboxLine(message.channel, choice.adapter, len(routes) > 1)

    def choose_adapter(self, message: Message) -> AdapterChoice:
        """The adapter for a message of a channel that can send."""
        health = self.health
        return choose_adapter(
            self._adapters.routes[message.channel],
            message,
            lambda name: health[name].is_usable,
            lambda name: health[name].share(),
        )

    def try_again(self, adapter: str) -> None:
        """An adapter has other secrets now: if its account was refused, try it at once."""
        self.health[adapter].try_again()

    def room(self, adapter: str, most: int) -> int:
        """How many messages an adapter may have under way at once."""
        return self.health[adapter].room(most)

    def deadline(self) -> float:
        """Until when (boot time, seconds) a handover may start whose claim begins now."""
        return boot_time() + self._limits.deadline

    def refuse_new(self) -> None:
        """Let no further handover start: what is claimed and has not begun is given back to be tried again."""
        self._stopping.set()
        self._deadlines.refuse_new()

    async def deliver(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Recheck, send and record messages whose claims have committed: all those of one handover."""
        trace = HandoverTrace(self._tracer)
        await self._end_as_unknown([item for item in claimed_messages if not item.is_repeatable])
        repeatable = [item for item in claimed_messages if item.is_repeatable]
        arrived = await _retry_until_written(lambda: find_arrived(self._database, repeatable))
        arrived_ids = {each.message_id for each in arrived}
        to_check = [item for item in repeatable if item.message.id not in arrived_ids]
        if not to_check:
            await self._record(claimed_messages, arrived)
            return
        with trace.times.step("recheck"):
            result = await self._recheck_until(to_check, deadline)
        if result is None:
            # Nothing was sent, and we are the owner: saying so now beats being closed as unknown by recovery.
            no_facts = [HandoverResult(item.message.id, "retry", detail="no_facts") for item in to_check]
            await self._record(claimed_messages, [*arrived, *no_facts])
            return
        await self._refuse([item for item in to_check if item.message.id in result.refused], result)
        to_send = [item for item in to_check if item.message.id not in result.refused]
        channel, adapter = to_check[0].message.channel, to_check[0].adapter
        late = await self._windows.refuse_late(adapter, [item.message for item in to_send])
        self._metrics.record_outcomes(channel, adapter, late)
        refused_ids = {each.message_id for each in late}
        in_time = [item for item in to_send if item.message.id not in refused_ids]
        events = _events_of(in_time, result.triggered_campaigns)
        trace.follow(in_time, events)
        with trace.times.step("send"):
            answers = await self._send(in_time, deadline, events, trace) if in_time else []
        with trace.times.step("record"):
            await self._record(
                claimed_messages, [*arrived, *late, *answers], waited_for=_waited_for(to_send, result.inputs)
            )
        trace.record_attempts(answers)

    # 2. Recheck

    async def _recheck_until(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> RecheckResult | None:
        """The recheck's result; None when facts cannot be read before the deadline, or before this process stops."""
        delay = 0.05
        try:
            async with asyncio.timeout(deadline - boot_time()):
                while not self._stopping.is_set():
                    try:
                        return await self.recheck(claimed_messages)
                    except Transient as error:
                        log("gate_waits", level="warning", reason=error.code, detail=error.detail)
                        await sleep_unless_set(self._stopping, delay)
                        delay = min(delay * 2, 1.0)
        except TimeoutError:
            pass
        return None

    async def recheck(self, claimed_messages: Sequence[ClaimedMessage]) -> RecheckResult:
        """Run the rules again on facts that are newer than the claims. Raises Transient while there are none.

        A message that this process has just allowed is not evaluated again while everything that its rules read is
        unchanged.
        """
        inputs = await self._evaluator.read_for_messages(
            [item.message.customer for item in claimed_messages],
            [item.stored.event_key for item in claimed_messages if item.triggered is None],
            self._clock.now(),
            known={item.message.customer: item.facts for item in claimed_messages if item.facts is not None},
            with_ledgers=False,
        )
        ledgers = await self._evaluator.complete_ledgers(
            [(item.message.customer, item.ledger) for item in claimed_messages], inputs.complete_since
        )
        now = self._clock.now()  # after the facts, because reading them may have waited
        triggered_campaigns: dict[str, TriggeredCampaign] = {}
        refused: set[str] = set()
        for item, ledger in zip(claimed_messages, ledgers, strict=True):
            message = item.message
            await self._evaluator.loop_share.give_turn_if_due()
            facts = inputs.facts[message.customer]
            if _is_unchanged(item, facts, inputs, now):
                continue
            triggered = self._evaluator.rebuild_triggered(inputs, item.stored, item.triggered)
            triggered_campaigns[message.id] = triggered
            if recheck_message(triggered, message.channel, facts, ledger, item.claimed_at, now):
                refused.add(message.id)
        return RecheckResult(inputs, triggered_campaigns, frozenset(refused))

    async def _refuse(self, refused: Sequence[ClaimedMessage], result: RecheckResult) -> None:
        """End refused messages. One that an earlier attempt may have delivered ends as unknown, the others are taken
        back.
        """
        await self._end_as_unknown([item for item in refused if item.maybe_sent])
        surely_unsent = [item for item in refused if not item.maybe_sent]
        evaluations = await _retry_until_written(lambda: self.take_back(surely_unsent, result))
        self._decision_metrics.count_decisions(evaluations)
        self._metrics.record_refusals(evaluations)

    async def _end_as_unknown(self, possibly_sent: Sequence[ClaimedMessage]) -> None:
        """End messages that an earlier attempt may have delivered and that must not be tried again."""
        unknown = [HandoverResult(item.message.id, "unknown") for item in possibly_sent]
        await self._record(possibly_sent, unknown, closes=False)

    async def take_back(
        self, claimed_messages: Sequence[ClaimedMessage], result: RecheckResult
    ) -> list[CustomerEvaluation]:
        """Close these attempts and evaluate the messages again, in one transaction under the ledgers' locks.

        All channels of the event and the campaign are evaluated, and each gets a decision. An attempt that somebody
        else has closed meanwhile is left alone.
        """
        if not claimed_messages:
            return []
        now, inputs, handover_id = self._clock.now(), result.inputs, claimed_messages[0].handover_id
        async with self._database.write() as tx:
            base = await ledger_store.lock_and_load_ledgers(
                tx, [item.message.customer for item in claimed_messages], inputs.complete_since
            )
            # Under the handover's lock: if recovery was faster, the messages are no longer ours.
            if not await store.lock_open_handover(tx, handover_id):
                return []
            ends = [AttemptEnd(item.message.id, "cancelled") for item in claimed_messages]
            ended = await store.end_attempts(tx, handover_id, ends, now)
            evaluations: list[CustomerEvaluation] = []
            taken_back = [item.message for item in claimed_messages if item.message.id in ended]
            requests = await self._requests_of_refused(tx, [each.id for each in taken_back], result)
            for message, request in zip(taken_back, requests, strict=True):
                customer = message.customer
                evaluations.append(
                    await self._evaluator.evaluate(inputs, customer, [request], base[customer], now, TAKEN_BACK)
                )
            return await self._evaluator.write_in_rounds(tx, inputs, evaluations, now, TAKEN_BACK)

    async def _requests_of_refused(self, tx: Tx, ids: Sequence[str], result: RecheckResult) -> list[EvaluationRequest]:
        """A request for each refused message; where its campaign falls back, with the messages that wait for it."""
        requests = {
            id: EvaluationRequest(
                triggered_campaigns=(result.triggered_campaigns[id],),
                expected_states={id: MessageState.HANDING_OVER.value},
            )
            for id in ids
        }
        among_channels = [id for id in ids if _may_fall_back(result.triggered_campaigns[id])]
        if among_channels:
            choices = [(result.triggered_campaigns[id], requests[id].expected_states or {}) for id in among_channels]
            found = await self._evaluator.requests_of_choices(tx, choices)
            requests |= dict(zip(among_channels, found, strict=True))
        return [requests[id] for id in ids]

    # 3. Send

    async def _send(
        self, to_send: Sequence[ClaimedMessage], deadline: float, events: Mapping[str, Event], trace: HandoverTrace
    ) -> list[HandoverResult]:
        """The adapter's answer for each message. What an adapter raises means that nobody knows what was written.

        Messages are sent in parts. After one that has shown that the provider fails, the others are not tried: each
        would cost as much as one that is sent.
        """
        name, channel = to_send[0].adapter, to_send[0].message.channel
        health, started = self.health[name], boot_time()
        for item in to_send:
            self._deadlines.allow(item.message.id, deadline)  # the adapter asks just before each first byte
        answers: list[HandoverResult] = []
        try:
            while part := to_send[len(answers) : len(answers) + health.next_part(CLAIM_BATCH_SIZE)]:
                if answers and not health.is_usable:
                    break
                answers += await self._send_part(part, events, trace)
        finally:
            for item in to_send:
                self._deadlines.forget(item.message.id)
        untried = to_send[len(answers) :]
        answers += [HandoverResult(item.message.id, "retry", detail=PROVIDER_FAILS) for item in untried]
        self._metrics.record_handovers(channel, name, to_send, answers, boot_time() - started)
        return answers

    async def _send_part(
        self, part: Sequence[ClaimedMessage], events: Mapping[str, Event], trace: HandoverTrace
    ) -> list[HandoverResult]:
        name, channel, started = part[0].adapter, part[0].message.channel, boot_time()
        adapter, health = self._adapters.by_name[name], self.health[name]
        health.start(len(part))
        answers = [HandoverResult(item.message.id, "unknown", detail="cancelled") for item in part]
        try:
            given = await adapter.send_batch(
                [_with_trace(item, events, trace) for item in part], WatchedFirstByte(self._deadlines, health)
            )
            answers = _one_for_each(part, given)
        except Exception as error:  # an adapter's fault must not stop the others
            log("adapter_raised", level="error", channel=channel, adapter=name, error_class=type(error).__name__)
            answers = [HandoverResult(item.message.id, "unknown", detail=type(error).__name__) for item in part]
        finally:
            self._note_health(name, answers, boot_time() - started)
        return answers

    def _note_health(self, name: str, answers: Sequence[HandoverResult], seconds: float) -> None:
        health = self.health[name]
        before = health.report()
        health.finish(answers, seconds)
        after = health.report()
        self._metrics.record_circuit(name, after.circuit != "closed")
        if (before.circuit == "closed") != (after.circuit == "closed"):
            level: Level = "info" if after.circuit == "closed" else "error"
            log("adapter_circuit", level=level, adapter=name, circuit=after.circuit, cause=after.cause)

    # 4. Record

    async def _record(
        self,
        claimed_messages: Sequence[ClaimedMessage],
        answers: Sequence[HandoverResult],
        *,
        closes: bool = True,
        waited_for: Collection[str] = (),
    ) -> None:
        """Write the answers, and close the handover. Without `closes` these messages alone end, and are not tried
        again; the others are still to be sent. `waited_for`: messages for which other channels wait.
        """
        if not claimed_messages:
            return
        name, handover_id = claimed_messages[0].adapter, claimed_messages[0].handover_id
        is_idempotent, most = self._adapters.by_name[name].idempotent, self._limits.max_duplicates
        by_id = {item.message.id: item for item in claimed_messages}
        results: list[AttemptResult] = []
        for answer in answers:
            item = by_id[answer.message_id]
            repeats = closes and may_repeat(is_idempotent, item.message.cls, most, maybe_sent=item.maybe_sent)
            search_at = self._adapters.first_search(name, self._clock.now())
            results.append(AttemptResult(item.message.customer, item.number, answer, repeats, name, search_at))

        # What other adapters accept is confirmed by receipts.
        confirmed = [
            each.message_id
            for each in (answers if waited_for and not self._adapters.gives_receipts(name) else ())
            if each.message_id in waited_for and each.outcome == "accepted"
        ]

        async def write() -> None:
            async with self._database.write() as tx:
                now = self._clock.now()
                if await record_results(tx, handover_id, results, now, closes=closes):
                    await wake_waiting(tx, confirmed, now)
                    return
            async with self._database.write() as tx:
                await record_late_results(tx, results, self._clock.now())

        await _retry_until_written(write)


def _may_fall_back(triggered: TriggeredCampaign) -> bool:
    """Whether other messages of the event may wait for this one: its campaign falls back, or did at first."""
    return triggered.falls_back or len(triggered.channels) > 1


def _waited_for(to_send: Sequence[ClaimedMessage], inputs: EvaluationInput) -> Collection[str]:
    """The messages whose campaigns fall back: others may wait for them."""
    falling_back = inputs.catalogue.falling_back
    return {item.message.id for item in to_send if item.message.campaign in falling_back} if falling_back else ()


def _one_for_each(part: Sequence[ClaimedMessage], given: Sequence[HandoverResult]) -> list[HandoverResult]:
    """An adapter's answers, one for each message, in order. Of a message that it leaves out nobody knows anything: what
    follows in the batch is found by counting answers, so that nothing may be sent again in place of it.
    """
    by_id = {answer.message_id: answer for answer in given}
    if len(given) != len(part) or len(by_id) != len(part):
        log("adapter_answers_differ", level="error", adapter=part[0].adapter, messages=len(part), answers=len(given))
    ids = [item.message.id for item in part]
    return [by_id.get(id) or HandoverResult(id, "unknown", detail=NO_ANSWER) for id in ids]


def _events_of(items: Sequence[ClaimedMessage], triggered: Mapping[str, TriggeredCampaign]) -> dict[str, Event]:
    """The events of messages, by message id."""
    found = {item.message.id: item.triggered or triggered.get(item.message.id) for item in items}
    return {id: each.event for id, each in found.items() if each is not None}


def _with_trace(item: ClaimedMessage, events: Mapping[str, Event], trace: HandoverTrace) -> Message:
    """The message with the trace context of its handover, if that is recorded, else of its event, if that has one."""
    event = events.get(item.message.id)
    traceparent = trace.traceparent(item.message.id) or (None if event is None else event.traceparent)
    return item.message if traceparent is None else msgspec.structs.replace(item.message, traceparent=traceparent)


def _is_unchanged(item: ClaimedMessage, facts: Facts, inputs: EvaluationInput, now: Instant) -> bool:
    """Whether running the rules again would find what was found when the message was decided.

    True only for a message that was decided alone, on these very facts and this version of its campaign, and while
    nothing that depends on the clock begins or ends in between: see policy/recheck.py.
    """
    triggered = item.triggered
    if triggered is None or not item.sole_decision or facts is not item.facts:
        return False
    return inputs.catalogue.campaigns.get(item.message.campaign) is triggered.campaign and is_still_allowed(
        triggered, facts, item.claimed_at, now
    )


async def _retry_until_written(write: Callable[[], Awaitable[T]]) -> T:
    """Write, and try again until the database takes it: the result of an attempt must not be lost. Reads what has to be
    known before anything is sent, as well.
    """
    delay = 0.05
    while True:
        try:
            return await write()
        except Transient as error:
            log("result_waits", level="warning", reason=error.code)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)
