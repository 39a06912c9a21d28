"""Brings waiting messages back when they are due, and judges each again in full, on fresh facts.

A timer is claimed for a while with SKIP LOCKED, so any number of schedulers share the work; what decides is the state
of the message, checked under the lock of the customer's ledger when the judgement is written.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState
from services.kit.bus.fence import Nudge, committed
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions import commit, store
from services.orchestrator.decisions.evaluation import Question, Work, judge
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.decisions.store import Held, shard_of
from services.orchestrator.decisions.stored_trigger import touch_again
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.delivery.store import OUTBOX
from services.orchestrator.holds.release import Holds, Releases
from services.orchestrator.metrics import Metrics
from services.orchestrator.policy.horizon import look_back
from services.orchestrator.policy.match import Catalogue, Touch
from services.orchestrator.policy.rank import rank

CLAIM = 30 * SECOND
BATCH = 200


class Due(NamedTuple):
    """A message whose time has come."""

    message_id: str
    customer: str
    campaign: str
    channel: str
    state: str
    since: Instant | None
    event_source: str
    event_id: str
    due: Instant


class Scheduler:
    """Judges due messages again; `tick` does what is due now, `run` goes on for ever."""

    def __init__(
        self,
        database: Database,
        snapshot: Snapshot,
        gatherer: Gatherer,
        renderer: Renderer,
        suppression: Holds,
        clock: Clock,
        metrics: Metrics,
        nudge: Nudge,
        topics: Sequence[str],
    ) -> None:
        self._database = database
        self._snapshot = snapshot
        self._gatherer = gatherer
        self._renderer = renderer
        self._releases = Releases(database, suppression, clock, metrics)
        self._clock = clock
        self._metrics = metrics
        self._nudge = nudge
        self._topics = frozenset(topics)

    async def run(self, stop: asyncio.Event, every: float = 0.25) -> None:
        """Tick until stopped, every `every` seconds; errors that may pass are waited out."""
        while not stop.is_set():
            try:
                busy = await self.tick(self._clock.now())
            except Transient as error:
                log("schedule_waits", level="warning", reason=error.code, detail=error.detail)
                busy = False
            if not busy:
                await _pause(stop, every)

    async def next_due(self) -> Instant | None:
        """The instant at which something is due next."""
        async with self._database.read() as tx:
            row = await tx.row("SELECT min(due) AS due FROM timer")
        return None if row is None else row.due

    async def tick(self, now: Instant, until: Instant | None = None) -> bool:
        """Judge a batch of what is due at or before `until` [now]; returns whether there was any."""
        await self.wake_held()
        async with self._database.write() as tx:
            due = await self._claim(tx, now if until is None else until)
            retried = [item for item in due if item.state == MessageState.RETRY]
            await _hand_over_again(tx, retried, now)
        waiting = [item for item in due if item.state != MessageState.RETRY]
        if waiting:
            await self._judge_again(waiting, now)
        return bool(due)

    async def _claim(self, tx: Tx, now: Instant) -> list[Due]:
        real = await tx.now()
        rows = await tx.rows(
            "SELECT t.message_id, t.due FROM timer t WHERE t.due <= :now AND t.claimed_until <= :real "
            f"ORDER BY t.due, t.message_id LIMIT {BATCH} {tx.for_update and 'FOR UPDATE SKIP LOCKED'}",
            now=now,
            real=real,
        )
        if not rows:
            return []
        ids = tx.array([row.message_id for row in rows])
        await tx.run(
            f"UPDATE timer SET claimed_until = :until WHERE {tx.among('message_id', 'ids')}",
            until=real + CLAIM,
            ids=ids,
        )
        found = await tx.rows(
            "SELECT m.message_id, m.customer, m.campaign, m.channel, m.state, m.since, m.event_source, m.event_id, "
            "t.due FROM message m JOIN timer t ON t.message_id = m.message_id "
            f"WHERE {tx.among('m.message_id', 'ids')}",
            ids=ids,
        )
        return [Due._make(row) for row in found]

    async def _judge_again(self, due: Sequence[Due], now: Instant) -> None:
        async with self._database.read() as tx:
            catalogue = await self._snapshot.current(tx)
            positions = {place: offset for place, offset in (await committed(tx)).items() if place[0] in self._topics}
            keys = [(item.customer, item.event_source, item.event_id) for item in due]
            events = await store.stored_events(tx, keys)
        customers = sorted({item.customer for item in due})
        facts = await self._gatherer.facts(customers, catalogue, positions)
        since = look_back(catalogue.policy, catalogue.campaigns.values(), now)
        async with self._database.read() as tx:
            ledgers = await store.ledgers(tx, customers, since)
        asked = self._questions(due, catalogue, events)

        def judged(customer: str, questions: Sequence[Question], held: Held) -> Work:
            return judge(customer, facts[customer], questions, held, now, since, self._renderer.render)

        works = [
            judged(customer, questions, commit.held_by(ledgers, customer)) for customer, questions in asked.items()
        ]
        async with self._database.write() as tx:
            written = await commit.write(
                tx, works, now, since, lambda work, held: judged(work.customer, work.questions, held)
            )
        self._metrics.judged_again(written)
        if any(work.ready for work in written):
            self._nudge.notify()

    def _questions(
        self, due: Sequence[Due], catalogue: Catalogue, events: dict[store.EventKey, bytes]
    ) -> dict[str, list[Question]]:
        ranked: dict[str, list[tuple[object, Question]]] = {}
        for item in due:
            touch = self._touch(item, catalogue, events)
            campaign = touch.campaign
            order = rank(campaign.cls, campaign.priority, item.since, campaign.key, item.message_id.encode())
            question = Question(touches=(touch,), expected={item.message_id: item.state})
            ranked.setdefault(item.customer, []).append(((item.due, order), question))
        return {
            customer: [question for _, question in sorted(questions, key=lambda pair: pair[0])]  # type: ignore[arg-type, return-value]
            for customer, questions in ranked.items()
        }

    def _touch(self, item: Due, catalogue: Catalogue, events: dict[store.EventKey, bytes]) -> Touch:
        event = events[item.customer, item.event_source, item.event_id]
        return touch_again(event, item.campaign, item.channel, item.since, catalogue, self._snapshot)

    async def wake_held(self) -> None:
        """Give turns to messages whose holds stand no more. Raises Transient."""
        await self._releases.wake()


async def _hand_over_again(tx: Tx, retried: Sequence[Due], now: Instant) -> None:
    """Put messages that a provider did not take back into the outbox; the gate will judge them again."""
    if not retried:
        return
    await store.lock_and_read(tx, [item.customer for item in retried])
    ids = [item.message_id for item in retried]
    rows = await tx.rows(
        "UPDATE message SET state = 'pending', until = NULL, updated = :now WHERE state = 'retry' "
        f"AND {tx.among('message_id', 'ids')} RETURNING message_id, customer, channel",
        ids=tx.array(ids),
        now=now,
    )
    await tx.insert("outbox", OUTBOX, [(shard_of(r.customer), r.channel, r.message_id, r.customer) for r in rows])
    await tx.run(f"DELETE FROM timer WHERE {tx.among('message_id', 'ids')}", ids=tx.array(ids))


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
