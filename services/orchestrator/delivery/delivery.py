"""Delivers messages: claim, recheck, send, record. This file is the whole protocol, from top to bottom.

1. Claim. In one transaction messages of one channel become `handing_over`, their handover opens, and their contacts
   count as made. `OutboxClaimer` claims for a dispatcher; `InlineDelivery` claims in the transaction that decides.
2. Recheck. After the claim has committed, facts are read again and the rules run once more. An opt-out that committed
   before the claim is seen by these facts. One that commits later finds the open attempt and waits for its end.
3. Send. The adapter hands over what may go. No transaction is open meanwhile, nor across any call to another service.
4. Record (`results.py`). What was not accepted gets its next state, with its contact; then one statement closes the
   handover, and so says that the others were accepted: one transaction. Whoever finds it closed already is late.

The order of these steps and their locks is model-checked: docs/protocols/Dispatch.tla, Handover.tla and Rank.tla.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from schemas.adapter_registry import gives_receipts
from schemas.addresses import hash_address
from schemas.message import HandoverResult
from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import log, log_error
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import sleep_unless_set
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.evaluation import (
    TAKEN_BACK,
    ClaimedMessage,
    CustomerEvaluation,
    EvaluationRequest,
    MessageClaim,
    ReadyMessage,
)
from services.orchestrator.decisions.evaluator import EvaluationInput, Evaluator
from services.orchestrator.decisions.message_store import wake_waiting
from services.orchestrator.decisions.metrics import DecisionMetrics
from services.orchestrator.delivery import store
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.attempts import AttemptEnd, AttemptResult
from services.orchestrator.delivery.deadline import HandoverDeadlines, boot_time
from services.orchestrator.delivery.metrics import DeliveryMetrics
from services.orchestrator.delivery.results import record_late_results, record_results
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.recheck import is_still_allowed, recheck_message

MAX_IN_FLIGHT = 4_000
"""Messages of one channel that inline delivery may have under way at once."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HandoverLimits:
    """Seconds from the claim within which a handover may start, and from its last check to its first byte."""

    deadline: float
    slack: float


# 1. Claim


@dataclass(frozen=True, slots=True)
class OutboxClaimer:
    """Claims messages of the outbox for one dispatcher. `address_key` is the key under which addresses are hashed."""

    owner: str
    address_key: bytes

    async def claim_messages(
        self, tx: Tx, channel: str, epochs: Mapping[int, int], now: Instant, opened: Instant
    ) -> list[ClaimedMessage]:
        """Claim the next messages of our shards on a channel, in order of the outbox.

        Only shards whose epoch is still ours count: a dispatcher that has lost its shards claims nothing. `now` is the
        ledger's time, `opened` the database's time.
        """
        # The leases stay locked until the claims have committed, so nobody can take these shards in between.
        shards = await store.lock_owned_shards(tx, self.owner, epochs)
        rows = await store.next_outbox_rows(tx, channel, sorted(shards))
        if not rows:
            return []
        # Ledgers are locked before messages are read, here and everywhere: no deadlock, and states cannot change.
        locked = await ledger_store.lock_and_load_ledgers(tx, [row.customer for row in rows])
        pending = await store.load_pending_messages(tx, [row.message_id for row in rows])
        ledgers_before = {customer: each.ledger for customer, each in locked.items()}
        ledgers = dict(ledgers_before)
        if pending:
            handover_id = await store.open_handover(tx, channel, self.owner, list(pending), now, opened)
        claimed_messages: list[ClaimedMessage] = []
        for row in rows:
            stored = pending.get(row.message_id)
            if stored is None:
                continue
            ledger = ledgers[row.customer] = ledgers[row.customer].claim_contact(row.message_id, now)
            claimed_messages.append(
                ClaimedMessage(
                    *(stored.message, handover_id, stored.attempts + 1, now, ledger, stored.first_planned),
                    *(stored.ready_at, stored.maybe_sent),
                )
            )
        hashes = [
            (item.message.id, hash_address(self.address_key, item.message.channel, item.message.to))
            for item in claimed_messages
        ]
        if hashes:
            await store.write_claims(tx, hashes, handover_id, now)
        claim_order: dict[str, list[str]] = {}
        for item in claimed_messages:
            claim_order.setdefault(item.message.customer, []).append(item.message.id)
        await ledger_store.save_ledger_changes(tx, ledgers_before, ledgers, now, claim_order)
        await store.delete_outbox_rows(tx, rows)
        return claimed_messages


