"""F17: many workers, one customer, a cap of one: the ledger's row lock and version keep it, whatever the order."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.times import HOUR, SECOND
from services.kit.db import Database
from services.kit.errors import DatabaseBusy
from services.kit.migrate import upgrade
from services.orchestrator.deciding.ledger import Ledger
from tests.faults.history import Evidence
from tests.integration.workers import Crew, Worker, crew, record

TRIALS = int(os.environ.get("TRIALS", "500"))
STORMS = max(TRIALS // 25, 1)
EVENTS = 6
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
    await upgrade(pg_url, "services.orchestrator")
    return pg_url


async def planned_now(database: Database, customer: str, now: int) -> int:
    """Contacts that count at this instant."""
    async with database.read() as tx:
        row = await tx.row("SELECT ring FROM ledger WHERE customer = :customer", customer=customer)
    assert row is not None
    return sum(contact.at <= now for contact in Ledger.unpack(row.ring))


@pytest.mark.timeout(600)
async def test_of_messages_decided_at_once_one_goes(url: str, tmp_path: Path) -> None:
    """Prepared on the same ledger, applied at once: the losers are judged again and wait for their turn."""
    async with crew(url, tmp_path, CAP, WORKERS) as us:
        for trial in range(TRIALS):
            name, now = f"c-{trial}", us.clock.now()
            await asyncio.gather(
                *(worker.decide(record(name, f"{name}-{n}", "low", now)) for n, worker in enumerate(us.workers))
            )
            async with us.database.read() as tx:
                rows = await tx.rows("SELECT state FROM message WHERE customer = :name", name=name)
            assert Counter(row.state for row in rows) == {"pending": 1, "planned": WORKERS - 1}
            assert await planned_now(us.database, name, now) == 1
            us.clock.advance(SECOND)


async def storm(us: Crew, dice: random.Random, name: str) -> None:
    """Events, handovers, refusals and late timers of one customer, all at once, for many hours."""
    for n in range(EVENTS):
        kind = dice.choice(("low", "high"))
        jobs = [dice.choice(us.workers).decide(record(name, f"{name}-{n}-{m}", kind, us.clock.now())) for m in range(2)]
        await asyncio.gather(*jobs, *(_turn(worker, us.clock.now()) for worker in us.workers))
        us.clock.advance(dice.choice((SECOND, 20 * SECOND, HOUR // 2, HOUR, 3 * HOUR)))
    for _ in range(200):
        busy = [await _turn(worker, us.clock.now()) for worker in us.workers]
        if not any(busy):
            due = await us.workers[0].scheduler.next_due()
            if due is None:
                return
            us.clock.set(max(due, us.clock.now()))


async def _turn(worker: Worker, now: int) -> bool:
    handed = await worker.dispatcher.round("push")
    try:
        return await worker.scheduler.tick(now) or handed > 0
    except DatabaseBusy:
        return True


@pytest.mark.timeout(600)
async def test_refusals_and_late_timers_keep_the_cap(url: str, tmp_path: Path) -> None:
    """I24, I25: in ledger time nobody gets more than one an hour, everything ends, ledgers tell what messages do."""
    dice = random.Random(17)
    async with crew(url, tmp_path, CAP, WORKERS, seed=17) as us:
        us.provider.odds = {"accepted": 0.5, "rejected": 0.25, "retry": 0.15, "unknown": 0.1}
        for trial in range(STORMS):
            await storm(us, dice, f"s-{trial}")
        for name, times in us.provider.when.items():
            gaps = [later - earlier for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)]
            assert all(gap == 0 or gap >= HOUR for gap in gaps), (name, sorted(times))
    evidence = Evidence({"orchestrator": url}, tmp_path / "receipts.jsonl", "", "")
    assert await evidence.unfinished() == []
    assert await evidence.false_ledgers() == []
