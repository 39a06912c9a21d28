"""Consumer of `customer.events`: turns a batch of events into decisions, in one transaction with the log offsets.

`prepare` matches events with campaigns, reads facts and ledgers for all customers of the batch at once, and evaluates
each customer's events in order. `apply` writes what came of it. `after_commit` starts the handover of messages that
were claimed in that transaction. An event that no campaign listens to costs one look at its type in the headers.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from schemas.dead_letters import RecordEffect
from schemas.decision import to_document
from schemas.event import Event, InvalidEvent, decode_record, parse_data, peek_type
from schemas.own_events import (
    CONTACT_REPORTED,
    CUSTOMER_ERASED,
    SITUATION_CLOSED,
    SITUATION_CORRECTED,
    check_event,
    is_own,
)
from schemas.times import Instant
from services.kit.bus.batch import Batch
from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Record
from services.kit.db.database import Tx
from services.kit.errors import RecordProblem, RejectedRecord
from services.kit.observability.logs import log
from services.kit.observability.tracer import Tracer
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions import message_store, store
from services.orchestrator.decisions.batch_trace import BatchTrace
from services.orchestrator.decisions.erasure_intake import ErasureIntake, is_erased
from services.orchestrator.decisions.evaluation import ClaimedMessage, CustomerEvaluation, EvaluationRequest
from services.orchestrator.decisions.evaluator import EvaluationInput, Evaluator
from services.orchestrator.decisions.facts_fence import (
    FactsFence,
    load_facts_fence,
    may_change_facts,
    save_facts_fence,
    situation_events,
)
from services.orchestrator.decisions.metrics import DecisionMetrics
from services.orchestrator.decisions.reported_contact import read_reported_contact
from services.orchestrator.decisions.reused_ids import is_reused
from services.orchestrator.decisions.store import EventKey, ReceivedEvent, VersionedLedger
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact
from services.orchestrator.policy.match import Catalogue, match_in_steps
from services.orchestrator.seen_names.sampler import TRAITS, NameSampler

_REPORTED = "the contact that the event reports is added to the customer's ledger"
_DECIDED_SINCE = "messages to this customer have been decided since: this event is decided as of now, after them"


class InlineSender(Protocol):
    """Hands over what this process has just decided: services.orchestrator.delivery.delivery.InlineDelivery."""

    def deadline(self) -> float:
        """Until when (boot time, seconds) a handover may start whose claim begins now."""

    async def claim_ready(
        self, tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant
    ) -> list[ClaimedMessage]:
        """Claim ready messages in the transaction that writes them."""

    def start_sending(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Hand over claimed messages in the background, once their claims are committed."""


class ShadowEvaluator(Protocol):
    """Evaluates versions in shadow beside the live ones: services.orchestrator.insight.shadow.recorder.ShadowRecorder.

    Its observations are passed through: the pipeline does not look into them.
    """

    async def evaluate_batch(
        self,
        new_events: Sequence["RelevantEvent"],
        evaluations: Sequence[CustomerEvaluation],
        facts: Mapping[str, Facts],
        ledgers: Mapping[str, VersionedLedger],
        catalogue: Catalogue,
        now: Instant,
    ) -> Any:
        """Evaluate new events under the versions in shadow. Raises nothing."""

    async def save(self, tx: Tx, observations: Any) -> None:
        """Write the observations in the transaction of the batch. Raises nothing."""

    def count_committed(self, observations: Any) -> None:
        """Count observations whose transaction has committed."""


