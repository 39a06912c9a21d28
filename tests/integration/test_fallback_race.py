"""Campaigns that fall back under many workers: schedulers, dispatchers, receipts and opt-outs at once.

Whatever the order, nobody is written to on a second channel while the first may still be confirmed, or after it is; of
the evaluations of one waiting message one counts; and everything comes to an end.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.receipt import Receipt, ReceiptKind
from schemas.times import HOUR, MINUTE, SECOND
from services.orchestrator.policy.ledger import Ledger
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, Worker, crew, record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SEEDS = range(int(os.environ.get("FALLBACK_SEEDS", "2")))
CHAIN = ("push", "email", "sms")
FALLBACK_AFTER = 30 * MINUTE
FREE: dict[str, Any] = {"zone": "UTC", "topics": [{"key": "news", "name": "News"}]}
CUSTOMERS = 20
STEPS = 14
ROUNDS = 2000
ENDED = {"accepted", "rejected", "suppressed", "failed", "unknown"}
KINDS: tuple[tuple[ReceiptKind, bool], ...] = (("delivered", False), ("bounced", True), ("bounced", False))


@pytest.fixture
async def url(database_url: str) -> str:
    """A database of the orchestrator's."""
    migrate(database_url, "services.orchestrator")
    return database_url


class Statements:
    """What the provider says of messages that it has taken, once each, at random. `said`: by message, with the time."""

    def __init__(self, us: Crew, dice: random.Random) -> None:
        self._us = us
        self._dice = dice
        self.said: dict[str, tuple[ReceiptKind, bool, int]] = {}

    async def say_some(self, worker: Worker) -> None:
        """Statements about some of the messages, several of them twice."""
        taken = [message for messages in self._us.provider.taken.values() for message in messages]
        receipts: list[Receipt] = []
        for message in taken:
            if message not in self.said and self._dice.random() < 0.2:
                kind, permanent = self._dice.choice(KINDS)
                now = self._us.clock.now()
                self.said[message] = (kind, permanent, now)
                receipts += [Receipt(f"r-{message}", message, kind, now, permanent)] * self._dice.choice((1, 2))
        if receipts:
            await worker.intake.take("webhook", receipts)


class Sent(NamedTuple):
    """What the provider took of one event on one channel: the first and the last time."""

    message_id: str
    first: int
    last: int


async def storm(us: Crew, dice: random.Random, statements: Statements) -> None:
    """Everything at once for many hours; then all comes to an end."""
    names = [f"c-{number}" for number in range(CUSTOMERS)]
    for step in range(STEPS):
        now, jobs = us.clock.now(), []
        for number, worker in enumerate(us.workers[:2]):
            some = dice.sample(names, 5)
            records = [record(name, f"{name}-{step}-{number}", "chain", now) for name in some]
            jobs.append(worker.decide(*records) if number else deliver(worker, records))
        if dice.random() < 0.3:
            us.others.without.setdefault(dice.choice(names), set()).add(dice.choice(CHAIN))
        await asyncio.gather(*jobs, *turns(us, dice, statements))
        us.clock.advance(dice.choice((0, SECOND, 20 * SECOND, 10 * MINUTE, FALLBACK_AFTER, HOUR)))
    for _ in range(ROUNDS):
        if not any(await asyncio.gather(*turns(us, dice, statements))):
            due = await us.workers[0].scheduler.next_due()
            if due is None:
                return
            if due <= us.clock.now():  # claimed by somebody
                await asyncio.sleep(0.05)
            us.clock.set(max(due, us.clock.now()))
    raise AssertionError("it does not come to an end")


def turns(us: Crew, dice: random.Random, statements: Statements) -> list[Any]:
    """A turn of every worker: its channels, its scheduler and what the provider says, side by side."""
    return [turn(worker, us.clock.now(), statements, dice.random() < 0.5) for worker in us.workers]


