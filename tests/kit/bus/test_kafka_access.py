"""What docs/kafka.md grants to each principal is what its work needs, and no more: on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import DEAD_LETTERS, EVENTS, MESSAGES, OPT_OUTS
from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.protocol import Outgoing, Partition
from services.kit.errors import BusGone
from services.kit.runtime.tls import TlsFiles, client_context
from services.orchestrator import app as orchestrator
from services.preference import consumer as preference
from services.suppression import app as suppression
from tests.support.access_lists import documented_grants, grant
from tests.support.secured_kafka import PASSWORD, SecuredKafka, secured_kafka

pytestmark = [pytest.mark.wired, pytest.mark.integration, pytest.mark.timeout(240)]
GROUPS = {
    "orchestrator": orchestrator.GROUP,
    "preference": preference.CONSUMER_GROUP,
    "suppression": suppression.CONSUMER_GROUP,
}


@pytest.fixture(scope="module")
def kafka(server_directory: Path) -> Iterator[SecuredKafka]:
    async def prepare() -> None:
        bus = KafkaBus(KafkaConnection(running.plain))
        await bus.ensure_topics({each.name: 1 for each in (EVENTS, DEAD_LETTERS, MESSAGES, OPT_OUTS)})
        await bus.publish([Outgoing(EVENTS.name, b"k", b"v", ())])  # for those to read who may not write any
        await bus.close()
        await grant(running.plain, documented_grants())

    with secured_kafka(server_directory / "kafka-access") as running:
        asyncio.run(prepare())
        yield running


def bus_of(kafka: SecuredKafka, user: str) -> KafkaBus:
    trusting = client_context(TlsFiles(ca=kafka.authority.file))
    return KafkaBus(KafkaConnection(kafka.scram, "SASL_SSL", trusting, "SCRAM-SHA-256", user, PASSWORD))


async def may_write(bus: KafkaBus, topic: str) -> bool:
    try:
        await bus.publish([Outgoing(topic, b"k", b"v", ())])
    except BusGone as error:
        if "does not let this process use it (TopicAuthorizationFailed" not in error.detail:
            raise
        return False
    return True


async def may_read(bus: KafkaBus, group: str) -> bool:
    """Whether a member of the group gets partitions and records."""
    consumer, assigned = bus.consumer(group, [EVENTS.name]), asyncio.Event()

    async def on_assigned(partitions: set[Partition]) -> None:
        for partition in partitions:
            await consumer.seek(partition, 0)
        assigned.set()

    async def on_revoked(_partitions: set[Partition]) -> None:
        return None

    try:
        await consumer.start(on_assigned, on_revoked)
        async with asyncio.timeout(60):  # the first group of a broker waits until its topic of groups is made
            while not await consumer.poll(10, 0.2):
                pass
    except BusGone as error:
        if "AuthorizationFailed" not in error.detail:
            raise
        return False
    finally:
        await consumer.stop()
    return True


@pytest.mark.parametrize(("user", "group"), GROUPS.items())
async def test_a_service_can_do_its_work_and_nothing_else(kafka: SecuredKafka, user: str, group: str) -> None:
    bus = bus_of(kafka, user)
    try:
        await bus.probe()
        await bus.ensure_topics({EVENTS.name: 1, DEAD_LETTERS.name: 1})
        assert await may_write(bus, DEAD_LETTERS.name)
        assert await may_write(bus, EVENTS.name)
        assert set(await bus.end_offsets(EVENTS.name)) == {Partition(EVENTS.name, 0)}
        assert await may_read(bus, group)
        [other] = {"orchestrator", "preference"} - {user} if user != "suppression" else {"preference"}
        assert not await may_read(bus, GROUPS[other])
        with pytest.raises(BusGone, match=r"does not let this process use it .*docs/kafka.md"):
            await bus.ensure_topics({"another-topic": 1})
    finally:
        await bus.close()


@pytest.mark.parametrize(("user", "own"), [("orchestrator", MESSAGES.name), ("preference", OPT_OUTS.name)])
async def test_each_service_publishes_its_own_topic_alone(kafka: SecuredKafka, user: str, own: str) -> None:
    bus = bus_of(kafka, user)
    try:
        for topic in (MESSAGES.name, OPT_OUTS.name):
            publisher = bus.publisher(topic)
            if topic == own:
                await publisher.start()
                await publisher.publish([Outgoing(topic, b"k", b"v")])
            else:
                with pytest.raises(BusGone, match="AuthorizationFailed"):
                    await publisher.start()
            await publisher.close()
    finally:
        await bus.close()


async def test_a_publisher_writes_events_and_reads_nothing(kafka: SecuredKafka) -> None:
    bus = bus_of(kafka, "shop")
    try:
        assert await may_write(bus, EVENTS.name)
        assert not await may_write(bus, DEAD_LETTERS.name)
        assert not await may_read(bus, "shop")
    finally:
        await bus.close()
