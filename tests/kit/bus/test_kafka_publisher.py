"""The publisher of a name on a real broker that stops answering."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.protocol import Outgoing
from tests.support import servers

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(180)]


async def test_nothing_of_a_publisher_is_left_that_a_frozen_broker_lets_wait(server_directory: Path) -> None:
    with servers.kafka(server_directory / "frozen-publisher") as broker:
        bus = KafkaBus(KafkaConnection(broker.bootstrap))
        await bus.ensure_topics({"out": 1})
        await bus.close()
        before = asyncio.all_tasks()
        publisher = KafkaBus(KafkaConnection(broker.bootstrap)).publisher("out")
        await publisher.start()
        await publisher.publish([Outgoing("out", b"k", b"a")])
        await asyncio.to_thread(broker.freeze)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await publisher.publish([Outgoing("out", b"k", b"b")])
        async with asyncio.timeout(4):
            await publisher.close()
        await asyncio.sleep(0.1)
        assert {each.get_coro().__qualname__ for each in asyncio.all_tasks() - before} == set()  # type: ignore[union-attr]
        gc.collect()  # what was dropped, and is still pending, would complain now
        await asyncio.to_thread(broker.thaw)
