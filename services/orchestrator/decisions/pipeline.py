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

from schemas.event import BadEvent, Event, data_of, decode, type_of
from schemas.times import Instant
from services.kit.bus.batch import Batch
from services.kit.bus.fence import Nudge
from services.kit.bus.protocol import Record
from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions import commit, store
from services.orchestrator.decisions.evaluation import Question, Work, judge
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.decisions.reported_contact import REPORTED, reported_contact
from services.orchestrator.decisions.situation_endings import ending_types
from services.orchestrator.decisions.store import Arrived, EventKey, Held
from services.orchestrator.delivery import store as delivery_store
from services.orchestrator.delivery.claim import Marked
from services.orchestrator.delivery.inline_delivery import Straight
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.insight.shadow.observations import Notes
from services.orchestrator.insight.shadow.recorder import Shadow
from services.orchestrator.metrics import Metrics
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.horizon import look_back
from services.orchestrator.policy.ledger import Contact
from services.orchestrator.policy.match import Catalogue, touches


class Found(msgspec.Struct, frozen=True):
    """An event that may concern us, with its data, or with the contact that it reports."""

    event: Event
    data: Mapping[str, Any]
    record: Record
    report: Contact | None

    @property
    def key(self) -> EventKey:
        """How the event is known: customer, source, id."""
        return self.event.subject, self.event.source, self.event.id


@dataclass(slots=True)
class Prepared:
    """What a batch comes to, before it is written."""

    now: Instant
    catalogue: Catalogue
    since: Instant
    works: list[Work] = field(default_factory=list)
    kept: list[Arrived] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    skipped: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    notes: Notes | None = None
    """What is in shadow made of the events; None while nothing is."""
    marked: list[Marked] = field(default_factory=list)
    deadline: float = 0.0
    """Until when (boot time) the handover of what is marked may start."""


class Pipeline:
    """The orchestrator's handler of `customer.events`."""

    def __init__(
        self,
        database: Database,
        snapshot: Snapshot,
        gatherer: Gatherer,
        renderer: Renderer,
        clock: Clock,
        metrics: Metrics,
        nudge: Nudge,
        shadow: Shadow,
        straight: Straight | None = None,
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._gatherer = gatherer
        self._renderer = renderer
        self._clock = clock
        self._metrics = metrics
        self._nudge = nudge
        self._shadow = shadow
        self._straight = straight

    async def prepare(self, batch: Batch) -> Prepared:
        """Match, gather, decide and render. Raises Transient while facts cannot be had."""
        began = time.monotonic()
        async with self._database.read() as tx:
            catalogue = await self._snapshot.current(tx)
        now = self._clock.now()
        prepared = Prepared(now, catalogue, look_back(catalogue.policy, catalogue.campaigns.values(), now))
        found = self._match(batch, prepared)
        if not found:
            return prepared
        customers = list(dict.fromkeys(item.event.subject for item in found))
        facts = await self._gatherer.facts(customers, catalogue, batch.positions)
        async with self._database.read() as tx:
            seen = await store.seen(tx, [item.key for item in found])
            ledgers = await store.ledgers(tx, customers, prepared.since)
        fresh = [item for item in found if item.key not in seen] if catalogue.shadows is not None else []
        self._judge(found, facts, ledgers, seen, prepared)
        if fresh:
            prepared.notes = self._shadow.judge(fresh, prepared.works, facts, ledgers, catalogue, now)
        prepared.seconds = time.monotonic() - began
        return prepared

    def _match(self, batch: Batch, prepared: Prepared) -> list[Found]:
        catalogue = prepared.catalogue
        ending = ending_types(catalogue.policy)
        found: list[Found] = []
        for record in batch.records:
            kind = type_of(record.headers, record.value)
            wanted = kind is None or catalogue.wants(kind) or kind == REPORTED
            if not wanted and kind not in ending:
                prepared.skipped += 1
                continue
            try:
                event = decode(record.headers, record.value, prepared.now)
                if kind in ending:
                    prepared.woken.append(event.subject)
                if wanted:
                    data = data_of(event)
                    report = reported_contact(event, data) if kind == REPORTED else None
                    found.append(Found(event, data, record, report))
            except BadEvent as error:
                batch.reject(record, error)
        return found

    def _judge(
        self,
        found: Sequence[Found],
        facts: Mapping[str, Facts],
        ledgers: dict[str, Held],
        seen: set[EventKey],
        prepared: Prepared,
    ) -> None:
        asked: dict[str, list[Question]] = {}
        for item in found:
            if item.key in seen:
                prepared.duplicates += 1
                continue
            question = self._question(item, facts[item.event.subject], prepared.catalogue)
            if question is None:
                prepared.skipped += 1
                continue
            seen.add(item.key)
            asked.setdefault(item.event.subject, []).append(question)
            record = item.record
            prepared.kept.append(Arrived(item.event, record.topic, record.partition, record.offset))
        for customer, questions in asked.items():
            prepared.works.append(
                self._judged(customer, facts[customer], questions, commit.held_by(ledgers, customer), prepared)
            )

    def _question(self, item: Found, facts: Facts, catalogue: Catalogue) -> Question | None:
        if item.report is not None:
            return Question(report=item.report)
        triggered = touches(item.event, item.data, facts.customer, catalogue)
        return Question(touches=tuple(triggered)) if triggered else None

    def _judged(
        self, customer: str, facts: Facts, questions: Sequence[Question], held: Held, prepared: Prepared
    ) -> Work:
        return judge(customer, facts, questions, held, prepared.now, prepared.since, self._renderer.render)

    async def apply(self, tx: Tx, prepared: Prepared) -> None:
        """Write everything; who lost the race for a ledger is judged again under its lock."""

        def again(work: Work, held: Held) -> Work:
            return self._judged(work.customer, work.facts, work.questions, held, prepared)

        async def mark(works: Sequence[Work]) -> None:
            if self._straight is not None:
                prepared.deadline = self._straight.deadline()
                prepared.marked = await self._straight.mark(tx, works, prepared.now)

        prepared.works = await commit.write(tx, prepared.works, prepared.now, prepared.since, again, mark)
        await store.keep_events(tx, prepared.kept, prepared.now)
        if prepared.woken:
            await delivery_store.wake_parked(tx, prepared.woken, prepared.now)
        if prepared.notes is not None:
            await self._shadow.keep(tx, prepared.notes)

    async def applied(self, prepared: Prepared) -> None:
        """Hand over what was marked, wake the dispatcher for the rest, and count."""
        if self._straight is not None:
            self._straight.go(prepared.marked, prepared.deadline)
        if sum(len(work.ready) for work in prepared.works) > len(prepared.marked):
            self._nudge.notify()
        if prepared.notes is not None:
            self._shadow.kept(prepared.notes)
        self._metrics.batch(
            prepared.works, skipped=prepared.skipped, duplicates=prepared.duplicates, seconds=prepared.seconds
        )

    async def poisoned(self, tx: Tx, record: Record, error: BaseException) -> None:
        """A record that cannot be read decides nothing; it lies with the dead letters."""
