"""Whoever listens is woken by commits, of this process and, on PostgreSQL, of others, also after a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from services.kit.db.database import Database

pytestmark = pytest.mark.wired

CHANNEL = "Rows written"
"""With a blank and a capital: names of channels are quoted."""


class Listener:
    """Somebody who listens."""

    def __init__(self, database: Database, channel: str = CHANNEL) -> None:
        self._signal = database.notifications.listen(channel)
        self._next = self._signal.next_event()

    async def woken(self) -> None:
        """Wait for the next time."""
        await asyncio.wait_for(self._next.wait(), 10)
        self._next = self._signal.next_event()

    def is_woken(self) -> bool:
        """Whether it has been woken since `woken` returned."""
        return self._next.is_set()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def others(pg_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """One database as two processes have opened it."""
    made = Database.open(pg_url), Database.open(pg_url)
    yield made
    for each in made:
        await each.close()


async def notify(database: Database, *channels: str) -> None:
    async with database.write() as tx:
        for channel in channels or (CHANNEL,):
            await tx.notify(channel)


async def test_a_commit_wakes_the_listeners_of_its_own_process_and_nobody_else(database: Database) -> None:
    here, elsewhere = Listener(database), Listener(database, "another")
    async with database.write() as tx:
        await tx.notify(CHANNEL)
        assert not here.is_woken()  # the rows cannot be seen yet
    assert here.is_woken() and not elsewhere.is_woken()


async def test_what_is_rolled_back_wakes_nobody(database: Database) -> None:
    listener = Listener(database)
    with suppress(KeyError):
        async with database.write() as tx:
            await tx.notify(CHANNEL)
            raise KeyError
    assert not listener.is_woken()


async def test_a_commit_of_another_process_wakes_while_probes_run(others: tuple[Database, Database]) -> None:
    writer, reader = others
    listener = Listener(reader)
    await notify(writer)
    await reader.probe()
    await listener.woken()  # for what came before it listened
    await notify(writer)
    await listener.woken()
    await notify(writer, "another")
    await notify(writer)
    await listener.woken()
    await asyncio.sleep(0.2)
    assert not listener.is_woken()


async def test_a_lost_connection_is_replaced_by_the_next_probe(others: tuple[Database, Database]) -> None:
    writer, reader = others
    listener = Listener(reader)
    await reader.probe()
    await listener.woken()
    async with writer.write() as tx:
        await tx.row(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query = 'SELECT 1' AND pid <> pg_backend_pid()"
        )
    await notify(writer)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        await reader.probe()
    assert not listener.is_woken()
    await reader.probe()
    await listener.woken()  # what was notified meanwhile has not been heard
    await notify(writer)
    await listener.woken()