class RelevantEvent(msgspec.Struct, frozen=True):
    """An event that a campaign listens to, with its data, or one that reports a contact, with the contact."""

    event: Event
    data: Mapping[str, Any]
    record: Record
    reported_contact: Contact | None

    @property
    def key(self) -> EventKey:
        """Identifies the event: customer, source, id."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class EvaluatedBatch:
    """A batch after `prepare`: what it was evaluated on and what will be written."""

    now: Instant
    catalogue: Catalogue
    batch: Batch
    fence: FactsFence
    """How far facts must have applied the log before these events are decided."""
    trace: BatchTrace
    inputs: EvaluationInput | None = None
    """None while the batch holds no relevant event."""
    evaluations: list[CustomerEvaluation] = field(default_factory=list)
    received_events: list[ReceivedEvent] = field(default_factory=list)
    customers_to_wake: list[str] = field(default_factory=list)
    erasures: list[Event] = field(default_factory=list)
    of_erased: int = 0
    """Events of customers who were erased: nothing of them is decided or kept."""
    skipped: int = 0
    duplicates: int = 0
    reused: int = 0
    """Events with the id of another one that was taken before: duplicates with another content."""
    seconds: float = 0.0
    shadow_notes: Any = None
    """What versions in shadow decide about the events; None while nothing is in shadow."""
    claimed_messages: list[ClaimedMessage] = field(default_factory=list)
    deadline: float = 0.0
    """Until when (boot time, seconds) the handover of claimed messages may start."""


class Pipeline:
    """The orchestrator's handler of `customer.events`."""

    def __init__(
        self,
        evaluator: Evaluator,
        clock: Clock,
        metrics: DecisionMetrics,
        shadow: ShadowEvaluator,
        erasure_intake: ErasureIntake,
        inline_delivery: InlineSender | None = None,
        names: NameSampler | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`tracer` records sampled events."""
        self._tracer = tracer
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics
        self._shadow = shadow
        self._erasure_intake = erasure_intake
        self._inline_delivery = inline_delivery
        self._names = names

    async def prepare(self, batch: Batch) -> EvaluatedBatch:
        """Match the events, read facts and ledgers, evaluate and render. Raises Transient while facts are missing."""
        started, trace = time.monotonic(), BatchTrace(self._tracer)
        catalogue, fence = await self._evaluator.read_catalogue_and_fence()
        prepared = EvaluatedBatch(self._clock.now(), catalogue, batch, fence, trace)
        events = await self._find_relevant_events(batch, prepared)
        if prepared.erasures:
            await self._erasure_intake.block_addresses(prepared.erasures, batch.next_offsets)
        if not events:
            return prepared
        with trace.asking_facts([item.event for item in events]):
            inputs, known_keys = await self._evaluator.read_for_events(
                [item.key for item in events], catalogue, fence.of_batch(batch), prepared.now
            )
        prepared.inputs = inputs
        if self._names is not None:
            _sample_traits(self._names, inputs.facts)
        erased = {customer for customer, facts in inputs.facts.items() if is_erased(facts)}
        if erased:
            count = len(events)
            events = [item for item in events if item.event.subject not in erased]
            prepared.of_erased = count - len(events)
        new_events = [item for item in events if item.key not in known_keys] if catalogue.shadows is not None else []
        with trace.times.step("evaluate"):
            await self._evaluate(events, inputs, known_keys, prepared)
        if new_events:
            prepared.shadow_notes = await self._shadow.evaluate_batch(
                new_events, prepared.evaluations, inputs.facts, inputs.ledgers, catalogue, prepared.now
            )
        prepared.seconds = time.monotonic() - started
        return prepared

    async def _find_relevant_events(self, batch: Batch, prepared: EvaluatedBatch) -> list[RelevantEvent]:
        """Decode the events that matter. One with bad parts is dead-lettered, and decided on its good parts."""
        catalogue = prepared.catalogue
        closing_types = _closing_event_types(catalogue.policy)
        situation_types = situation_events(catalogue.policy)
        events: list[RelevantEvent] = []
        for record in batch.records:
            await self._evaluator.loop_share.give_turn_if_due()
            event_type = peek_type(record.headers, record.value)
            if may_change_facts(event_type, situation_types):
                prepared.fence.include(record)
            relevant = event_type == CONTACT_REPORTED or (
                event_type is not None and catalogue.is_triggered_by(event_type)
            )
            is_erasure = event_type == CUSTOMER_ERASED
            if not relevant and not is_erasure and event_type not in closing_types:
                prepared.skipped += 1
                if self._names is not None and event_type is not None and self._names.wants(event_type):
                    _sample_data(self._names, event_type, record)
                continue
            # The other services write the dead letters of the types that they own, and of unreadable types. An erasure
            # is owned by all: each has to apply it when it is redriven.
            ours = is_erasure or (relevant and (event_type == CONTACT_REPORTED or not is_own(event_type or "")))
            try:
                event = decode_record(record.headers, record.value, prepared.now)
            except InvalidEvent as error:
                if ours:
                    batch.reject(record, RejectedRecord(problems=[RecordProblem(*each) for each in error.problems]))
                continue
            if is_erasure:
                prepared.erasures.append(event)
                continue
            if event_type in closing_types:
                prepared.customers_to_wake.append(event.subject)
            if not relevant:
                continue
            checked = check_event(event)
            if checked.problems and ours:
                batch.reject(record, RejectedRecord(problems=[RecordProblem(*each) for each in checked.problems]))
            if not checked.refused:
                if self._names is not None and event_type is not None:
                    self._names.observe(event_type, checked.data)
                report = read_reported_contact(event, checked.data)
                events.append(RelevantEvent(event, checked.data, record, report))
        return events

    async def _evaluate(
        self,
        events: Sequence[RelevantEvent],
        inputs: EvaluationInput,
        known_keys: set[EventKey],
        prepared: EvaluatedBatch,
    ) -> None:
        """Evaluate each customer's new events in order. An event that was decided before is a duplicate."""
        requests_by_customer: dict[str, list[EvaluationRequest]] = {}
        taken: dict[EventKey, Event | bytes] = dict(inputs.events)
        for item in events:
            if item.key in known_keys:
                reused = is_reused(item.event, taken)
                prepared.reused += reused
                prepared.duplicates += not reused
                continue
            request = await self._evaluation_request(item, inputs.facts[item.event.subject], prepared.catalogue)
            if request is None:
                prepared.skipped += 1
                continue
            taken[item.key] = item.event
            known_keys.add(item.key)  # so that a second copy in the same batch is a duplicate as well
            requests_by_customer.setdefault(item.event.subject, []).append(request)
            record = item.record
            prepared.received_events.append(ReceivedEvent(item.event, record.topic, record.partition, record.offset))
        prepared.evaluations = await self._evaluator.evaluate_all(inputs, requests_by_customer, prepared.now)

    async def _evaluation_request(
        self, item: RelevantEvent, facts: Facts, catalogue: Catalogue
    ) -> EvaluationRequest | None:
        if item.reported_contact is not None:
            return EvaluationRequest(reported_contact=item.reported_contact)
        triggered = await self._evaluator.loop_share.run(
            match_in_steps(item.event, item.data, facts.customer_values, catalogue, with_audience=True)
        )
        return EvaluationRequest(triggered_campaigns=tuple(triggered)) if triggered else None

    async def apply(self, tx: Tx, prepared: EvaluatedBatch) -> None:
        """Write everything in the transaction that has moved the offsets, and claim messages for inline delivery."""
        prepared.trace.times.begin_step("commit")
        await save_facts_fence(tx, prepared.fence, prepared.batch)

        async def claim(evaluations: Sequence[CustomerEvaluation]) -> None:
            if self._inline_delivery is not None:
                prepared.deadline = self._inline_delivery.deadline()
                prepared.claimed_messages = await self._inline_delivery.claim_ready(tx, evaluations, prepared.now)

        if prepared.inputs is not None:
            prepared.evaluations = await self._evaluator.write(
                tx,
                prepared.inputs,
                prepared.evaluations,
                prepared.now,
                claim=claim,
                events=prepared.received_events,
            )
        if prepared.erasures:
            await self._erasure_intake.record(tx, prepared.erasures)
        if prepared.customers_to_wake:
            await message_store.wake_parked(tx, prepared.customers_to_wake, prepared.now)
        if prepared.shadow_notes is not None:
            await self._shadow.save(tx, prepared.shadow_notes)

    async def after_commit(self, prepared: EvaluatedBatch) -> None:
        """Hand over claimed messages, and count. For the others, dispatchers have been notified by the commit."""
        # Nothing may be sent before the claims are committed: an opt-out would not find the open attempts.
        if self._inline_delivery is not None:
            self._inline_delivery.start_sending(prepared.claimed_messages, prepared.deadline)
        if prepared.shadow_notes is not None:
            self._shadow.count_committed(prepared.shadow_notes)
        if prepared.erasures:
            self._erasure_intake.notify()
        if prepared.of_erased:
            log("events_of_erased_customers", count=prepared.of_erased)
        decisions = [each for evaluation in prepared.evaluations for each in evaluation.decisions]
        trace_id = prepared.trace.record_events(prepared.received_events, decisions, len(prepared.batch.records))
        self._metrics.record_batch(
            prepared.evaluations,
            skipped=prepared.skipped + prepared.of_erased,
            duplicates=prepared.duplicates,
            reused=prepared.reused,
            seconds=prepared.seconds,
            trace_id=trace_id,
        )
        if prepared.reused:
            log("event_id_reused", "warning", count=prepared.reused, stage="decide")

    async def keeps_nothing_of(self, tx: Tx, record: Record) -> bool:
        """Whether the record is about an erased customer."""
        return await self._erasure_intake.concerns_erased(tx, record)

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """A record that cannot be read decides nothing, but others may have read it, so facts must have applied it."""
        fence = await load_facts_fence(tx)
        fence.include(record)
        await save_facts_fence(tx, fence, Batch.from_records([record]))

    async def describe_effect(self, tx: Tx, letter: DeadLetter, prepared: EvaluatedBatch) -> RecordEffect:
        """What applying the record of a dead letter has done: its decisions."""
        if prepared.erasures:
            return RecordEffect("applied", "the customer is erased")
        if prepared.of_erased:
            return RecordEffect("nothing", "the customer is erased: nothing of the event is kept")
        if prepared.duplicates:
            return RecordEffect("duplicate", "the same event has been decided already")
        if prepared.reused:
            return RecordEffect("duplicate", "another event of this source and id has been decided already")
        decisions = [each for evaluation in prepared.evaluations for each in evaluation.decisions]
        if not decisions and not prepared.evaluations:
            if prepared.customers_to_wake:
                return RecordEffect("applied", "messages of the customer that are parked are evaluated again")
            if letter.event_type is None:
                return RecordEffect("nothing", "the record names no type that can be read, so it triggers no campaign")
            return RecordEffect(
                "nothing", f"no active campaign is triggered by this event of the type {letter.event_type}"
            )
        later = await store.count_decisions_since(tx, [each.customer for each in prepared.evaluations], letter.at)
        own = {each.message_id for each in decisions}
        counts = Counter(each.outcome for each in decisions)
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        return RecordEffect(
            "applied",
            f"{len(own)} {'message is' if len(own) == 1 else 'messages are'} decided: {parts}" if own else _REPORTED,
            decisions=tuple(to_document(each) for each in decisions),
            warnings=(_DECIDED_SINCE,) if later > len(decisions) else (),
        )

    async def on_dead_letter_closed(self, tx: Tx, letter: DeadLetter) -> None:
        """Nothing is written: nothing was when the letter was stored."""


def _sample_data(names: NameSampler, event_type: str, record: Record) -> None:
    """Notes the names in an event that no campaign listens to, so that the first campaign on it can be checked."""
    with contextlib.suppress(InvalidEvent):
        names.observe(event_type, parse_data(decode_record(record.headers, record.value)))


def _sample_traits(names: NameSampler, facts: Mapping[str, Facts]) -> None:
    for each in facts.values():
        if not names.wants(TRAITS):
            return
        names.observe(TRAITS, each.customer_values["traits"])


def _closing_event_types(policy: CompiledPolicy) -> frozenset[str]:
    """The event types that may close a situation under this policy, and so end the wait of messages that it parks."""
    return frozenset(
        {
            SITUATION_CLOSED,
            SITUATION_CORRECTED,
            *(trigger.event for kind in policy.document.situations for trigger in kind.closes),
        }
    )
