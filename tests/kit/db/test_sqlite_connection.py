"""A statement on SQLite is one call to its connection's thread, and no transaction outlives its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.kit.db.database import Database

pytestmark = pytest.mark.wired


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'one.db'}", pool=1)
    async with opened.write() as tx:
        await tx.execute("CREATE TABLE thing (name text PRIMARY KEY)")
    yield opened
    await opened.close()


async def calls_to_the_thread(database: Database) -> list[object]:
    """A list that grows with every call to the thread of the only connection."""
    calls: list[object] = []
    async with database._engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
    driver._tx = _Watched(driver._tx, calls)
    return calls


class _Watched:
    """The queue of a connection's thread, which notes what is put into it."""

    def __init__(self, queue: Any, calls: list[object]) -> None:
        self._queue, self._calls = queue, calls

    def put_nowait(self, item: object) -> None:
        self._calls.append(item)
        self._queue.put_nowait(item)


async def test_a_transaction_calls_once_for_each_statement_and_to_begin_and_to_end(database: Database) -> None:
    calls = await calls_to_the_thread(database)
    async with database.write() as tx:
        await tx.bulk_insert("thing", ["name"], [("a",), ("b",)])
        assert await tx.execute("UPDATE thing SET name = 'c' WHERE name = 'a'") == 1
        assert {row.name for row in await tx.rows("SELECT name FROM thing")} == {"b", "c"}
    assert len(calls) == 5


async def test_an_error_leaves_no_transaction_behind(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as tx:
            await tx.execute("INSERT INTO thing VALUES ('lost')")
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await fail()
    async with database.read() as tx:
        assert await tx.rows("SELECT name FROM thing") == []


async def test_a_transaction_that_was_cancelled_at_any_moment_is_rolled_back(database: Database) -> None:
    async def write() -> None:
        async with database.write() as tx:
            await tx.execute("INSERT INTO thing VALUES ('lost')")
            await asyncio.sleep(60)

    for rounds in range(1, 30):  # of the event loop, so also while BEGIN is still on its way to the thread
        task = asyncio.create_task(write())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with database.write() as tx, asyncio.timeout(5):
            assert await tx.rows("SELECT name FROM thing") == []
