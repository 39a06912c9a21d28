"""The consume loop on a real Kafka: members that come and go, and a broker that is killed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.partition_lease import read_applied_offsets
from services.kit.bus.protocol import Outgoing, Partition
from services.kit.db.database import Database
from services.kit.errors import BusGone, TooLarge
from tests.support import servers
from tests.support.recording_consumer import (
    TOPIC,
    Effects,
    effects,
    loop_of,
    open_database,
    publish,
    refuse,
    running,
    until_applied,
)

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    yield opened
    await opened.close()


async def publish_until_taken(bus: KafkaBus, count: int, first: int) -> None:
    """As a producer does that was told that the outcome is unknown."""
    async with asyncio.timeout(90):
        while True:
            try:
                return await publish(bus, count, first=first)
            except BusGone:
                await asyncio.sleep(0.5)


async def test_a_killed_broker_loses_and_doubles_nothing(server_directory: Path, database: Database) -> None:
    with servers.kafka(server_directory / "killed") as broker:
        bus = KafkaBus(KafkaConnection(broker.bootstrap))
        await bus.ensure_topics({TOPIC: 4})
        await publish(bus, 200)
        async with running(loop_of(bus, database, Effects())):
            await until_applied(database, 200)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(broker.start)
            await publish_until_taken(bus, 200, 200)
            await asyncio.wait_for(until_distinct(database, 400), 90)
        async with database.read() as tx:
            assert await read_applied_offsets(tx) == await bus.end_offsets(TOPIC)
            rows = await tx.rows('SELECT DISTINCT topic, partition, "offset" FROM effect')
        assert len(rows) == (await effects(database)).total()  # each place of the log had its effect once
        await bus.close()


async def test_a_consumer_ends_although_its_broker_is_gone(server_directory: Path) -> None:
    """Whatever it was about to try again."""
    with servers.kafka(server_directory / "gone") as broker:
        bus = KafkaBus(KafkaConnection(broker.bootstrap))
        await bus.ensure_topics({TOPIC: 1})
        consumer = bus.consumer("ends", [TOPIC])
        taken = asyncio.Event()

        async def on_assigned(partitions: set[Partition]) -> None:
            for each in partitions:
                await consumer.seek(each, 0)
            taken.set()

        async def on_revoked(_: set[Partition]) -> None:
            """Nothing to do."""

        await consumer.start(on_assigned, on_revoked)
        async with asyncio.timeout(30):
            await taken.wait()
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(1.0)
        with contextlib.suppress(BusGone):
            await consumer.stop()
        assert consumer._consumer is not None
        async with asyncio.timeout(10):  # one that was being made at that moment is closed a little later
            while consumer._consumer._client._conns:
                await asyncio.sleep(0.05)
        await bus.close()


async def until_distinct(database: Database, total: int) -> None:
    while len(await effects(database)) < total:
        await asyncio.sleep(0.1)


async def test_members_come_and_go_and_a_record_is_poison(server_directory: Path, database: Database) -> None:
    with servers.kafka(server_directory / "groups") as broker:
        bus = KafkaBus(KafkaConnection(broker.bootstrap))
        await bus.ensure_topics({TOPIC: 4, "events.dlq": 1})
        host = Effects("host")
        host.on_prepare = refuse(123)

        async def keep_publishing() -> None:
            for n in range(0, 600, 20):
                await publish(bus, 20, first=n, keys=50)
                await asyncio.sleep(0.1)

        async def come_and_go() -> None:
            for _ in range(2):
                guest = Effects("guest")
                guest.on_prepare = refuse(123)
                async with running(loop_of(bus, database, guest, max_batch=7)):
                    await asyncio.sleep(2)

        async with running(loop_of(bus, database, host, max_batch=7)):
            await asyncio.gather(keep_publishing(), come_and_go())
            await until_applied(database, 600)
            await asyncio.sleep(1.2)
            async with asyncio.timeout(20):  # a busy broker takes the dead letter late
                while not sum((await bus.end_offsets("events.dlq")).values()):
                    await asyncio.sleep(0.1)
        assert await effects(database) == Counter(set(range(600)) - {123})
        assert sum((await bus.end_offsets("events.dlq")).values()) == 1
        await bus.close()


async def test_a_record_larger_than_the_broker_takes_is_permanent(kafka_bootstrap: str) -> None:
    bus = KafkaBus(KafkaConnection(kafka_bootstrap))
    await bus.ensure_topics({"large": 1})
    for size in (1_200_000, 3_000_000):
        with pytest.raises(TooLarge):
            await bus.publish([Outgoing("large", b"k", bytes(size))])
    await bus.publish([Outgoing("large", b"k", b"small")])
    await bus.close()


async def test_no_broker_is_gone_not_an_accident() -> None:
    bus = KafkaBus(KafkaConnection(f"127.0.0.1:{servers.free_port()}"))
    with pytest.raises(BusGone):
        await bus.publish([Outgoing("t", b"k", b"v")])
    with pytest.raises(BusGone):
        await bus.ensure_topics({"t": 1})
    await bus.close()
