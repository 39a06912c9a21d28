"""Ledgers that are written on the versions that they were read with, without being locked first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions import store
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.policy.ledger import Ledger

pytestmark = pytest.mark.wired

NAMES = [f"c-{number}" for number in range(40)]
LATER = Ledger.empty().forget(7)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=3)
    async with opened.write() as tx:
        await store.insert_empty_ledgers(tx, NAMES)
    yield opened
    await opened.close()


async def versions(database: Database) -> dict[str, int]:
    async with database.read() as tx:
        return {name: each.version for name, each in (await store.load_ledgers(tx, NAMES)).items()}


def read_as(names: Sequence[str], version: int) -> dict[str, VersionedLedger]:
    return {name: VersionedLedger(version, LATER) for name in names}


async def test_all_are_written_or_none(database: Database) -> None:
    async with database.write() as tx:
        assert await store.save_unlocked_ledgers(tx, read_as(NAMES[:2], 0))
    assert set((await versions(database)).items()) >= {("c-0", 1), ("c-1", 1), ("c-2", 0)}
    async with database.write() as tx:
        async with tx.savepoint() as take_back:
            assert not await store.save_unlocked_ledgers(tx, read_as(NAMES[1:4], 0))
            await take_back()
        assert await store.save_unlocked_ledgers(tx, read_as(NAMES[3:5], 0))
    after = await versions(database)
    assert [after[name] for name in NAMES[:5]] == [1, 1, 0, 1, 1]


async def test_a_ledger_that_is_gone_is_not_written(database: Database) -> None:
    async with database.write() as tx:
        assert not await store.save_unlocked_ledgers(tx, read_as(["c-0", "erased"], 0))


async def test_writers_who_meet_wait_for_each_other_in_one_order(database: Database) -> None:
    """Whatever the order in which each of them names the customers: a deadlock would end one of them."""
    start = random.Random(7)

    async def write(known: dict[str, int]) -> bool:
        names = list(known)
        start.shuffle(names)
        async with database.write() as tx:
            written = await store.save_unlocked_ledgers(
                tx, {name: VersionedLedger(known[name], LATER) for name in names}
            )
            await asyncio.sleep(0.001)
        return written

    for _ in range(60):
        known = await versions(database)
        outcomes = await asyncio.gather(write(known), write(known))
        assert sorted(outcomes) == [False, True]
