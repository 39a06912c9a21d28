"""Every bus obeys the Bus protocol. One suite, run over the local log and over Apache Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Bus, Consumer, Outgoing, Partition, Record
from services.kit.errors import BusGone

pytestmark = pytest.mark.wired


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.integration)])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    opened: Bus = (
        LocalBus(tmp_path / "log.db")
        if request.param == "local"
        else KafkaBus(KafkaConnection(request.getfixturevalue("kafka_bootstrap")))
    )
    yield opened
    await opened.close()


@pytest.fixture
async def topic(bus: Bus) -> str:
    name = f"topic-{uuid4().hex[:8]}"
    await bus.ensure_topics({name: 4})
    return name


class Member:
    """A consumer that starts every partition at the beginning and keeps what it is told."""

    def __init__(self, bus: Bus, group: str, topic: str) -> None:
        self.consumer: Consumer = bus.consumer(group, [topic])
        self.revoked: list[set[Partition]] = []
        self.fresh: set[Partition] = set()

    async def start(self) -> Member:
        await self.consumer.start(self._assigned, self._revoked)
        return self

    async def _assigned(self, partitions: set[Partition]) -> None:
        self.consumer.pause(partitions)
        self.fresh |= partitions

    async def _revoked(self, partitions: set[Partition]) -> None:
        self.revoked.append(partitions)
        self.fresh -= partitions

    async def poll(self, limit: int = 500, timeout: float = 0.2) -> dict[Partition, list[Record]]:
        for partition in set(self.fresh):
            await self.consumer.seek(partition, 0)
            self.consumer.resume([partition])
            self.fresh.discard(partition)
        return await self.consumer.poll(limit, timeout)

    async def take(self, count: int, within: float = 20.0) -> list[Record]:
        """Poll until `count` records have come."""
        taken: list[Record] = []
        deadline = time.monotonic() + within
        while len(taken) < count and time.monotonic() < deadline:
            for records in (await self.poll()).values():
                taken += records
        return taken

    async def until_assigned(self, count: int, *others: Member) -> None:
        """Poll, all of us, until this member has `count` partitions."""
        deadline = time.monotonic() + 30
        while len(self.consumer.assigned()) != count or self.fresh:
            assert time.monotonic() < deadline, f"has {self.consumer.assigned()}"
            await asyncio.gather(*(member.poll() for member in (self, *others)))


def events(topic: str, count: int, keys: int = 10) -> list[Outgoing]:
    return [Outgoing(topic, b"key-%d" % (n % keys), b"%d" % n) for n in range(count)]


async def test_records_of_a_key_stay_in_order_and_on_one_partition(bus: Bus, topic: str) -> None:
    await bus.publish(events(topic, 50))
    await bus.publish(events(topic, 50))
    member = await Member(bus, uuid4().hex, topic).start()
    taken = await member.take(100)
    assert len(taken) == 100
    for key in {record.key for record in taken}:
        mine = [record for record in taken if record.key == key]
        assert len({record.partition for record in mine}) == 1
        assert [record.offset for record in mine] == sorted(record.offset for record in mine)
        assert [int(record.value or b"") for record in mine] == sorted(range(int(key[4:]), 50, 10)) * 2  # type: ignore[index]
    await member.consumer.stop()


async def test_publish_says_where_each_record_is(bus: Bus, topic: str) -> None:
    places = await bus.publish(events(topic, 30))
    member = await Member(bus, uuid4().hex, topic).start()
    taken = {(Partition(r.topic, r.partition), r.offset): r.value for r in await member.take(30)}
    assert [taken[place] for place in places] == [b"%d" % n for n in range(30)]
    await member.consumer.stop()


async def test_bytes_headers_and_nulls_come_back_as_they_went(bus: Bus, topic: str) -> None:
    headers = (("ce_id", b"1"), ("ce_id", b"\x00\xff"), ("empty", b""))
    before = time.time_ns() // 1000 - 1_000_000
    sent = [Outgoing(topic, b"k\x00\xff", None, headers), Outgoing(topic, None, b"\xfe"), Outgoing(topic, b"k", b"")]
    await bus.publish(sent)
    member = await Member(bus, uuid4().hex, topic).start()
    taken = {record.key: record for record in await member.take(3)}
    assert taken[b"k\x00\xff"].value is None
    assert taken[b"k\x00\xff"].headers == headers
    assert (taken[None].value, taken[None].headers) == (b"\xfe", ())
    assert taken[b"k"].value == b""
    assert before <= taken[b"k"].timestamp <= time.time_ns() // 1000 + 1_000_000
    await member.consumer.stop()


async def test_end_offsets_count_what_was_published(bus: Bus, topic: str) -> None:
    assert await bus.end_offsets(topic) == {Partition(topic, n): 0 for n in range(4)}
    places = await bus.publish(events(topic, 40))
    ends = await bus.end_offsets(topic)
    assert sum(ends.values()) == 40
    for partition, offset in places:
        assert offset < ends[partition]


async def test_ensuring_a_topic_again_changes_nothing(bus: Bus, topic: str) -> None:
    await bus.publish(events(topic, 5))
    await bus.ensure_topics({topic: 9})
    ends = await bus.end_offsets(topic)
    assert len(ends) == 4
    assert sum(ends.values()) == 5


async def test_two_groups_each_read_everything(bus: Bus, topic: str) -> None:
    await bus.publish(events(topic, 20))
    first = await Member(bus, uuid4().hex, topic).start()
    second = await Member(bus, uuid4().hex, topic).start()
    assert len(await first.take(20)) == 20
    assert len(await second.take(20)) == 20
    await first.consumer.stop()
    await second.consumer.stop()


async def test_partitions_are_shared_when_members_join_and_leave(bus: Bus, topic: str) -> None:
    group = uuid4().hex
    first = await Member(bus, group, topic).start()
    await first.until_assigned(4)
    second = await Member(bus, group, topic).start()
    await second.until_assigned(2, first)
    await first.until_assigned(2, second)
    assert not first.consumer.assigned() & second.consumer.assigned()
    assert first.revoked
    await second.consumer.stop()
    await first.until_assigned(4)
    await bus.publish(events(topic, 20))
    assert len({(r.partition, r.offset) for r in await first.take(20)}) == 20
    await first.consumer.stop()


async def test_seek_reads_again_from_there(bus: Bus, topic: str) -> None:
    (place, *_) = await bus.publish([Outgoing(topic, b"one", b"%d" % n) for n in range(10)])
    member = await Member(bus, uuid4().hex, topic).start()
    assert len(await member.take(10)) == 10
    assert await member.consumer.seek(place[0], 7) == 7
    assert [record.offset for record in await member.take(3)] == [7, 8, 9]
    await member.consumer.stop()


async def test_seek_outside_the_log_goes_to_the_earliest_and_says_so(bus: Bus, topic: str) -> None:
    (place, *_) = await bus.publish([Outgoing(topic, b"one", b"%d" % n) for n in range(3)])
    member = await Member(bus, uuid4().hex, topic).start()
    await member.take(3)
    assert await member.consumer.seek(place[0], 99) == 0
    assert [record.offset for record in await member.take(3)] == [0, 1, 2]
    assert await member.consumer.seek(place[0], 3) == 3
    await member.consumer.stop()


async def test_a_paused_partition_is_silent_until_resumed(bus: Bus, topic: str) -> None:
    member = await Member(bus, uuid4().hex, topic).start()
    await member.until_assigned(4)
    member.consumer.pause(member.consumer.assigned())
    await bus.publish(events(topic, 10))
    assert await member.poll(timeout=0.5) == {}
    member.consumer.resume(member.consumer.assigned())
    assert len(await member.take(10)) == 10
    await member.consumer.stop()


async def test_poll_hands_out_no_more_than_asked_for(bus: Bus, topic: str) -> None:
    await bus.publish(events(topic, 100))
    member = await Member(bus, uuid4().hex, topic).start()
    seen = 0
    deadline = time.monotonic() + 20
    while seen < 100 and time.monotonic() < deadline:
        count = sum(map(len, (await member.poll(limit=7)).values()))
        assert count <= 7
        seen += count
    assert seen == 100
    await member.consumer.stop()


async def test_a_waiting_reader_is_woken_by_a_publish(bus: Bus, topic: str) -> None:
    member = await Member(bus, uuid4().hex, topic).start()
    await member.until_assigned(4)
    waiting = asyncio.create_task(member.poll(timeout=10))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await bus.publish(events(topic, 1))
    assert sum(map(len, (await waiting).values())) == 1
    assert time.monotonic() - began < 2
    await member.consumer.stop()


async def test_ten_thousand_records_and_concurrent_publishers(bus: Bus, topic: str) -> None:
    batches = [[Outgoing(topic, b"p%d" % p, b"%d" % n) for n in range(1000)] for p in range(10)]
    await asyncio.gather(*(bus.publish(batch) for batch in batches))
    member = await Member(bus, uuid4().hex, topic).start()
    taken = await member.take(10_000)
    assert len(taken) == 10_000
    for p in range(10):
        assert [int(r.value or b"") for r in taken if r.key == b"p%d" % p] == list(range(1000))
    await member.consumer.stop()


async def test_an_advisory_commit_is_taken(bus: Bus, topic: str) -> None:
    places = await bus.publish(events(topic, 10))
    member = await Member(bus, uuid4().hex, topic).start()
    await member.take(10)
    await member.consumer.commit({partition: offset + 1 for partition, offset in places})
    await member.consumer.stop()


async def test_a_publisher_appends_in_order(bus: Bus, topic: str) -> None:
    publisher = bus.publisher(topic)
    await publisher.start()
    await publisher.publish([Outgoing(topic, b"one", b"%d" % number) for number in range(20)])
    await publisher.publish([Outgoing(topic, b"one", b"20")])
    await publisher.close()
    member = await Member(bus, uuid4().hex, topic).start()
    assert [record.value for record in await member.take(21)] == [b"%d" % number for number in range(21)]
    await member.consumer.stop()


@pytest.mark.integration
async def test_on_kafka_what_an_earlier_publisher_writes_is_refused(kafka_bootstrap: str) -> None:
    bus, topic = KafkaBus(KafkaConnection(kafka_bootstrap)), f"topic-{uuid4().hex[:8]}"
    await bus.ensure_topics({topic: 1}, compacted=[topic])
    assert await bus.retention(topic) is None
    earlier, later = bus.publisher(topic), bus.publisher(topic)
    await earlier.start()
    await earlier.publish([Outgoing(topic, b"k", b"old")])
    await later.start()
    await later.publish([Outgoing(topic, b"k", b"new")])
    with pytest.raises(BusGone):
        await earlier.publish([Outgoing(topic, b"k", b"stale")])
    await earlier.close()
    await later.close()
    member = await Member(bus, uuid4().hex, topic).start()
    assert [record.value for record in await member.take(3, within=5)] == [b"old", b"new"]
    await member.consumer.stop()
    await bus.close()
