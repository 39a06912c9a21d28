"""F3: readers join and leave the group all the time; still each event is decided once, and offsets only grow."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.db.database import Database
from services.kit.runtime.clock import SystemClock
from services.kit.runtime.settings import load_settings
from services.orchestrator.app import OrchestratorService, build
from services.orchestrator.settings import OrchestratorSettings
from tests.support.event_load import under_load
from tests.support.installation import Installation
from tests.support.service_processes import ADDRESS_KEY, SECRET, SERVICE_KEY

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROUNDS = int(os.environ.get("TRIALS", "8"))
EVERY = 2.0
"""Seconds between two changes of the group."""
CUSTOMERS = 40


@asynccontextmanager
async def reader(world: Installation) -> AsyncIterator[OrchestratorService]:
    """One more `decide` of this installation, in our process so that it comes and goes fast."""
    plan, cluster = world.plan, world.cluster
    settings = load_settings(
        OrchestratorSettings, address_key=ADDRESS_KEY, service_key=SERVICE_KEY, kafka={"events_topic": plan.topic},
        adapters={"push": "webhook", "email": "off", "sms": "off", "in_app": "off"},
        webhook={"url": f"{cluster['sink'].url}/messages", "secret": SECRET}, outbound={"networks": "127.0.0.0/8"},
        dispatch={"deadline": plan.deadline, "slack": plan.slack, "timeout": plan.timeout},
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        database, bus = Database.open(plan.databases["orchestrator"], pool=4), KafkaBus(KafkaConnection(plan.bootstrap))
        stack.push_async_callback(database.close)
        stack.push_async_callback(bus.close)
        preference, suppression = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=cluster[name].url))
            for name in ("preference", "suppression")
        ]
        service = build(
            settings, database=database, bus=bus, clock=SystemClock(), role="decide",
            preference=PreferenceClient(preference, SERVICE_KEY),
            suppression=SuppressionClient(suppression, SERVICE_KEY, ADDRESS_KEY.encode()),
        )  # fmt: skip
        await service.start()
        stack.push_async_callback(service.stop, 5.0)
        yield service


async def changes(world: Installation) -> int:
    """How often the partition that moved most has changed its owner so far."""
    rows = await world.evidence.query("SELECT coalesce(max(epoch), 0) AS changes FROM partition_lease")
    return int(rows[0]["changes"])


async def more_changes(world: Installation, before: int) -> None:
    """Wait until that has grown. Raises TimeoutError when none has within a minute."""
    async with asyncio.timeout(60):
        while await changes(world) == before:
            await asyncio.sleep(0.1)


async def test_readers_that_come_and_go_decide_each_event_once(installed: Installation) -> None:
    present: deque[AsyncExitStack] = deque()
    async with under_load(installed, CUSTOMERS, "storm"):
        for _ in range(ROUNDS):
            before = await changes(installed)
            stack = AsyncExitStack()
            await stack.enter_async_context(reader(installed))
            present.append(stack)
            if len(present) > 2:
                await present.popleft().aclose()
            await asyncio.sleep(EVERY)
            await more_changes(installed, before)
        for stack in present:
            await stack.aclose()
    helped = await installed.evidence.query("SELECT max(epoch) AS epoch FROM partition_lease")
    assert helped[0]["epoch"] > ROUNDS
