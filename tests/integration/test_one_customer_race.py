"""F17: many workers, one customer, a cap of one: the ledger's row lock and version keep it, whatever the order."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from schemas.times import HOUR, SECOND
from services.orchestrator.policy.ledger import Ledger
from tests.support.delivery_evidence import Evidence
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, Worker, crew, record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TRIALS = int(os.environ.get("TRIALS", "500"))
AT_ONCE = 25
"""Customers of one batch, each a trial of its own."""
STORMS = max(TRIALS // 250, 1)
EVENTS = 6
ROUNDS = 1000
WORKERS = 4
CAP: dict[str, Any] = {
    "zone": "UTC",
    "topics": [{"key": "news", "name": "News"}],
    "frequency_caps": [
        {"id": "one-an-hour", "scope": {"classes": ["marketing"]}, "limit": 1, "window": {"rolling": "1h"},
         "on_exceed": "defer"}
    ],
}  # fmt: skip


@pytest.fixture
async def url(pg_url: str) -> str:
    """A database of the orchestrator's."""
    migrate(pg_url, "services.orchestrator")
    return pg_url


def contacts_at(ring: bytes, now: int) -> int:
    """Contacts that count at this instant."""
    return sum(contact.at <= now for contact in Ledger.unpack(ring))


@pytest.mark.timeout(600 + TRIALS)
async def test_of_messages_decided_at_once_one_goes(url: str, tmp_path: Path) -> None:
    """Prepared on the same ledger, applied at once: the losers are judged again and wait for their turn."""
    async with crew(url, tmp_path, CAP, WORKERS) as us:
        for trial in range(0, TRIALS, AT_ONCE):
            now, names = us.clock.now(), [f"c-{trial}-{n}" for n in range(AT_ONCE)]
            await asyncio.gather(
                *(
                    worker.decide(*(record(name, f"{name}-{n}", "low", now) for name in names))
                    for n, worker in enumerate(us.workers)
                )
            )
            async with us.database.read() as tx:
                messages = await tx.rows("SELECT customer, state FROM tracked_message WHERE created = :now", now=now)
                ledgers = await tx.rows(
                    f"SELECT ring FROM ledger WHERE {tx.in_list('customer', 'names')}", names=tx.list_parameter(names)
                )
            for name in names:
                states = Counter(row.state for row in messages if row.customer == name)
                assert states == {"pending": 1, "planned": WORKERS - 1}
            assert [contacts_at(row.ring, now) for row in ledgers] == [1] * AT_ONCE
            us.clock.advance(SECOND)


async def storm(us: Crew, dice: random.Random, names: list[str]) -> None:
    """Events, handovers, refusals and late timers, all at once, for many hours; then all comes to an end."""
    for n in range(EVENTS):
        jobs = []
        for worker in us.workers[:2]:
            some, now = dice.sample(names, len(names) // 2), us.clock.now()
            kinds = [dice.choice(("low", "high")) for _ in some]
            jobs.append(worker.decide(*(record(*each, now) for each in _events(some, kinds, f"{n}-{id(worker)}"))))
        await asyncio.gather(*jobs, *(_turn(worker, us.clock.now()) for worker in us.workers))
        us.clock.advance(dice.choice((SECOND, 20 * SECOND, HOUR // 2, HOUR, 3 * HOUR)))
    for _ in range(ROUNDS):
        if not any(await asyncio.gather(*(_turn(worker, us.clock.now()) for worker in us.workers))):
            due = await us.workers[0].scheduler.next_due()
            if due is None:
                return
            us.clock.set(max(due, us.clock.now()))


def _events(names: list[str], kinds: list[str], number: str) -> list[tuple[str, str, str]]:
    return [(name, f"{name}-{number}", kind) for name, kind in zip(names, kinds, strict=True)]


async def _turn(worker: Worker, now: int) -> bool:
    handed = await worker.hand_over()
    return await worker.scheduler.tick(now) or handed > 0


def too_close(taken: dict[str, list[int]], span: int) -> list[tuple[str, str]]:
    """Pairs of messages that were taken less than a span apart."""
    times = sorted((at, message) for message, all_at in taken.items() for at in all_at)
    return [(one, other) for (early, one), (late, other) in pairwise(times) if one != other and late - early < span]


@pytest.mark.timeout(600 + TRIALS)
async def test_refusals_and_late_timers_keep_the_cap(url: str, tmp_path: Path) -> None:
    """I24, I25: in ledger time nobody gets more than one an hour, everything ends, ledgers tell what messages do."""
    dice = random.Random(17)
    async with crew(url, tmp_path, CAP, WORKERS, seed=17) as us:
        us.provider.odds = {"accepted": 0.5, "rejected": 0.25, "retry": 0.15, "unknown": 0.1}
        for trial in range(STORMS):
            await storm(us, dice, [f"s-{trial}-{n}" for n in range(AT_ONCE)])
        for customer, taken in us.provider.taken.items():
            assert too_close(taken, HOUR) == [], customer
    evidence = Evidence({"orchestrator": url}, tmp_path / "receipts.jsonl", "", "")
    assert await evidence.unfinished() == []
    assert await evidence.false_ledgers() == []
