"""Brings waiting messages back when they are due, and judges each again in full, on fresh facts.

A timer is claimed for a while with SKIP LOCKED, so any number of schedulers share the work; what decides is the state
of the message, checked under the lock of the customer's ledger when the judgement is written.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState
from services.kit.bus.fence import WakeSignal, read_applied_offsets
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import commit, store
from services.orchestrator.decisions.evaluation import CustomerEvaluation, EvaluationRequest, evaluate_customer
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.store import VersionedLedger, shard_of
from services.orchestrator.decisions.stored_trigger import decode_triggered
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.delivery.store import OUTBOX_COLUMNS
from services.orchestrator.holds.release import HoldReleaser, HoldsApi
from services.orchestrator.metrics import OrchestratorMetrics
from services.orchestrator.policy.horizon import look_back_start
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign
from services.orchestrator.policy.rank import make_rank

TIMER_CLAIM = 30 * SECOND
BATCH_SIZE = 200


class DueMessage(NamedTuple):
    """A message whose time has come."""

    message_id: str
    customer: str
    campaign: str
    channel: str
    state: str
    first_planned: Instant | None
    event_source: str
    event_id: str
    due: Instant


class Scheduler:
    """Judges due messages again; `tick` does what is due now, `run` goes on for ever."""

    def __init__(
        self,
        database: Database,
        snapshot: CatalogueSnapshot,
        facts_reader: FactsReader,
        renderer: Renderer,
        suppression: HoldsApi,
        clock: Clock,
        metrics: OrchestratorMetrics,
        outbox_signal: WakeSignal,
        topics: Sequence[str],
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._facts_reader = facts_reader
        self._renderer = renderer
        self._hold_releaser = HoldReleaser(database, suppression, clock, metrics)
        self._clock = clock
        self._metrics = metrics
        self._outbox_signal = outbox_signal
        self._topics = frozenset(topics)

    async def run_until_stopped(self, stop: asyncio.Event, every: float = 0.25) -> None:
        """Tick until stopped, every `every` seconds; errors that may pass are waited out."""
        while not stop.is_set():
            try:
                busy = await self.tick(self._clock.now())
            except Transient as error:
                log("schedule_waits", level="warning", reason=error.code, detail=error.detail)
                busy = False
            if not busy:
                await _sleep_unless_stopped(stop, every)

    async def next_due(self) -> Instant | None:
        """The instant at which something is due next."""
        async with self._database.read() as tx:
            row = await tx.row("SELECT min(due) AS due FROM timer")
        return None if row is None else row.due

    async def tick(self, now: Instant, until: Instant | None = None) -> bool:
        """Judge a batch of what is due at or before `until` [now]; returns whether there was any."""
        await self.release_ended_holds()
        async with self._database.write() as tx:
            due = await self._claim_timers(tx, now if until is None else until)
            retries = [item for item in due if item.state == MessageState.RETRY]
            await _requeue_retries(tx, retries, now)
        waiting = [item for item in due if item.state != MessageState.RETRY]
        if waiting:
            await self._reevaluate(waiting, now)
        return bool(due)

    async def _claim_timers(self, tx: Tx, now: Instant) -> list[DueMessage]:
        real = await tx.now()
        rows = await tx.rows(
            "SELECT t.message_id, t.due FROM timer t WHERE t.due <= :now AND t.claimed_until <= :real "
            f"ORDER BY t.due, t.message_id LIMIT {BATCH_SIZE} {tx.for_update and 'FOR UPDATE SKIP LOCKED'}",
            now=now,
            real=real,
        )
        if not rows:
            return []
        ids = tx.list_parameter([row.message_id for row in rows])
        await tx.execute(
            f"UPDATE timer SET claimed_until = :until WHERE {tx.in_list('message_id', 'ids')}",
            until=real + TIMER_CLAIM,
            ids=ids,
        )
        found = await tx.rows(
            "SELECT m.message_id, m.customer, m.campaign, m.channel, m.state, m.since, m.event_source, m.event_id, "
            "t.due FROM message m JOIN timer t ON t.message_id = m.message_id "
            f"WHERE {tx.in_list('m.message_id', 'ids')}",
            ids=ids,
        )
        return [DueMessage._make(row) for row in found]

    async def _reevaluate(self, due: Sequence[DueMessage], now: Instant) -> None:
        async with self._database.read() as tx:
            catalogue = await self._snapshot.get_catalogue(tx)
            positions = {
                partition: offset
                for partition, offset in (await read_applied_offsets(tx)).items()
                if partition[0] in self._topics
            }
            keys = [(item.customer, item.event_source, item.event_id) for item in due]
            events = await store.load_events(tx, keys)
        customers = sorted({item.customer for item in due})
        facts = await self._facts_reader.read_facts(customers, catalogue, positions)
        complete_since = look_back_start(catalogue.policy, catalogue.campaigns.values(), now)
        async with self._database.read() as tx:
            ledgers = await store.load_ledgers(tx, customers, complete_since)
        requests_by_customer = self._evaluation_requests(due, catalogue, events)

        def evaluate(customer: str, requests: Sequence[EvaluationRequest], base: VersionedLedger) -> CustomerEvaluation:
            return evaluate_customer(
                customer, facts[customer], requests, base, now, complete_since, self._renderer.render_message
            )

        evaluations = [
            evaluate(customer, requests, commit.ledger_or_empty(ledgers, customer))
            for customer, requests in requests_by_customer.items()
        ]
        async with self._database.write() as tx:
            written = await commit.write_evaluations(
                tx,
                evaluations,
                now,
                complete_since,
                lambda evaluation, base: evaluate(evaluation.customer, evaluation.requests, base),
            )
        self._metrics.record_reevaluations(written)
        if any(evaluation.ready_messages for evaluation in written):
            self._outbox_signal.notify()

    def _evaluation_requests(
        self, due: Sequence[DueMessage], catalogue: Catalogue, events: dict[store.EventKey, bytes]
    ) -> dict[str, list[EvaluationRequest]]:
        ranked: dict[str, list[tuple[object, EvaluationRequest]]] = {}
        for item in due:
            triggered = self._build_triggered(item, catalogue, events)
            campaign = triggered.campaign
            order = make_rank(
                campaign.cls, campaign.priority, item.first_planned, campaign.key, item.message_id.encode()
            )
            request = EvaluationRequest(triggered_campaigns=(triggered,), expected_states={item.message_id: item.state})
            ranked.setdefault(item.customer, []).append(((item.due, order), request))
        return {
            customer: [request for _, request in sorted(requests, key=lambda pair: pair[0])]  # type: ignore[arg-type, return-value]
            for customer, requests in ranked.items()
        }

    def _build_triggered(
        self, item: DueMessage, catalogue: Catalogue, events: dict[store.EventKey, bytes]
    ) -> TriggeredCampaign:
        event = events[item.customer, item.event_source, item.event_id]
        return decode_triggered(event, item.campaign, item.channel, item.first_planned, catalogue, self._snapshot)

    async def release_ended_holds(self) -> None:
        """Give turns to messages whose holds stand no more. Raises Transient."""
        await self._hold_releaser.release_ended_holds()


async def _requeue_retries(tx: Tx, retries: Sequence[DueMessage], now: Instant) -> None:
    """Put messages that a provider did not take back into the outbox; the gate will judge them again."""
    if not retries:
        return
    await store.lock_and_load_ledgers(tx, [item.customer for item in retries])
    ids = [item.message_id for item in retries]
    rows = await tx.rows(
        "UPDATE message SET state = 'pending', until = NULL, updated = :now WHERE state = 'retry' "
        f"AND {tx.in_list('message_id', 'ids')} RETURNING message_id, customer, channel",
        ids=tx.list_parameter(ids),
        now=now,
    )
    await tx.bulk_insert(
        "outbox", OUTBOX_COLUMNS, [(shard_of(r.customer), r.channel, r.message_id, r.customer) for r in rows]
    )
    await tx.execute(f"DELETE FROM timer WHERE {tx.in_list('message_id', 'ids')}", ids=tx.list_parameter(ids))


async def _sleep_unless_stopped(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
