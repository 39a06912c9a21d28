"""The adapter kafka_topic on a real broker: what is confirmed, refused and unknown, and nothing is written late."""

from __future__ import annotations

import asyncio
import atexit
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from schemas.event import decode_event
from services.deployment_settings import DeploymentSettings
from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Database
from services.kit.runtime.clock import SystemClock
from services.kit.runtime.kafka_settings import KafkaSettings
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.kafka_topic.adapter import KafkaTopicAdapter, create_adapter
from services.orchestrator.delivery.adapters.kafka_topic.declaration import KafkaTopicSettings
from services.orchestrator.delivery.adapters.registry import create_adapter as create_by_registry
from services.orchestrator.settings import OrchestratorSettings
from tactful.doctor_checks import check_adapter
from tests.support import servers
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

pytestmark = [
    *(pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(180)),
    pytest.mark.xdist_group("kafka"),
]

_brokers: list[servers.Kafka] = []


def broker() -> servers.Kafka:
    """One broker for this process, also for the contract of adapters, whose tests have no fixtures of ours."""
    if not _brokers:
        stack = ExitStack()
        directory = Path(tempfile.mkdtemp(prefix="tactful-kafka-topic-"))
        _brokers.append(stack.enter_context(servers.kafka(directory / "kafka")))
        atexit.register(stack.close)
    return _brokers[0]


def adapter_of(bootstrap: str, topic: str, *, max_bytes: int = 100_000, patience: float = 10.0) -> KafkaTopicAdapter:
    return KafkaTopicAdapter(lambda: KafkaConnection(bootstrap), topic, max_bytes, patience)


@asynccontextmanager
async def topic_on(bootstrap: str) -> AsyncIterator[str]:
    bus, topic = KafkaBus(KafkaConnection(bootstrap)), f"out-{uuid4().hex[:8]}"
    await bus.ensure_topics({topic: 3})
    await bus.end_offsets(topic)  # answers once the brokers know it: for a moment after its creation they may not
    await bus.close()
    yield topic


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[KafkaTopicAdapter]:
    """For tests/contracts/test_adapters.py."""
    bootstrap = (await asyncio.to_thread(broker)).bootstrap
    async with topic_on(bootstrap) as topic:
        yield adapter_of(bootstrap, topic)


async def read(bootstrap: str, topic: str) -> list[Record]:
    """All records of a topic."""
    bus = KafkaBus(KafkaConnection(bootstrap))
    ends = await bus.end_offsets(topic)
    consumer = bus.consumer(uuid4().hex, [topic])
    assigned = asyncio.Event()

    async def on_assigned(partitions: set[Partition]) -> None:
        for each in partitions:
            await consumer.seek(each, 0)
        assigned.set()

    async def on_revoked(_: set[Partition]) -> None:
        """Nothing to do."""

    await consumer.start(on_assigned, on_revoked)
    found: list[Record] = []
    async with asyncio.timeout(60):
        while len(found) < sum(ends.values()):
            for records in (await consumer.poll(500, 0.2)).values():
                found += records
    await consumer.stop()
    await bus.close()
    return found


async def test_a_message_is_accepted_once_the_brokers_have_it() -> None:
    bootstrap = (await asyncio.to_thread(broker)).bootstrap
    async with topic_on(bootstrap) as topic:
        adapter = adapter_of(bootstrap, topic)
        results = await adapter.send_batch([message("msg_a"), message("msg_b")], RecordingFirstByteGuard())
        await adapter.close()
        records = await read(bootstrap, topic)
    assert [each.outcome for each in results] == ["accepted", "accepted"]
    assert {each.provider_id for each in results} == {f"{each.partition}:{each.offset}" for each in records}
    for record in records:
        event = decode_event_without_time(record)
        sent = message(event["id"])
        assert record.key == sent.customer.encode() and event["subject"] == sent.customer
        assert (event["data"]["to"], event["data"]["content"]) == (sent.to, sent.content)
        assert dict(record.headers)["content-type"].startswith(b"application/cloudevents+json")


def decode_event_without_time(record: Record) -> Any:
    """The event, which is a CloudEvent but for the time, so that it is the same for every attempt."""
    event = json.loads(record.value or b"")
    decode_event(msgspec.json.encode({**event, "time": "2026-03-02T10:00:00Z"}))
    return event


async def test_the_record_is_the_same_for_every_attempt() -> None:
    bootstrap = (await asyncio.to_thread(broker)).bootstrap
    async with topic_on(bootstrap) as topic:
        adapter = adapter_of(bootstrap, topic)
        for _ in range(2):
            await adapter.send_batch([message("msg_a")], RecordingFirstByteGuard())
        await adapter.close()
        assert len({record.value for record in await read(bootstrap, topic)}) == 1


async def test_a_message_that_makes_too_large_a_record_is_refused_and_the_others_are_not() -> None:
    bootstrap = (await asyncio.to_thread(broker)).bootstrap
    large = msgspec.structs.replace(message("msg_b"), content={"body": "x" * 5000})
    async with topic_on(bootstrap) as topic:
        adapter = adapter_of(bootstrap, topic, max_bytes=4096)
        guard = RecordingFirstByteGuard()
        results = await adapter.send_batch([message("msg_a"), large, message("msg_c")], guard)
        await adapter.close()
    assert [(each.outcome, each.fault) for each in results] == [
        ("accepted", None),
        ("rejected", "content"),
        ("accepted", None),
    ]
    assert "msg_b" not in guard.before_calls


