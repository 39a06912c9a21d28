"""Writes records to one topic, and knows of each whether the brokers have it; after an error it writes nothing more.

The producer is idempotent and every replica in sync must confirm a record. What is not confirmed in time is given up:
the producer is ended at once, so that nothing of it reaches the brokers later, past the deadline of its handover.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalArgumentError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from schemas.message import HandoverFault, HandoverOutcome
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.producer_end import end_producer

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that the first connection, and the question where the topic is, may take. Nothing is written meanwhile."""
_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordTooLargeError)
_REFUSED: Final = (TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
_OVERHEAD: Final = 512
"""Bytes that a batch may add to its only record."""


class WriteResult(NamedTuple):
    """What became of a record. `place`: partition and offset, of one that the brokers have."""

    outcome: HandoverOutcome
    place: str | None = None
    detail: str | None = None
    fault: HandoverFault | None = None


class NotConnected(Exception):
    """The topic cannot be written to, and nothing was written. `detail`: why; `fault`: as in HandoverResult."""

    def __init__(self, detail: str, fault: HandoverFault | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fault = fault


class TopicWriter:
    """One producer for one topic, opened when it is needed. `connection` reads the files that the settings name."""

    def __init__(self, connection: Callable[[], KafkaConnection], topic: str, max_bytes: int) -> None:
        self._connection = connection
        self._topic = topic
        self._max_bytes = max_bytes
        self._producer: AIOKafkaProducer | None = None
        self._open_lock = asyncio.Lock()

    async def connect(self) -> AIOKafkaProducer:
        """The producer, which knows where the topic's partitions are. Raises NotConnected."""
        async with self._open_lock:
            if self._producer is not None:
                return self._producer
            producer = AIOKafkaProducer(
                **self._connection().arguments(),
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_request_size=self._max_bytes + _OVERHEAD,
            )
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await producer.start()
                    await _find_topic(producer, self._topic)
            except (KafkaError, OSError, TimeoutError) as error:
                await end_producer(producer)
                fault: HandoverFault | None = "account" if isinstance(error, _REFUSED) else None
                raise NotConnected(type(error).__name__, fault) from error
            except BaseException:
                await end_producer(producer)
                raise
            self._producer = producer
            return producer

    async def write_records(
        self, records: Sequence[tuple[bytes, bytes]], headers: Sequence[tuple[str, bytes]], patience: float
    ) -> list[WriteResult]:
        """What became of each record (key, value), `patience` seconds from now at the latest. Raises NotConnected."""
        producer = await self.connect()
        sent: list[asyncio.Future[Any] | WriteResult] = []
        ends = asyncio.get_running_loop().time() + patience
        try:
            async with asyncio.timeout_at(ends):
                for key, value in records:
                    try:
                        sent.append(await producer.send(self._topic, value=value, key=key, headers=list(headers)))
                    except (KafkaError, IllegalArgumentError) as error:
                        sent.append(_of_error(error, written=False))
                futures = [each for each in sent if isinstance(each, asyncio.Future)]
                if futures:
                    await asyncio.wait(futures)
        except TimeoutError:
            pass
        results = [each if isinstance(each, WriteResult) else _of_future(each) for each in sent]
        if len(sent) < len(records):  # the time was over while the next one was given to the producer
            results.append(WriteResult("unknown", detail="not confirmed in time"))
            results += [WriteResult("retry", detail="not sent in time")] * (len(records) - len(results))
        if any(not isinstance(each, WriteResult) and not _is_confirmed(each) for each in sent) or len(sent) < len(
            records
        ):
            await self._discard(producer)  # the sequence of an idempotent producer has a gap now
        return results

    async def close(self) -> None:
        """Ends the producer."""
        if self._producer is not None:
            await self._discard(self._producer)

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        await end_producer(producer)


async def _find_topic(producer: AIOKafkaProducer, topic: str) -> None:
    """Asks where the topic's partitions are. Raises what keeps us from it: aiokafka itself would ask again for ever."""
    client = producer.client
    await client.add_topic(topic)
    if topic in client.cluster.unauthorized_topics:
        raise TopicAuthorizationFailedError(topic)
    if not client.cluster.partitions_for_topic(topic):
        raise UnknownTopicOrPartitionError(topic)


def _is_confirmed(future: "asyncio.Future[Any]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _of_future(future: "asyncio.Future[Any]") -> WriteResult:
    if not future.done() or future.cancelled():
        return WriteResult("unknown", detail="not confirmed in time")
    if (error := future.exception()) is not None:
        return _of_error(error, written=True)
    place = future.result()
    return WriteResult("accepted", f"{place.partition}:{place.offset}")


def _of_error(error: BaseException, *, written: bool) -> WriteResult:
    """What an error says of its record. Kafka refuses a record for its size, or for our rights, before it keeps it."""
    name = type(error).__name__
    if isinstance(error, _TOO_LARGE):
        return WriteResult("rejected", detail=name, fault="content")
    if isinstance(error, _REFUSED):
        return WriteResult("retry", detail=name, fault="account")
    return WriteResult("unknown" if written else "retry", detail=name)