async def turn(worker: Worker, now: int, statements: Statements, speaks: bool) -> bool:
    async def speak() -> int:
        if speaks:
            await statements.say_some(worker)
        return 0

    done = await asyncio.gather(
        *(worker.dispatcher.hand_over_batch(line) for line in worker.dispatcher.lines),
        worker.scheduler.tick(now),
        speak(),
    )
    return any(done)


async def deliver(worker: Worker, records: Sequence[Any]) -> None:
    """Decide and hand over in one process."""
    await worker.go(await worker.decide_and_mark(*records))


async def sent_by_event(us: Crew) -> dict[tuple[str, str], list[Sent]]:
    """What was taken, by customer and event, in order of time."""
    async with us.database.read() as tx:
        events = {row.message_id: row.event_id for row in await tx.rows("SELECT message_id, event_id FROM message")}
    found: dict[tuple[str, str], list[Sent]] = {}
    for customer, messages in us.provider.taken.items():
        for message, times in messages.items():
            found.setdefault((customer, events[message]), []).append(Sent(message, min(times), max(times)))
    return {key: sorted(sent, key=lambda each: each.first) for key, sent in found.items()}


def too_early(sent: Sequence[Sent], statements: Statements, decided: dict[str, int], refused: set[str]) -> list[str]:
    """Messages on a second channel that nothing gave a reason for: the one before had its time, and no end."""
    wrong = []
    for before, after in pairwise(sent):
        kind, permanent, at = statements.said.get(before.message_id, ("", False, 0))
        if kind == "delivered" and at < decided[after.message_id]:
            wrong.append(f"{after} although {before} was confirmed at {at}")
        ended = (kind == "bounced" and permanent and at <= after.first) or before.message_id in refused
        if not ended and after.first < before.first + FALLBACK_AFTER:
            wrong.append(f"{after} before the time of {before} was over")
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
async def test_one_channel_after_the_other_whoever_comes_first(url: str, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with crew(url, tmp_path, FREE, 4, seed=seed, chain=CHAIN) as us:
        us.provider.odds = {"accepted": 0.7, "rejected": 0.1, "retry": 0.1, "unknown": 0.1}
        statements = Statements(us, dice)
        await storm(us, dice, statements)
        async with us.database.read() as tx:
            messages = await tx.rows("SELECT message_id, customer, state FROM tracked_message")
            sends = await tx.rows("SELECT message_id, max(time) AS at, count(*) AS times FROM decision "
                                  "WHERE outcome = 'send' GROUP BY message_id")  # fmt: skip
            cancelled = await tx.rows("SELECT message_id FROM attempt WHERE outcome = 'cancelled'")
            left = [await tx.rows(f"SELECT * FROM {table}") for table in ("timer", "parked", "outbox")]
            ledgers = {
                row.customer: Ledger.unpack(row.ring) for row in await tx.rows("SELECT customer, ring FROM ledger")
            }
        states = {row.message_id: row.state for row in messages}
        decided = {row.message_id: row.at for row in sends}
        ended = {id for id, state in states.items() if state in ("rejected", "failed")}
        by_event = await sent_by_event(us)
        wrong = {key: too_early(sent, statements, decided, ended) for key, sent in by_event.items()}
    assert {key: found for key, found in wrong.items() if found} == {}
    assert {id: state for id, state in states.items() if state not in ENDED} == {}
    assert left == [[], [], []]
    # Each time a message was allowed but once, somebody's recheck had taken it back.
    again = Counter(row.message_id for row in cancelled)
    assert {row.message_id for row in sends if row.times > 1 + again[row.message_id]} == set()
    assert sum(len(sent) > 1 for sent in by_event.values()) > 5
    assert sum(len(sent) == 1 for sent in by_event.values()) > 5
    for customer, ledger in ledgers.items():
        held = {contact.message_id for contact in ledger}
        assert held == {row.message_id for row in messages if row.customer == customer
                        and row.state in ("accepted", "unknown")}  # fmt: skip
