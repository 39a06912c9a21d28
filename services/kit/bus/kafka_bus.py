"""The bus on Apache Kafka, by aiokafka. Every setting that safety depends on is set explicitly here.

aiokafka sends heartbeats and rebalances in its own tasks on our event loop: nothing here may block.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalArgumentError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from services.kit.bus.kafka_connection import KafkaConnection, find_broker
from services.kit.bus.kafka_publisher import KafkaPublisher
from services.kit.bus.protocol import OnPartitions, Outgoing, Partition, Record
from services.kit.errors import BusGone, TooLarge
from services.kit.observability.dependency import PROBE_TIMEOUT, Dependency

REQUEST_TIMEOUT_MS = 30_000
"""Longer than a broker's fail-over; otherwise the producer reports time-outs for writes that will succeed."""
POLL_GRACE = 10.0
"""Seconds beyond its time-out after which a poll is cancelled: aiokafka may wait for ever in a rebalance."""
PUBLISH_TIMEOUT = 4.0
"""Seconds that `publish` waits for the brokers: callers over HTTP have their answer within 5 s."""
OFFSETS_TIMEOUT = 5.0
"""Seconds that a question for offsets may take."""
START_TIMEOUT = 15.0
"""Seconds that the first answer of the brokers may take when a process starts."""
CLOSE_TIMEOUT = 5.0
"""Seconds that closing a client may take. aiokafka waits for brokers to confirm what is under way, however long."""
MAX_RECORD_BYTES = 2 * 1024 * 1024
"""The largest record in bytes, key and headers included, that the producer takes. The broker may take less."""

