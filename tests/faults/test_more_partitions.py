"""F22: the topic of events gets twice as many partitions while events flow; nothing is lost or doubled."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from tests.support.event_load import under_load
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Sent
from tests.support.seed_documents import TRACKED

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")]
CUSTOMERS = 40
SEEN_WITHIN = 90.0
"""Seconds until all consumers read the new partitions: they look for them every 30."""


async def double_partitions(bootstrap: str, topic: str) -> int:
    """How many there were before."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        before = len(described["partitions"])
        await admin.create_partitions({topic: NewPartitions(total_count=2 * before)})
    finally:
        await admin.close()
    return before


async def test_twice_as_many_partitions_under_load(installed: Installation) -> None:
    plan, evidence = installed.plan, installed.evidence
    async with under_load(installed, CUSTOMERS, "grown"):
        await asyncio.sleep(3)
        before = await double_partitions(plan.bootstrap, plan.topic)
        async with installed.shop() as shop:  # a producer that knows the new ones
            events = (
                Sent(f"grown-{number}-new", TRACKED, f"grown-{number}", {"n": number}) for number in range(CUSTOMERS)
            )
            await shop.send(*events)
        async with asyncio.timeout(SEEN_WITHIN):
            while not any(place >= before and end for place, end in (await evidence.applied("orchestrator")).items()):
                await asyncio.sleep(1)
    for service in evidence.databases:
        assert max(await evidence.applied(service)) >= before, service
