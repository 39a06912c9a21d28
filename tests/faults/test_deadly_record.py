"""A record that ends the process which decides it becomes one dead letter, and deciding goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.orchestrator.app import GROUP
from tests.support.event_load import under_load
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Record, Sent
from tests.support.seed_documents import TRACKED
from tests.support.service_processes import Process, guest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")]

CUSTOMERS = 20
DEATHS = 3
WITHIN = 12.0
"""Seconds after the dead letter within which an event of the same customer is decided, on a busy machine. Alone, this
takes 1 to 4 s: the process that was killed last takes its own place in the group.
"""


@contextlib.asynccontextmanager
async def supervised(processes: list[Process]) -> AsyncIterator[list[float]]:
    """Processes that are started again whenever they end. Yields the times (monotonic) of their deaths."""
    deaths: list[float] = []

    async def watch() -> None:
        while True:
            for process in processes:
                if not process.alive:
                    deaths.append(time.monotonic())
                    process.start()
            await asyncio.sleep(0.05)

    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.wait_ready)
    watching = asyncio.create_task(watch())
    try:
        yield deaths
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_record_that_kills_its_worker_ends_as_one_dead_letter(installed: Installation) -> None:
    cluster, evidence = installed.cluster, installed.evidence
    fragile = [guest(cluster, f"decide-{number}", "tests.support.fragile_orchestrator") for number in (2, 3)]
    cluster["decide"].kill()
    letters = "SELECT partition, error_class, event_id FROM dead_letter WHERE error_class = 'EndedProcess'"
    async with under_load(installed, CUSTOMERS, "deadly"), supervised(fragile) as deaths:
        assert await members_by_identity(installed.plan.bootstrap) >= 2
        async with installed.shop() as shop:
            value, headers = Sent("boom", TRACKED, "deadly-0", {"n": 1, "deadly": True}).record()
            await shop.raw([Record(b"deadly-0", value, tuple(headers))])
            async with asyncio.timeout(120):
                while not await evidence.query(letters):
                    await asyncio.sleep(0.05)
            set_aside = time.monotonic()
            after = Sent("after-the-dead-letter", TRACKED, "deadly-0", {"n": 1})
            await shop.send(after)
            async with asyncio.timeout(60):
                while not await evidence.query("SELECT 1 FROM decision WHERE event_id = $1", after.id):
                    await asyncio.sleep(0.05)
            took = time.monotonic() - set_aside
        assert len(deaths) <= DEATHS
        assert took < WITHIN, f"{took:.1f} s; the processes ended at {deaths}"
    assert [row["event_id"] for row in await evidence.query(letters)] == ["boom"]
    for process in fragile:
        assert await asyncio.to_thread(process.terminate, 15.0) == 0
        cluster.dismiss(process.name)
    cluster["decide"].start()
    await asyncio.to_thread(cluster["decide"].wait_ready)


async def members_by_identity(bootstrap: str) -> int:
    """How many deciding processes are in their group under an identity of their own; ids of members begin with it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([GROUP])
    finally:
        await admin.close()
    return sum(member[0].startswith("tactful-") for member in answer.groups[0][5])
