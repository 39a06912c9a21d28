"""Apache Kafka as our log, by aiokafka. Every setting on which safety rests is written out here.

aiokafka heartbeats and rebalances in tasks of its own on our event loop: nothing here may block.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    IllegalArgumentError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)

from services.kit.bus.protocol import OnPartitions, Outgoing, Partition, Record
from services.kit.errors import BusGone, TooLarge

REQUEST_TIMEOUT_MS = 30_000
"""Longer than a broker's fail-over, or a producer reports time-outs for what will succeed."""
STUCK_POLL = 10.0
"""Seconds beyond its time-out after which a poll is cut off: aiokafka may wait in a rebalance for ever."""
CLOSE_TIMEOUT = 5.0
"""Seconds that `close` waits for producers that have failed."""
LARGEST = 2 * 1024 * 1024
"""Bytes of one record, key and headers included, that the producer takes. The broker may take less."""

_PRODUCER = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
    "max_batch_size": 256 * 1024,
    "max_request_size": LARGEST,
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
}
_CONSUMER = {
    # a steady trickle would else be answered record by record, which costs broker and readers more than the records do
    "fetch_min_bytes": 64 * 1024,
    "fetch_max_wait_ms": 100,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 3_000,
    "max_poll_interval_ms": 300_000,
    "max_partition_fetch_bytes": 1024 * 1024,
    "metadata_max_age_ms": 30_000,
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
}


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (MessageSizeTooLargeError, RecordTooLargeError) as error:
        raise TooLarge(f"a record is larger than {LARGEST} bytes, or than the broker takes") from error
    except (IllegalArgumentError, IllegalStateError):
        raise  # our mistake: it will not pass
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusGone(f"Kafka cannot be reached: {type(error).__name__}") from error


