"""The adapter `kafka_topic`: one record for each message, which is accepted once the brokers have confirmed it."""

from collections.abc import Callable, Sequence

from schemas.message import HandoverResult, Message
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.adapters.kafka_topic.record import HEADERS, encode_record
from services.orchestrator.delivery.adapters.kafka_topic.topic_writer import NotConnected, TopicWriter, WriteResult
from services.orchestrator.delivery.deadline import PastDeadline

PATIENCE_OF_SLACK = 0.4
"""Which part of the slack of deadlines the brokers may take: the alarm may fire half of it after the first byte."""


class KafkaTopicAdapter:
    """The reader is expected to take each message id once, as a record may be written again after an unknown outcome.

    `patience`: seconds that the brokers may take to confirm a batch.
    """

    name = "kafka_topic"
    idempotent = True

    def __init__(self, connect: Callable[[], KafkaConnection], topic: str, max_bytes: int, patience: float) -> None:
        self._writer = TopicWriter(connect, topic, max_bytes)
        self._max_bytes = max_bytes
        self._patience = patience

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """Writes all records together, and waits until the brokers have them."""
        results: dict[str, HandoverResult] = {}
        records: dict[str, tuple[bytes, bytes]] = {}
        for message in messages:
            key, value = encode_record(message)
            if len(key) + len(value) > self._max_bytes:
                detail = f"{len(key) + len(value)} bytes"
                results[message.id] = HandoverResult(message.id, "rejected", detail=detail, fault="content")
            else:
                records[message.id] = (key, value)
        try:
            if records:
                await self._writer.connect()
        except NotConnected as error:
            results |= {id: HandoverResult(id, "retry", detail=error.detail, fault=error.fault) for id in records}
        else:
            results |= await self._write_all(records, first_byte)
        return [results[message.id] for message in messages]

    async def _write_all(
        self, records: dict[str, tuple[bytes, bytes]], first_byte: FirstByteGuard
    ) -> dict[str, HandoverResult]:
        results: dict[str, HandoverResult] = {}
        begun: list[str] = []
        for id in records:
            try:
                first_byte.before(id)
                begun.append(id)
            except PastDeadline:
                results[id] = past_deadline_result(id)
        try:
            written = await self._writer.write_records([records[id] for id in begun], HEADERS, self._patience)
        except NotConnected as error:
            written = [WriteResult("retry", detail=error.detail, fault=error.fault)] * len(begun)
        finally:
            # The producer writes by itself: until it has confirmed a record, or is ended, its first byte may come.
            for id in begun:
                first_byte.after(id)
        for id, (outcome, place, detail, fault) in zip(begun, written, strict=True):
            results[id] = HandoverResult(id, outcome, place, detail, fault=fault)
        return results

    async def close(self) -> None:
        """Ends the producer."""
        await self._writer.close()


def create_adapter(context: AdapterContext) -> KafkaTopicAdapter:
    """The adapter for the declared settings. Raises SettingsError without a topic, for a topic of Tactful's own, and
    where there is no Kafka.
    """
    if context.settings.topic is None:
        raise SettingsError("TACTFUL_KAFKA_TOPIC__TOPIC is not set, and this process needs it")
    if context.settings.topic in context.own_topics:
        raise SettingsError(
            f"TACTFUL_KAFKA_TOPIC__TOPIC: `{context.settings.topic}` is a topic of Tactful's own, and messages hold "
            "addresses and contents: give them a topic of their own"
        )
    if context.connect_kafka is None:
        raise SettingsError("the adapter kafka_topic needs Kafka, and the log of this installation is a file")
    patience = min(context.timeout, context.slack * PATIENCE_OF_SLACK)
    settings = context.settings
    return KafkaTopicAdapter(context.connect_kafka, settings.topic, settings.max_bytes, patience)
