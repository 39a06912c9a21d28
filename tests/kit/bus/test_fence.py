"""The causal fence: positions are looked up in the database, and waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.bus.partition_lease import OffsetAdvance, advance_offsets, claim_partitions, read_applied_offsets
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.errors import FenceTimeout
from tests.support.recording_consumer import open_database

pytestmark = pytest.mark.wired

P0, P1 = Partition("events", 0), Partition("events", 1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url)
    async with opened.write() as tx:
        await claim_partitions(tx, [P0, P1])
    yield opened
    await opened.close()


async def apply(database: Database, partition: Partition, upto: int, epoch: int = 1) -> bool:
    async with database.write() as tx:
        return bool(await advance_offsets(tx, [OffsetAdvance(*partition, epoch, upto - 1, upto)]))


async def test_what_is_applied_passes_at_once(database: Database) -> None:
    await apply(database, P0, 5)
    await wait_until_applied(database, {P0: 5, P1: 0}, 0, WakeSignal())
    await wait_until_applied(database, {}, 0, WakeSignal())


async def test_what_is_not_applied_times_out(database: Database) -> None:
    await apply(database, P0, 5)
    began = time.monotonic()
    with pytest.raises(FenceTimeout):
        await wait_until_applied(database, {P0: 6}, 0.1, WakeSignal())
    assert 0.1 <= time.monotonic() - began < 1
    with pytest.raises(FenceTimeout):
        await wait_until_applied(database, {P0: 5, Partition("other", 0): 1}, 0, WakeSignal())


async def test_a_nudge_or_another_replica_lets_it_pass(database: Database) -> None:
    for upto in (1, 2):
        nudge = WakeSignal()
        waiting = asyncio.create_task(wait_until_applied(database, {P0: upto}, 5, nudge))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await apply(database, P0, upto)
        if upto == 1:
            nudge.notify()
        await asyncio.wait_for(waiting, 1)


async def test_an_older_epoch_moves_nothing_and_offsets_never_go_back(database: Database) -> None:
    assert await apply(database, P0, 10)
    assert not await apply(database, P0, 10)
    assert not await apply(database, P0, 9)
    async with database.write() as tx:
        leases = await claim_partitions(tx, [P0])
    assert (leases[P0].epoch, leases[P0].applied_offset) == (2, 10)
    assert not await apply(database, P0, 11, epoch=1)
    assert await apply(database, P0, 30, epoch=2)
    async with database.read() as tx:
        assert await read_applied_offsets(tx) == {P0: 30, P1: 0}


async def test_partitions_of_a_batch_move_as_far_as_each_may(database: Database) -> None:
    async with database.write() as tx:
        await claim_partitions(tx, [P1])
    async with database.write() as tx:
        assert await advance_offsets(tx, [OffsetAdvance(*P0, 1, 0, 3), OffsetAdvance(*P1, 1, 0, 3)]) == {P0}