class InlineDelivery:
    """Delivers what this process has just decided, without the outbox.

    It saves a transaction, a look at the event, and most of the facts. It claims only while little is under way, so
    that a slow provider never holds up deciding; everything else is left to the outbox and the dispatchers, as are
    messages that wait or are tried again. `owner` is unique to this process, `hash_address` gives the keyed hash of an
    address on a channel.
    """

    def __init__(self, owner: str, hash_address: Callable[[str, str], str], delivery: "Delivery") -> None:
        self._owner = owner
        self._hash_address = hash_address
        self._delivery = delivery
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def deadline(self) -> float:
        """Until when (boot time, seconds) a handover may start whose claim begins now."""
        return self._delivery.deadline()

    async def claim_ready(
        self, tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant
    ) -> list[ClaimedMessage]:
        """Claim as many fresh messages as there is room for, on the ledgers that are about to be written."""
        chosen: list[tuple[CustomerEvaluation, ReadyMessage]] = []
        ids_by_channel: dict[str, list[str]] = {}
        for evaluation in evaluations:
            if evaluation.expected_states:
                continue  # a waiting message, which goes through the outbox
            for item in evaluation.ready_messages:
                ids = ids_by_channel.setdefault(item.message.channel, [])
                if self._has_room(item.message.channel, len(ids)):
                    ids.append(item.message.id)
                    chosen.append((evaluation, item))
        if not chosen:
            return []
        opened = await tx.now()  # the database's clock, by which recovery measures
        handovers = {
            channel: await store.open_handover(tx, channel, self._owner, ids, now, opened)
            for channel, ids in ids_by_channel.items()
            if ids
        }
        claimed_messages: list[ClaimedMessage] = []
        for evaluation, item in chosen:
            await tx.loop_share.give_turn_if_due()
            channel = item.message.channel
            claim = MessageClaim(handovers[channel], self._hash_address(channel, item.message.to))
            claimed_messages.append(_claim_decided(evaluation, item, claim, now))
        return claimed_messages

    def _has_room(self, channel: str, more: int) -> bool:
        if self._stopping or channel not in self._delivery.channels:
            return False
        return self._in_flight[channel] + more < MAX_IN_FLIGHT

    def start_sending(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Deliver messages whose claims are committed, in the background."""
        by_channel: dict[str, list[ClaimedMessage]] = {}
        for item in claimed_messages:
            by_channel.setdefault(item.message.channel, []).append(item)
        for channel, items in by_channel.items():
            self._in_flight[channel] += len(items)
            task = asyncio.create_task(self._deliver(channel, items, deadline))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, channel: str, items: Sequence[ClaimedMessage], deadline: float) -> None:
        try:
            await self._delivery.deliver(channel, items, deadline)
        except Exception as error:  # their attempts stay open: recovery closes them after the deadline
            log_error("handover_failed", error, channel=channel, count=len(items))
        finally:
            self._in_flight[channel] -= len(items)

    def stop_claiming(self) -> None:
        """Claim nothing more, and give back what has not begun."""
        self._stopping = True
        self._delivery.refuse_new()

    async def wait_until_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)


def _claim_decided(
    evaluation: CustomerEvaluation, item: ReadyMessage, claim: MessageClaim, now: Instant
) -> ClaimedMessage:
    """Claim a message of an evaluation that has not been written yet."""
    planned = item.planned
    # The evaluation is written after this: its ledger has the contact made, and its message the open attempt.
    evaluation.ledger = evaluation.ledger.claim_contact(planned.message_id, now)
    evaluation.claims[planned.message_id] = claim
    return ClaimedMessage(
        *(item.message, claim.handover_id, 1, now, evaluation.ledger, planned.first_planned),
        ready_at=now,
        triggered=planned.triggered,
        facts=evaluation.facts,
        sole_decision=len(evaluation.decisions) == 1,
    )


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
        adapters: Mapping[str, Adapter],
        deadlines: HandoverDeadlines,
        limits: HandoverLimits,
        clock: Clock,
        decision_metrics: DecisionMetrics,
        metrics: DeliveryMetrics,
    ) -> None:
        self._database = database
        self._evaluator = evaluator
        self._adapters = adapters
        self._deadlines = deadlines
        self._limits = limits
        self._clock = clock
        self._decision_metrics = decision_metrics
        self._metrics = metrics
        self._stopping = asyncio.Event()

    @property
    def channels(self) -> frozenset[str]:
        """The channels that can be served."""
        return frozenset(self._adapters)

    def deadline(self) -> float:
        """Until when (boot time, seconds) a handover may start whose claim begins now."""
        return boot_time() + self._limits.deadline

    def refuse_new(self) -> None:
        """Let no further handover start: what is claimed and has not begun is given back to be tried again."""
        self._stopping.set()
        self._deadlines.refuse_new()

    async def deliver(self, channel: str, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Recheck, send and record messages whose claims have committed: all those of one handover."""
        result = await self._recheck_until(claimed_messages, deadline)
        if result is None:
            # Nothing was sent, and we are the owner: saying so now beats being closed as unknown by recovery.
            no_facts = [HandoverResult(item.message.id, "retry", detail="no_facts") for item in claimed_messages]
            await self._record(channel, claimed_messages, no_facts)
            return
        refused = [item for item in claimed_messages if item.message.id in result.refused]
        await self._refuse(channel, refused, result)
        to_send = [item for item in claimed_messages if item.message.id not in result.refused]
        answers = await self._send(channel, to_send, deadline) if to_send else []
        await self._record(channel, claimed_messages, answers, waited_for=_waited_for(to_send, result.inputs))

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

    async def _refuse(self, channel: str, refused: Sequence[ClaimedMessage], result: RecheckResult) -> None:
        """End refused messages. One that an earlier attempt may have delivered ends as unknown, the others are taken
        back.
        """
        possibly_sent = [item for item in refused if item.maybe_sent]
        unknown = [HandoverResult(item.message.id, "unknown") for item in possibly_sent]
        await self._record(channel, possibly_sent, unknown, of_refused=True)
        surely_unsent = [item for item in refused if not item.maybe_sent]
        evaluations = await _retry_until_written(lambda: self.take_back(surely_unsent, result))
        self._decision_metrics.count_decisions(evaluations)
        self._metrics.record_refusals(evaluations)

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

    async def _send(self, channel: str, to_send: Sequence[ClaimedMessage], deadline: float) -> list[HandoverResult]:
        """The adapter's answer for each message. What an adapter raises means that nobody knows what was written."""
        adapter = self._adapters[channel]
        for item in to_send:
            self._deadlines.allow(item.message.id, deadline)  # the adapter asks just before each first byte
        started = boot_time()
        try:
            answers = await adapter.send_batch([item.message for item in to_send], self._deadlines)
        except Exception as error:  # an adapter's fault must not stop the others
            log("adapter_raised", level="error", channel=channel, error_class=type(error).__name__)
            answers = [HandoverResult(item.message.id, "unknown", detail=type(error).__name__) for item in to_send]
        finally:
            for item in to_send:
                self._deadlines.forget(item.message.id)
        self._metrics.record_handovers(channel, adapter.name, to_send, answers, boot_time() - started)
        return answers

    # 4. Record

    async def _record(
        self,
        channel: str,
        claimed_messages: Sequence[ClaimedMessage],
        answers: Sequence[HandoverResult],
        *,
        of_refused: bool = False,
        waited_for: Collection[str] = (),
    ) -> None:
        """Write the answers, and close the handover. `of_refused`: these messages alone end, as unknown, and are not
        tried again; the others are still to be sent. `waited_for`: messages for which other channels wait.
        """
        if not claimed_messages:
            return
        adapter, handover_id = self._adapters[channel], claimed_messages[0].handover_id
        by_id = {item.message.id: item for item in claimed_messages}
        results = [
            AttemptResult(
                by_id[answer.message_id].message.customer,
                by_id[answer.message_id].number,
                answer,
                adapter.idempotent and not of_refused,
                adapter.name,
            )
            for answer in answers
        ]

        # What other adapters accept is confirmed by receipts.
        confirmed = [
            each.message_id
            for each in (answers if waited_for and not gives_receipts(adapter.name) else ())
            if each.message_id in waited_for and each.outcome == "accepted"
        ]

        async def write() -> None:
            async with self._database.write() as tx:
                now = self._clock.now()
                if await record_results(tx, handover_id, results, now, closes=not of_refused):
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
    """Write, and try again until the database takes it: the result of an attempt must not be lost."""
    delay = 0.05
    while True:
        try:
            return await write()
        except Transient as error:
            log("result_waits", level="warning", reason=error.code)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)
