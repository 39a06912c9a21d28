"""The dispatcher: leases, the outbox of its shards, and what it leaves behind when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.kit.db.migrate import upgrade_schema
from tests.support.worker_crew import Crew, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {"zone": "Etc/UTC", "topics": [{"key": "news", "name": "News"}]}


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[Crew]:
    """One worker on SQLite."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'dispatch.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as made:
        yield made


async def rows(us: Crew, sql: str) -> list[tuple[Any, ...]]:
    async with us.database.read() as tx:
        return [tuple(row) for row in await tx.rows(sql)]


async def test_an_empty_outbox_claims_nothing(us: Crew) -> None:
    assert await us.workers[0].hand_over() == 0


async def test_what_lies_in_the_outbox_is_delivered_in_its_order(us: Crew) -> None:
    for name in ("a", "b", "c"):
        await us.workers[0].decide(record(name, f"of-{name}", "low", us.clock.now()))
    assert await us.workers[0].hand_over() == 3
    assert list(us.provider.taken) == ["a", "b", "c"]
    assert await rows(us, "SELECT DISTINCT state FROM tracked_message") == [("accepted",)]
    assert await rows(us, "SELECT seq FROM outbox") == []
    assert await us.workers[0].hand_over() == 0


async def test_a_row_whose_message_is_no_longer_pending_is_cleared_away(us: Crew) -> None:
    await us.workers[0].decide(record("a", "e-1", "low", us.clock.now()))
    async with us.database.write() as tx:
        await tx.execute("UPDATE message SET state = 'suppressed'")
    assert await us.workers[0].hand_over() == 0
    assert await rows(us, "SELECT seq FROM outbox") == []
    assert us.provider.taken == {}


async def test_it_serves_its_channels_until_it_is_stopped_and_gives_its_shards_back(us: Crew) -> None:
    worker, stop = us.workers[0], asyncio.Event()
    running = asyncio.create_task(worker.dispatcher.run_until_stopped(stop))
    await worker.decide(record("a", "e-1", "low", us.clock.now()))
    async with asyncio.timeout(30):
        while not us.provider.taken:
            await asyncio.sleep(0.01)
    stop.set()
    await running
    assert await rows(us, "SELECT DISTINCT owner FROM shard_lease") == [("",)]
    assert await rows(us, "SELECT owner FROM dispatcher") == []


async def test_once_stopped_what_is_claimed_is_given_back_to_be_tried_again(us: Crew) -> None:
    worker = us.workers[0]
    await worker.decide(record("a", "e-1", "low", us.clock.now()))
    worker.dispatcher._delivery.refuse_new()
    assert await worker.hand_over() == 1
    assert await rows(us, "SELECT state, detail FROM tracked_message") == [("retry", "no_facts")]
    assert us.provider.taken == {}
