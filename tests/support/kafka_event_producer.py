"""Publishes events to Kafka in both modes of CloudEvents, as another team's producer does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

SOURCE = "/shop"
GIVE_UP = 120.0
"""Seconds for which a record is tried again."""


class Sent(NamedTuple):
    """An event, and the form it travels in."""

    id: str
    type: str
    customer: str
    data: dict[str, Any]
    binary: bool = False

    def record(self) -> tuple[bytes, list[tuple[str, bytes]]]:
        """Value and headers."""
        fields = {"specversion": "1.0", "id": self.id, "source": SOURCE, "type": self.type, "subject": self.customer}
        fields["time"] = datetime.now(UTC).isoformat()
        if self.binary:
            return json.dumps(self.data).encode(), [(f"ce_{name}", text.encode()) for name, text in fields.items()]
        return json.dumps({**fields, "data": self.data}).encode(), []


class Record(NamedTuple):
    """Bytes as they are, for what is no event."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Shop:
    """A producer, and the history of what it has sent (H_in)."""

    producer: AIOKafkaProducer
    topic: str
    sent: list[Sent] = field(default_factory=list)

    async def send(self, *events: Sent) -> None:
        """Send in order, and return when Kafka has them all; what fails is sent again, which may repeat it."""
        self.sent += events
        for event in events:
            value, headers = event.record()
            await self._taken(event.customer.encode(), value, headers)

    async def raw(self, records: Sequence[Record]) -> None:
        """Send bytes."""
        for record in records:
            await self._taken(record.key, record.value, list(record.headers))

    async def _taken(self, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        deadline = time.monotonic() + GIVE_UP
        while True:
            try:
                async with asyncio.timeout(15):
                    await self.producer.send_and_wait(self.topic, value=value, key=key, headers=headers)
                return
            except (KafkaError, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)

    async def greet(self, documents: dict[str, dict[str, Any]]) -> None:
        """Tell preference about customers."""
        await self.send(
            *(Sent(f"hello-{name}", "tactful.preference.changed", name, data) for name, data in documents.items())
        )


@asynccontextmanager
async def shop(bootstrap: str, topic: str) -> AsyncIterator[Shop]:
    """A producer that waits for all replicas."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0, request_timeout_ms=10_000)
    await producer.start()
    try:
        yield Shop(producer, topic)
    finally:
        await producer.stop()