_PRODUCER_CONFIG = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
    "max_batch_size": 256 * 1024,
    "max_request_size": MAX_RECORD_BYTES,
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
}
_COMPACTED = {"cleanup.policy": "compact"}
_CONSUMER_CONFIG = {
    # A record is sent at once; the consume loop's pace keeps a steady trickle from being read record by record
    "fetch_min_bytes": 1,
    "fetch_max_wait_ms": 1000,
    "consumer_timeout_ms": 1000,  # how often a fetcher looks whether there is anything to do that nobody told it
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


_NOT_ALLOWED = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


@contextlib.asynccontextmanager
async def _translate_kafka_errors(timeout: float | None = None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout):
            yield
    except (MessageSizeTooLargeError, RecordTooLargeError) as error:
        raise TooLarge(f"a record is larger than {MAX_RECORD_BYTES} bytes, or than the broker takes") from error
    except (IllegalArgumentError, IllegalStateError):
        raise  # our mistake: it will not pass
    except TimeoutError as error:
        within = "in time" if timeout is None else f"within {timeout:g} s"
        raise BusGone(f"Kafka did not answer {within}", retry_after=2.0) from error
    except _NOT_ALLOWED as error:
        what = ", ".join([type(error).__name__.removesuffix("Error"), *map(str, error.args)])
        detail = f"Kafka does not let this process use it ({what}): grant what docs/kafka.md lists"
        raise BusGone(detail, retry_after=5.0) from error
    except (KafkaError, OSError) as error:
        raise BusGone(f"Kafka does not answer ({type(error).__name__})", retry_after=2.0) from error


class KafkaBus:
    """A Bus on Kafka brokers. `dependency`: whether they answer; `probe` asks them (see `watch_dependency`).

    While they are known not to answer, `publish` and `end_offsets` raise at once.
    """

    def __init__(self, connection: KafkaConnection, identity: str | None = None) -> None:
        """`identity`: what consumers of this process are called in their groups, see member_identity."""
        self._identity = identity
        self.dependency = Dependency("kafka", connection.bootstrap)
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None
        self._offset_reader: AIOKafkaConsumer | None = None
        self._probe_client: AIOKafkaClient | None = None
        self._topics: tuple[str, ...] = ()
        self._closing: set[asyncio.Task[None]] = set()
        self._open_lock = asyncio.Lock()

    def is_lost(self) -> bool:
        """See Bus."""
        return self.dependency.is_lost

    @property
    def probe_timeout(self) -> float:
        """Seconds that a probe may take: brokers are asked one after the other until one answers."""
        return PROBE_TIMEOUT * len(self._connection.brokers())

    async def probe(self) -> None:
        """Asks for the brokers' metadata, on a connection of its own. Raises BusGone, which says why none answers."""
        client, self._probe_client = self._probe_client, None
        timeout = PROBE_TIMEOUT * 0.8
        try:
            if client is None:
                arguments = self._connection.arguments()
                arguments["bootstrap_servers"] = await find_broker(self._connection, timeout)
                client = AIOKafkaClient(**arguments, request_timeout_ms=round(timeout * 1000))
                await client.bootstrap()
                client.set_topics(self._topics)  # else each probe would read the metadata of every topic there is
            if not await client.force_metadata_update():
                advertised = [(broker.host, broker.port) for broker in client.cluster.brokers()]
                await find_broker(self._connection, timeout, advertised or None)
                # It answers: it had ended the connection, as brokers do with tokens that are over.
                if not await client.force_metadata_update():
                    raise BusGone("no broker has answered", retry_after=2.0)
        except BaseException:
            # The next probe starts from the configured addresses: the brokers may have come back at others.
            if client is not None:
                self._close_in_background(client.close())
            raise
        self._probe_client = client

    async def ensure_topics(self, topics: Mapping[str, int], *, compacted: Collection[str] = ()) -> None:
        """See Bus. With three brokers or more: three replicas, of which two must confirm a record."""
        self._topics = tuple(topics)
        admin = AIOKafkaAdminClient(**self._connection.arguments(), request_timeout_ms=REQUEST_TIMEOUT_MS)
        async with _translate_kafka_errors(START_TIMEOUT):
            try:
                await admin.start()
                present = set(await admin.list_topics())
                replicas = min(3, len((await admin.describe_cluster())["brokers"]))
                configs = {"min.insync.replicas": str(max(1, replicas - 1)), "unclean.leader.election.enable": "false"}
                missing = [
                    NewTopic(
                        name, partitions, replicas, topic_configs=configs | (_COMPACTED if name in compacted else {})
                    )
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
        self._refuse_while_lost("nothing has been published")
        async with _translate_kafka_errors(PUBLISH_TIMEOUT):
            producer = await self._open_producer()
            try:
                sent = [
                    await producer.send(r.topic, value=r.value, key=r.key, headers=list(r.headers)) for r in records
                ]
                places = await asyncio.gather(*sent)
            except (KafkaError, OSError, asyncio.CancelledError):  # a time-out arrives as a cancellation
                self._discard_producer(producer)
                raise
        return [(Partition(place.topic, place.partition), place.offset) for place in places]

    def _refuse_while_lost(self, consequence: str) -> None:
        if self.is_lost():
            raise BusGone(f"Kafka does not answer, so {consequence}", retry_after=5.0)

    async def _open_producer(self) -> AIOKafkaProducer:
        async with self._open_lock:
            if self._producer is None:
                producer = AIOKafkaProducer(**self._connection.arguments(), **_PRODUCER_CONFIG)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    def _discard_producer(self, producer: AIOKafkaProducer) -> None:
        """Discards a producer after a failure, because the sequence of an idempotent producer then has a gap."""
        if self._producer is producer:
            self._producer = None
            self._close_in_background(_abort_producer(producer))

    def _close_in_background(self, close: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(close)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def publisher(self, name: str) -> KafkaPublisher:
        """See Bus."""
        return KafkaPublisher(self._connection, _PRODUCER_CONFIG, name, _translate_kafka_errors)

    def consumer(self, group: str, topics: Sequence[str]) -> KafkaConsumer:
        """See Bus."""
        return KafkaConsumer(self._connection, group, topics, self._identity)

    async def end_offsets(self, topic: str) -> dict[Partition, int]:
        """See Bus."""
        self._refuse_while_lost("the end of the log is unknown")
        async with _translate_kafka_errors(OFFSETS_TIMEOUT):
            async with self._open_lock:
                if self._offset_reader is None:
                    self._offset_reader = await _start_consumer(
                        AIOKafkaConsumer(**self._connection.arguments(), **_CONSUMER_CONFIG)
                    )
                reader = self._offset_reader
            numbers = await (await self._open_producer()).partitions_for(topic)
            ends = await reader.end_offsets([TopicPartition(topic, number) for number in sorted(numbers)])
        return {Partition(*place): end for place, end in ends.items()}

    async def retention(self, topic: str) -> float | None:
        """See Bus. A compacted topic keeps records for ever. Needs the right to describe the topic's configuration."""
        admin = AIOKafkaAdminClient(**self._connection.arguments(), request_timeout_ms=REQUEST_TIMEOUT_MS)
        async with _translate_kafka_errors(START_TIMEOUT):
            try:
                await admin.start()
                wanted = {"retention.ms": None, "cleanup.policy": None}
                (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, wanted)])
                ((code, *_, entries),) = answer.resources
                if code:
                    raise for_code(code)()
            finally:
                await admin.close()
        values = {name: value for name, value, *_ in entries}
        milliseconds = int(values["retention.ms"])
        return None if milliseconds < 0 or "delete" not in values["cleanup.policy"] else milliseconds / 1000

    async def close(self) -> None:
        """See Bus. Takes no longer than CLOSE_TIMEOUT, whether or not the brokers answer."""
        if self._producer is not None:
            self._close_in_background(self._producer.stop())
        if self._offset_reader is not None:
            self._close_in_background(self._offset_reader.stop())
        if self._probe_client is not None:
            self._close_in_background(self._probe_client.close())
        self._producer = self._offset_reader = self._probe_client = None
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._closing, return_exceptions=True)


