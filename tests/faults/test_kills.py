"""Processes, broker and database are killed under load, again and again: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.support import servers
from tests.support.event_load import under_load
from tests.support.installation import Installation
from tests.support.service_processes import FACTS, ROLES, guest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROUNDS = int(os.environ.get("TRIALS", "1"))
"""How often each process is killed."""
CUSTOMERS = 40
GOING = 2.0
"""Seconds of load between two faults."""
FREEZE = 14.0
"""Seconds; longer than a consumer's session and a shard's lease."""


async def all_ready(world: Installation) -> None:
    """Return once every process says that it is ready."""
    for process in world.cluster.processes.values():
        await asyncio.to_thread(process.wait_ready)


async def test_any_process_is_killed_and_comes_back(installed: Installation) -> None:
    """F1, F2."""
    cluster = installed.cluster
    cluster.behave("fail_after_accept", every=10)
    async with under_load(installed, CUSTOMERS, "killed"):
        for name in (*ROLES, *FACTS) * ROUNDS:
            await asyncio.sleep(GOING)
            cluster[name].kill()
            cluster[name].start()
        await all_ready(installed)
    cluster.behave()
    repeated = installed.evidence.repeats()
    assert repeated
    assert max(repeated.values()) <= 4, repeated


async def test_frozen_processes_wake_up_as_zombies(installed: Installation) -> None:
    """F2: a reader longer than its session, a dispatcher longer than its lease; others take over meanwhile."""
    cluster = installed.cluster
    async with under_load(installed, CUSTOMERS, "zombie"):
        helpers = [guest(cluster, f"{name}-2") for name in ("decide", "dispatch")]
        for helper in helpers:
            helper.start()
            await asyncio.to_thread(helper.wait_ready)
        for name in ("decide", "dispatch"):
            cluster[name].freeze()
        await asyncio.sleep(FREEZE)
        for name in ("decide", "dispatch"):
            cluster[name].thaw()
        await asyncio.sleep(GOING)
        for helper in helpers:
            assert await asyncio.to_thread(helper.terminate, 15.0) == 0
            cluster.dismiss(helper.name)
        for name in ("decide", "dispatch"):
            if not cluster[name].alive:  # its own alarm has killed it between check and first byte
                cluster[name].start()
        await all_ready(installed)


async def test_the_broker_crashes_under_load(installed: Installation, broker: servers.Kafka) -> None:
    """F4."""
    async with under_load(installed, CUSTOMERS, "broker"):
        for _ in range(ROUNDS):
            await asyncio.sleep(GOING)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(GOING)
            await asyncio.to_thread(broker.start)
        await asyncio.sleep(GOING)
    assert_all_alive(installed)


async def test_the_database_crashes_under_load(installed: Installation, database: servers.Postgres) -> None:
    """F7."""
    async with under_load(installed, CUSTOMERS, "database"):
        for _ in range(2 * ROUNDS):
            await asyncio.sleep(GOING)
            await asyncio.to_thread(database.crash)
            await asyncio.sleep(GOING)
            await asyncio.to_thread(database.start)
        await asyncio.sleep(GOING)
    assert_all_alive(installed)


async def test_sigterm_under_load_ends_cleanly(installed: Installation) -> None:
    """F26, I33: exit code 0 within 15 s, no attempt left open, no message unknown."""
    cluster, evidence = installed.cluster, installed.evidence
    async with under_load(installed, CUSTOMERS, "sigterm"):
        for name in (*ROLES, *FACTS):
            await asyncio.sleep(GOING / 2)
            assert await asyncio.to_thread(cluster[name].terminate, 15.0) == 0, name
            cluster[name].start()
            await asyncio.to_thread(cluster[name].wait_ready)
    unknown = await evidence.query("SELECT FROM attempt WHERE outcome = 'unknown' AND customer LIKE 'sigterm-%'")
    assert unknown == []
    assert not any(receipt.customer.startswith("sigterm-") for receipt in evidence.repeated())


def assert_all_alive(world: Installation) -> None:
    """Nobody gave up because a server was away."""
    assert [name for name, process in world.cluster.processes.items() if not process.alive] == []
