"""Processes, broker and database are killed under load, again and again: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.faults.history import receipts
from tests.faults.load import under_load
from tests.faults.processes import FACTS, ROLES
from tests.faults.world import World, world

ROUNDS = int(os.environ.get("TRIALS", "1"))
"""How often each process is killed."""
CUSTOMERS = 40
GOING = 2.0
"""Seconds of load between two faults."""


@pytest.fixture(scope="module")
def broker(server_directory: Path) -> Iterator[servers.Kafka]:
    """A broker that may be killed."""
    with servers.kafka(server_directory / "kills-kafka") as made:
        yield made


@pytest.fixture(scope="module")
def database(server_directory: Path) -> Iterator[servers.Postgres]:
    """A database that may be killed."""
    with servers.postgres(server_directory / "kills-postgres") as made:
        yield made


@pytest.fixture
def installed(broker: servers.Kafka, database: servers.Postgres, tmp_path: Path) -> Iterator[World]:
    """Every role in a process of its own."""
    with world(database, broker.bootstrap, tmp_path) as made:
        yield made


async def test_any_process_is_killed_and_comes_back(installed: World) -> None:
    """F1, F2."""
    cluster = installed.cluster
    cluster.behave("fail_after_accept", every=10)
    async with under_load(installed, CUSTOMERS):
        for name in (*ROLES, *FACTS) * ROUNDS:
            await asyncio.sleep(GOING)
            await asyncio.to_thread(cluster[name].restart)
        cluster["decide"].freeze()
        cluster["dispatch"].freeze()
        await asyncio.sleep(12)  # longer than a consumer's session and a shard's lease
        for name in ("decide", "dispatch"):
            cluster[name].thaw()
            if not cluster[name].alive:
                cluster[name].start()
    repeated = installed.evidence.repeats()
    assert len(receipts(cluster.receipts)) > 100
    assert max(repeated.values(), default=1) <= 4, repeated


async def test_broker_and_database_crash_under_load(installed: World, broker: servers.Kafka) -> None:
    """F4, F7."""
    async with under_load(installed, CUSTOMERS):
        await asyncio.sleep(GOING)
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(GOING)
        await asyncio.to_thread(broker.start)
        await asyncio.sleep(GOING)


async def test_the_database_crashes_under_load(installed: World, database: servers.Postgres) -> None:
    """F7."""
    async with under_load(installed, CUSTOMERS):
        for _ in range(2 * ROUNDS):
            await asyncio.sleep(GOING)
            await asyncio.to_thread(database.crash)
            await asyncio.sleep(GOING)
            await asyncio.to_thread(database.start)
        await asyncio.sleep(GOING)
    assert all(process.alive for process in installed.cluster.processes.values())


async def test_sigterm_under_load_ends_cleanly(installed: World) -> None:
    """F26, I33: exit code 0 within 15 s, no attempt left open, no message unknown."""
    cluster = installed.cluster
    async with under_load(installed, CUSTOMERS):
        for name in (*ROLES, *FACTS):
            await asyncio.sleep(GOING / 2)
            assert await asyncio.to_thread(cluster[name].terminate, 15.0) == 0, name
            cluster[name].start()
            await asyncio.to_thread(cluster[name].wait_ready)
    unknown = await installed.evidence.query("SELECT message_id FROM attempt WHERE outcome = 'unknown'")
    assert unknown == []
    assert installed.evidence.repeats() == {}
