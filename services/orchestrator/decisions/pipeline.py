"""The story on one page: match, gather, decide, render, commit.

A batch of events comes in. Those that no campaign wants cost one look at a header. For the others the facts of all
customers are asked for at once, each customer is judged in order of their events, and everything that follows from it
is written in the one transaction that also moves the offsets.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.event import Event, InvalidEvent, decode_record, parse_data, peek_type
from schemas.times import Instant
from services.kit.bus.batch import Batch
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Record
from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import commit, store
from services.orchestrator.decisions.evaluation import CustomerEvaluation, EvaluationRequest, evaluate_customer
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.reported_contact import REPORTED_EVENT_TYPE, parse_reported_contact
from services.orchestrator.decisions.situation_endings import closing_event_types
from services.orchestrator.decisions.store import EventKey, ReceivedEvent, VersionedLedger
from services.orchestrator.delivery import store as delivery_store
from services.orchestrator.delivery.claim import ClaimedMessage
from services.orchestrator.delivery.inline_delivery import InlineDelivery
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.insight.shadow.observations import ShadowObservations
from services.orchestrator.insight.shadow.recorder import ShadowRecorder
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.horizon import look_back_start
from services.orchestrator.policy.ledger import Contact
from services.orchestrator.policy.match import Catalogue, match_campaigns


class RelevantEvent(msgspec.Struct, frozen=True):
    """An event that may concern us, with its data, or with the contact that it reports."""

    event: Event
    data: Mapping[str, Any]
    record: Record
    reported_contact: Contact | None

    @property
    def key(self) -> EventKey:
        """How the event is known: customer, source, id."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class EvaluatedBatch:
    """What a batch comes to, before it is written."""

    now: Instant
    catalogue: Catalogue
    complete_since: Instant
    evaluations: list[CustomerEvaluation] = field(default_factory=list)
    received_events: list[ReceivedEvent] = field(default_factory=list)
    customers_to_wake: list[str] = field(default_factory=list)
    skipped: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    shadow_notes: ShadowObservations | None = None
    """What is in shadow made of the events; None while nothing is."""
    claimed_messages: list[ClaimedMessage] = field(default_factory=list)
    deadline: float = 0.0
    """Until when (boot time) the handover of what is marked may start."""


