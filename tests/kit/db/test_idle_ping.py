"""A connection that died while it lay idle is replaced before anybody notices; one just used is not asked."""

from __future__ import annotations

import asyncpg
import pytest

from services.kit.db import idle_ping
from services.kit.db.database import Database
from services.kit.errors import Transient

pytestmark = pytest.mark.wired

MINE = "SELECT pg_backend_pid() AS pid"


async def backend(database: Database) -> int:
    async with database.read() as tx:
        row = await tx.row(MINE)
    assert row is not None
    return int(row.pid)


async def kill(url: str, pid: int) -> None:
    other = await asyncpg.connect(url.replace("+asyncpg", ""))
    await other.execute("SELECT pg_terminate_backend($1)", pid)
    while await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid):
        pass
    await other.close()


async def test_a_connection_that_died_idle_is_replaced(pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_ping, "IDLE_SECONDS", 0.0)
    database = Database.open(pg_url, pool=1)
    first = await backend(database)
    assert await backend(database) == first
    await kill(pg_url, first)
    assert await backend(database) != first
    await database.close()


async def test_a_connection_just_used_is_taken_as_it_is(pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_ping, "IDLE_SECONDS", 3600.0)
    database = Database.open(pg_url, pool=1)
    await kill(pg_url, await backend(database))
    with pytest.raises(Transient):
        await backend(database)
    await backend(database)
    await database.close()
