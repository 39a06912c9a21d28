"""The rate of an adapter over all processes: places in one line, never more than a second's worth ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.delivery.adapter_pace import Places, take_places

pytestmark = pytest.mark.wired

START = 1_000_000 * SECOND


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=4)
    yield opened
    await opened.close()


async def take(database: Database, rate: float, most: int, seconds: float = 0.0, adapter: str = "ses") -> Places:
    async with database.write() as tx:
        return await take_places(tx, adapter, rate, most, START + int(seconds * SECOND))


async def test_a_second_of_places_may_be_taken_at_once(database: Database) -> None:
    assert await take(database, 10, 4) == (4, 0.0)
    assert await take(database, 10, 500) == (6, 0.0)
    nothing = await take(database, 10, 500)
    assert nothing.taken == 0
    assert nothing.wait == pytest.approx(0.1)


async def test_places_come_back_with_time(database: Database) -> None:
    assert (await take(database, 10, 500)).taken == 10
    assert (await take(database, 10, 500, seconds=0.35)).taken == 3
    assert (await take(database, 10, 500, seconds=100)).taken == 10  # what was not used is not saved up


async def test_a_rate_below_one_a_second_is_kept(database: Database) -> None:
    assert (await take(database, 0.25, 5)).taken == 1
    assert (await take(database, 0.25, 5, seconds=3.9)).taken == 0
    assert (await take(database, 0.25, 5, seconds=4.0)).taken == 1


async def test_each_adapter_has_a_line_of_its_own(database: Database) -> None:
    assert (await take(database, 10, 500)).taken == 10
    assert (await take(database, 10, 500, adapter="news")).taken == 10


async def test_processes_share_one_line(database: Database) -> None:
    taken = await asyncio.gather(*(take(database, 50, 7, seconds=0.0) for _ in range(20)))
    assert sum(places.taken for places in taken) == 50