class Pipeline:
    """The orchestrator's handler of `customer.events`."""

    def __init__(
        self,
        database: Database,
        snapshot: CatalogueSnapshot,
        facts_reader: FactsReader,
        renderer: Renderer,
        clock: Clock,
        metrics: OrchestratorMetrics,
        outbox_signal: WakeSignal,
        shadow: ShadowRecorder,
        inline_delivery: InlineDelivery | None = None,
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._facts_reader = facts_reader
        self._renderer = renderer
        self._clock = clock
        self._metrics = metrics
        self._outbox_signal = outbox_signal
        self._shadow = shadow
        self._inline_delivery = inline_delivery

    async def prepare(self, batch: Batch) -> EvaluatedBatch:
        """Match, gather, decide and render. Raises Transient while facts cannot be had."""
        started = time.monotonic()
        async with self._database.read() as tx:
            catalogue = await self._snapshot.get_catalogue(tx)
        now = self._clock.now()
        prepared = EvaluatedBatch(now, catalogue, look_back_start(catalogue.policy, catalogue.campaigns.values(), now))
        events = self._find_relevant_events(batch, prepared)
        if not events:
            return prepared
        customers = list(dict.fromkeys(item.event.subject for item in events))
        facts = await self._facts_reader.read_facts(customers, catalogue, batch.next_offsets)
        async with self._database.read() as tx:
            known_keys = await store.known_event_keys(tx, [item.key for item in events])
            ledgers = await store.load_ledgers(tx, customers, prepared.complete_since)
        new_events = [item for item in events if item.key not in known_keys] if catalogue.shadows is not None else []
        self._evaluate(events, facts, ledgers, known_keys, prepared)
        if new_events:
            prepared.shadow_notes = self._shadow.evaluate_batch(
                new_events, prepared.evaluations, facts, ledgers, catalogue, now
            )
        prepared.seconds = time.monotonic() - started
        return prepared

    def _find_relevant_events(self, batch: Batch, prepared: EvaluatedBatch) -> list[RelevantEvent]:
        catalogue = prepared.catalogue
        closing_types = closing_event_types(catalogue.policy)
        events: list[RelevantEvent] = []
        for record in batch.records:
            event_type = peek_type(record.headers, record.value)
            relevant = event_type is None or catalogue.is_triggered_by(event_type) or event_type == REPORTED_EVENT_TYPE
            if not relevant and event_type not in closing_types:
                prepared.skipped += 1
                continue
            try:
                event = decode_record(record.headers, record.value, prepared.now)
                if event_type in closing_types:
                    prepared.customers_to_wake.append(event.subject)
                if relevant:
                    data = parse_data(event)
                    report = parse_reported_contact(event, data) if event_type == REPORTED_EVENT_TYPE else None
                    events.append(RelevantEvent(event, data, record, report))
            except InvalidEvent as error:
                batch.reject(record, error)
        return events

    def _evaluate(
        self,
        events: Sequence[RelevantEvent],
        facts: Mapping[str, Facts],
        ledgers: dict[str, VersionedLedger],
        known_keys: set[EventKey],
        prepared: EvaluatedBatch,
    ) -> None:
        requests_by_customer: dict[str, list[EvaluationRequest]] = {}
        for item in events:
            if item.key in known_keys:
                prepared.duplicates += 1
                continue
            request = self._evaluation_request(item, facts[item.event.subject], prepared.catalogue)
            if request is None:
                prepared.skipped += 1
                continue
            known_keys.add(item.key)
            requests_by_customer.setdefault(item.event.subject, []).append(request)
            record = item.record
            prepared.received_events.append(ReceivedEvent(item.event, record.topic, record.partition, record.offset))
        for customer, requests in requests_by_customer.items():
            prepared.evaluations.append(
                self._evaluate_customer(
                    customer, facts[customer], requests, commit.ledger_or_empty(ledgers, customer), prepared
                )
            )

    def _evaluation_request(self, item: RelevantEvent, facts: Facts, catalogue: Catalogue) -> EvaluationRequest | None:
        if item.reported_contact is not None:
            return EvaluationRequest(reported_contact=item.reported_contact)
        triggered = match_campaigns(item.event, item.data, facts.customer_values, catalogue)
        return EvaluationRequest(triggered_campaigns=tuple(triggered)) if triggered else None

    def _evaluate_customer(
        self,
        customer: str,
        facts: Facts,
        requests: Sequence[EvaluationRequest],
        base: VersionedLedger,
        prepared: EvaluatedBatch,
    ) -> CustomerEvaluation:
        return evaluate_customer(
            customer, facts, requests, base, prepared.now, prepared.complete_since, self._renderer.render_message
        )

    async def apply(self, tx: Tx, prepared: EvaluatedBatch) -> None:
        """Write everything; who lost the race for a ledger is judged again under its lock."""

        def reevaluate(evaluation: CustomerEvaluation, base: VersionedLedger) -> CustomerEvaluation:
            return self._evaluate_customer(evaluation.customer, evaluation.facts, evaluation.requests, base, prepared)

        async def claim(evaluations: Sequence[CustomerEvaluation]) -> None:
            if self._inline_delivery is not None:
                prepared.deadline = self._inline_delivery.deadline()
                prepared.claimed_messages = await self._inline_delivery.claim_ready(tx, evaluations, prepared.now)

        prepared.evaluations = await commit.write_evaluations(
            tx, prepared.evaluations, prepared.now, prepared.complete_since, reevaluate, claim
        )
        await store.insert_events(tx, prepared.received_events, prepared.now)
        if prepared.customers_to_wake:
            await delivery_store.wake_parked(tx, prepared.customers_to_wake, prepared.now)
        if prepared.shadow_notes is not None:
            await self._shadow.save(tx, prepared.shadow_notes)

    async def after_commit(self, prepared: EvaluatedBatch) -> None:
        """Hand over what was marked, wake the dispatcher for the rest, and count."""
        if self._inline_delivery is not None:
            self._inline_delivery.start_sending(prepared.claimed_messages, prepared.deadline)
        if sum(len(evaluation.ready_messages) for evaluation in prepared.evaluations) > len(prepared.claimed_messages):
            self._outbox_signal.notify()
        if prepared.shadow_notes is not None:
            self._shadow.count_committed(prepared.shadow_notes)
        self._metrics.record_batch(
            prepared.evaluations, skipped=prepared.skipped, duplicates=prepared.duplicates, seconds=prepared.seconds
        )

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """A record that cannot be read decides nothing; it lies with the dead letters."""