async def _abort_producer(producer: AIOKafkaProducer) -> None:
    """Closes a producer without sending what it still holds: its callers have been told that this failed.

    The producer's own `stop` waits until the brokers have confirmed everything, which after an outage would publish
    records long after the answer. Nothing public ends the sending task, so this reaches into aiokafka.
    """
    await asyncio.sleep(PUBLISH_TIMEOUT)  # for as long, other calls of `publish` may still wait for this producer
    with contextlib.suppress(KafkaError):
        await producer._sender.close()
        producer._message_accumulator._batches.clear()
        await producer.stop()


async def _start_consumer(consumer: AIOKafkaConsumer) -> AIOKafkaConsumer:
    try:
        await consumer.start()
    except BaseException:
        await consumer.stop()
        raise
    return consumer


class KafkaConsumer:
    """A member of a Kafka group."""

    def __init__(
        self, connection: KafkaConnection, group: str, topics: Sequence[str], identity: str | None = None
    ) -> None:
        """`identity`: see member_identity."""
        self._connection = connection
        self._identity = identity
        self._group = group
        self._topics = list(topics)
        self._consumer: AIOKafkaConsumer | None = None
        self._on_assigned: OnPartitions | None = None

    async def start(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        """See Consumer."""
        consumer = AIOKafkaConsumer(
            **self._connection.arguments(), group_id=self._group, group_instance_id=self._identity, **_CONSUMER_CONFIG
        )
        consumer.subscribe(self._topics, listener=_RebalanceListener(on_assigned, on_revoked))
        self._on_assigned = on_assigned
        self._consumer = consumer  # the listener is called while it starts
        async with _translate_kafka_errors():
            await _start_consumer(consumer)

    @property
    def _started_consumer(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the consumer has not been started")
        return self._consumer

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, list[Record]]:
        """See Consumer."""
        async with _translate_kafka_errors():
            try:
                async with asyncio.timeout(timeout + POLL_GRACE):
                    found = await self._started_consumer.getmany(
                        timeout_ms=int(timeout * 1000), max_records=max_records
                    )
            except NoOffsetForPartitionError:
                return {}  # assigned, but nobody has said yet from where to read
            except OffsetOutOfRangeError as error:
                await self._reassign_out_of_range(error)
                return {}
        return {Partition(*place): [_to_record(message) for message in messages] for place, messages in found.items()}

    async def _reassign_out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """Handles offsets that are out of range: has the partitions assigned anew, so that they are sought again."""
        assert self._on_assigned is not None
        places = {Partition(*place) for argument in error.args if isinstance(argument, dict) for place in argument}
        await self._on_assigned(places & self.assigned() or self.assigned())

    def assigned(self) -> set[Partition]:
        """See Consumer."""
        return {Partition(*place) for place in self._started_consumer.assignment()}

    async def seek(self, partition: Partition, offset: int) -> int:
        """See Consumer."""
        place = TopicPartition(*partition)
        async with _translate_kafka_errors(OFFSETS_TIMEOUT):
            first = (await self._started_consumer.beginning_offsets([place]))[place]
            end = (await self._started_consumer.end_offsets([place]))[place]
        taken = offset if first <= offset <= end else first
        with contextlib.suppress(IllegalStateError):
            self._started_consumer.seek(place, taken)
        return taken

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See Consumer."""
        self._for_assigned(self._started_consumer.pause, partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See Consumer."""
        self._for_assigned(self._started_consumer.resume, partitions)

    def _for_assigned(self, act: Callable[..., None], partitions: Iterable[Partition]) -> None:
        for partition in self.assigned() & set(partitions):
            with contextlib.suppress(IllegalStateError):
                act(TopicPartition(*partition))

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See Consumer."""
        owned_offsets = {TopicPartition(*p): offset for p, offset in offsets.items() if p in self.assigned()}
        async with _translate_kafka_errors():
            if owned_offsets:
                with contextlib.suppress(IllegalStateError):
                    await self._started_consumer.commit(owned_offsets)

    async def stop(self) -> None:
        """See Consumer. Raises BusGone after CLOSE_TIMEOUT: the group then expels this member by itself."""
        if self._consumer is not None:
            # aiokafka lets members with an identity never leave; one that ends in order is not to be waited for.
            self._consumer._coordinator._group_instance_id = None
            async with _translate_kafka_errors(CLOSE_TIMEOUT):
                try:
                    await self._consumer.stop()
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    # It cancels a fetch that is about to be tried again, takes the end of that for ours, and stops
                    # half way.
                    await self._consumer._client.close()


class _RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if places := {Partition(*place) for place in revoked}:
            await self._on_revoked(places)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        if places := {Partition(*place) for place in assigned}:
            await self._on_assigned(places)


def _to_record(message: Any) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple([(name, value or b"") for name, value in message.headers]) if message.headers else (),
        message.timestamp * 1000,
    )