async def test_what_the_brokers_find_too_large_is_refused_and_the_next_is_taken() -> None:
    bootstrap = (await asyncio.to_thread(broker)).bootstrap
    large = msgspec.structs.replace(message("msg_b"), content={"body": "x" * 1_500_000})
    async with topic_on(bootstrap) as topic:
        adapter = adapter_of(bootstrap, topic, max_bytes=3_000_000)
        [result] = await adapter.send_batch([large], RecordingFirstByteGuard())
        assert (result.outcome, result.fault) == ("rejected", "content")
        [result] = await adapter.send_batch([message("msg_a")], RecordingFirstByteGuard())
        assert result.outcome == "accepted"
        await adapter.close()


async def test_without_the_topic_nothing_is_written_and_somebody_has_to_mend_it() -> None:
    bootstrap = (await asyncio.to_thread(broker)).bootstrap
    adapter, guard = adapter_of(bootstrap, "there-is-no-such-topic"), RecordingFirstByteGuard()
    [result] = await adapter.send_batch([message("msg_a")], guard)
    await adapter.close()
    assert (result.outcome, result.fault) == ("retry", "account")
    assert guard.before_calls == []


async def test_without_a_broker_nothing_is_written() -> None:
    adapter, guard = adapter_of(f"127.0.0.1:{servers.free_port()}", "t"), RecordingFirstByteGuard()
    [result] = await adapter.send_batch([message("msg_a")], guard)
    await adapter.close()
    assert (result.outcome, guard.before_calls) == ("retry", [])


async def test_what_a_frozen_broker_does_not_confirm_is_unknown_and_never_written_later(server_directory: Path) -> None:
    """It is given up within its time, and what follows goes by a producer of its own."""
    directory = server_directory / f"frozen-{uuid4().hex[:6]}"
    with servers.kafka(directory) as frozen:
        async with topic_on(frozen.bootstrap) as topic:
            adapter, guard = adapter_of(frozen.bootstrap, topic, patience=1.0), RecordingFirstByteGuard()
            [result] = await adapter.send_batch([message("msg_a")], guard)
            assert result.outcome == "accepted"
            await asyncio.to_thread(frozen.freeze)
            began = asyncio.get_running_loop().time()
            results = await adapter.send_batch([message("msg_b"), message("msg_c")], guard)
            assert asyncio.get_running_loop().time() - began < 2.0
            assert {each.outcome for each in results} == {"unknown"}
            assert guard.after_calls[-2:] == ["msg_b", "msg_c"]
            await asyncio.to_thread(frozen.thaw)
            async with asyncio.timeout(60):
                while (await adapter.send_batch([message("msg_d")], guard))[0].outcome != "accepted":
                    await asyncio.sleep(0.2)
            await adapter.close()
            ids = [json.loads(record.value or b"")["id"] for record in await read(frozen.bootstrap, topic)]
            assert ids[0] == "msg_a" or "msg_a" in ids
            assert ids.count("msg_b") <= 1 and ids.count("msg_c") <= 1


def context(**fields: Any) -> AdapterContext:
    given: dict[str, Any] = {
        "settings": KafkaTopicSettings(topic="t"),
        "timeout": 10.0,
        "connect_kafka": lambda: KafkaConnection("k:1"),
    }
    given |= {"database": None, "clock": None, "outbound": None, **fields}
    return AdapterContext(**given)


def test_it_needs_a_topic_and_kafka() -> None:
    with pytest.raises(SettingsError, match="TACTFUL_KAFKA_TOPIC__TOPIC is not set"):
        create_adapter(context(settings=KafkaTopicSettings()))
    with pytest.raises(SettingsError, match="needs Kafka"):
        create_adapter(context(connect_kafka=None))


@pytest.mark.parametrize(
    "topic",
    ["shop.events", "shop.messages", "tactful.messages", "tactful.optouts", "customer.events.dlq"],
)
def test_a_topic_of_tactful_itself_is_refused(topic: str, tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap="127.0.0.1:9", events_topic="shop.events", messages_topic="shop.messages")
    settings = OrchestratorSettings(kafka=kafka)
    database, clock = Database.open(f"sqlite+aiosqlite:///{tmp_path}/o.db"), SystemClock()
    with pytest.raises(SettingsError, match="is a topic of Tactful's own"):
        create_by_registry("kafka_topic", KafkaTopicSettings(topic=topic), settings, database, clock)
    create_by_registry("kafka_topic", KafkaTopicSettings(topic="shop.senders"), settings, database, clock)


def test_the_brokers_have_less_time_than_the_alarm_leaves() -> None:
    assert create_adapter(context(slack=5.0))._patience == 2.0
    assert create_adapter(context(slack=60.0))._patience == 10.0


def test_the_doctor_says_that_it_needs_kafka() -> None:
    given: dict[str, Any] = {"adapters": {"email": "kafka_topic"}, "kafka_topic": KafkaTopicSettings(topic="t")}
    settings = DeploymentSettings(**given)
    finding = check_adapter(settings, "email", "kafka_topic", development=True)
    assert finding.state.value == "red" and "without Kafka" in finding.detail
