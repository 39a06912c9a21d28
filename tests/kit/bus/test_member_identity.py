"""A consumer with an identity is known by it in its group, and leaves at once when it stops in order."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.member_identity import member_identity
from services.kit.bus.protocol import Partition

LEAVES_WITHIN = 5.0
"""Seconds; the session of a member that does not leave lasts 10."""


def test_two_ports_are_two_members_and_one_port_is_one() -> None:
    assert member_identity(8001) == member_identity(8001)
    assert member_identity(8001) != member_identity(8002)
    assert socket.gethostname() not in (member_identity(8001) or "")


async def members(admin: AIOKafkaAdminClient, group: str) -> list[Any]:
    (answer,) = await admin.describe_consumer_groups([group])
    return list(answer.groups[0][5])


@pytest.mark.integration
async def test_a_member_with_an_identity_takes_its_place_again_and_leaves_when_it_stops(kafka_bootstrap: str) -> None:
    async def nothing(_: set[Partition]) -> None:
        """Nobody waits for the assignment."""

    bus = KafkaBus(KafkaConnection(kafka_bootstrap), "tactful-tests")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await bus.ensure_topics({"identity.events": 2})
        first, second = (bus.consumer("identity", ["identity.events"]) for _ in range(2))
        await first.start(nothing, nothing)
        before = await members(admin, "identity")
        await second.start(nothing, nothing)  # the same process after a crash, as far as the broker can tell
        after = await members(admin, "identity")
        assert len(before) == len(after) == 1 and before[0][0] != after[0][0]
        await second.stop()
        async with asyncio.timeout(LEAVES_WITHIN):
            while await members(admin, "identity"):
                await asyncio.sleep(0.1)
    finally:
        await first.stop()
        await admin.close()
        await bus.close()