class KafkaBus:
    """A Bus on Kafka brokers."""

    def __init__(self, bootstrap: str) -> None:
        """`bootstrap` is host:port, several separated by commas."""
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._looker: AIOKafkaConsumer | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        """See Bus. With three brokers or more: three replicas, of which two must have a record before it counts."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
        async with _translated():
            await admin.start()
            try:
                present = set(await admin.list_topics())
                replicas = min(3, len((await admin.describe_cluster())["brokers"]))
                configs = {"min.insync.replicas": str(max(1, replicas - 1)), "unclean.leader.election.enable": "false"}
                missing = [
                    NewTopic(name, partitions, replicas, topic_configs=configs)
                    for name, partitions in topics.items()
                    if name not in present
                ]
                if missing:
                    answer = await admin.create_topics(missing)
                    for _topic, code, *_ in answer.topic_errors:
                        if code and code != TopicAlreadyExistsError.errno:
                            raise for_code(code)()
            finally:
                await admin.close()

    async def publish(self, records: Sequence[Outgoing]) -> list[tuple[Partition, int]]:
        """See Bus."""
        if not records:
            return []
        async with _translated():
            producer = await self._ready_producer()
            try:
                sent = [
                    await producer.send(r.topic, value=r.value, key=r.key, headers=list(r.headers)) for r in records
                ]
                places = await asyncio.gather(*sent)
            except (KafkaError, OSError, TimeoutError):
                self._discard(producer)
                raise
        return [(Partition(place.topic, place.partition), place.offset) for place in places]

    async def _ready_producer(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, **_PRODUCER)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _discard(self, producer: AIOKafkaProducer) -> None:
        """After a failure the sequence of an idempotent producer has a gap; a new one starts afresh."""
        if self._producer is producer:
            self._producer = None
        task = asyncio.create_task(producer.stop())  # waits for what is under way; nobody waits for it
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    def consumer(self, group: str, topics: Sequence[str]) -> KafkaConsumer:
        """See Bus."""
        return KafkaConsumer(self._bootstrap, group, topics)

    async def end_offsets(self, topic: str) -> dict[Partition, int]:
        """See Bus."""
        async with _translated():
            async with self._opening:
                if self._looker is None:
                    self._looker = await _started(AIOKafkaConsumer(bootstrap_servers=self._bootstrap, **_CONSUMER))
                looker = self._looker
            numbers = await (await self._ready_producer()).partitions_for(topic)
            ends = await looker.end_offsets([TopicPartition(topic, number) for number in sorted(numbers)])
        return {Partition(*place): end for place, end in ends.items()}

    async def close(self) -> None:
        """See Bus."""
        with contextlib.suppress(KafkaError):
            if self._producer is not None:
                await self._producer.stop()
        with contextlib.suppress(KafkaError):
            if self._looker is not None:
                await self._looker.stop()
        if self._retired:
            await asyncio.wait(self._retired, timeout=CLOSE_TIMEOUT)
        self._producer = self._looker = None


async def _started(consumer: AIOKafkaConsumer) -> AIOKafkaConsumer:
    try:
        await consumer.start()
    except BaseException:
        await consumer.stop()
        raise
    return consumer


class KafkaConsumer:
    """A member of a Kafka group."""

    def __init__(self, bootstrap: str, group: str, topics: Sequence[str]) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topics = list(topics)
        self._consumer: AIOKafkaConsumer | None = None
        self._on_assigned: OnPartitions | None = None

    async def start(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        """See Consumer."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, group_id=self._group, **_CONSUMER)
        consumer.subscribe(self._topics, listener=_Listener(on_assigned, on_revoked))
        self._on_assigned = on_assigned
        self._consumer = consumer  # the listener is called while it starts
        async with _translated():
            await _started(consumer)

    @property
    def _member(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the consumer has not been started")
        return self._consumer

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, list[Record]]:
        """See Consumer."""
        async with _translated():
            try:
                async with asyncio.timeout(timeout + STUCK_POLL):
                    found = await self._member.getmany(timeout_ms=int(timeout * 1000), max_records=max_records)
            except NoOffsetForPartitionError:
                return {}  # assigned, but nobody has said yet from where to read
            except OffsetOutOfRangeError as error:
                await self._out_of_range(error)
                return {}
        return {Partition(*place): [_record(message) for message in messages] for place, messages in found.items()}

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """The log has moved away from under us: have the partitions assigned anew, so that they are sought again."""
        assert self._on_assigned is not None
        places = {Partition(*place) for argument in error.args if isinstance(argument, dict) for place in argument}
        await self._on_assigned(places & self.assigned() or self.assigned())

    def assigned(self) -> set[Partition]:
        """See Consumer."""
        return {Partition(*place) for place in self._member.assignment()}

    async def seek(self, partition: Partition, offset: int) -> int:
        """See Consumer."""
        place = TopicPartition(*partition)
        async with _translated():
            first = (await self._member.beginning_offsets([place]))[place]
            end = (await self._member.end_offsets([place]))[place]
        taken = offset if first <= offset <= end else first
        with contextlib.suppress(IllegalStateError):
            self._member.seek(place, taken)
        return taken

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See Consumer."""
        self._each(self._member.pause, partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See Consumer."""
        self._each(self._member.resume, partitions)

    def _each(self, act: Callable[..., None], partitions: Iterable[Partition]) -> None:
        for partition in self.assigned() & set(partitions):
            with contextlib.suppress(IllegalStateError):
                act(TopicPartition(*partition))

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See Consumer."""
        mine = {TopicPartition(*p): offset for p, offset in offsets.items() if p in self.assigned()}
        async with _translated():
            if mine:
                with contextlib.suppress(IllegalStateError):
                    await self._member.commit(mine)

    async def stop(self) -> None:
        """See Consumer."""
        if self._consumer is not None:
            async with _translated():
                await self._consumer.stop()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if places := {Partition(*place) for place in revoked}:
            await self._on_revoked(places)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        if places := {Partition(*place) for place in assigned}:
            await self._on_assigned(places)


def _record(message: Any) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple([(name, value or b"") for name, value in message.headers]) if message.headers else (),
        message.timestamp * 1000,
    )
