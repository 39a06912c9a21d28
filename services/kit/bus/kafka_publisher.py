"""The publisher of a name on Kafka: a producer with a transactional id, of which the brokers let only the newest write.

Transactions are used for nothing but this fence, and to take a batch back that was written in part. What consumers of
ours have done is never kept in them (docs/decisions/0003).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.producer_end import end_producer
from services.kit.bus.protocol import Outgoing

TRANSACTION_TIMEOUT_MS: Final = 30_000
"""Milliseconds after which the brokers end a transaction whose producer is gone. The next producer ends it at once."""
PUBLISH_TIMEOUT: Final = 15.0
"""Seconds that a batch may take."""
OPEN_TIMEOUT: Final = 15.0
"""Seconds that the brokers may take to make a producer the newest."""
ABORT_TIMEOUT: Final = 2.0
"""Seconds that taking a batch back may take; where it does not, the next producer of the name does so."""

TranslateErrors = Callable[[float], AbstractAsyncContextManager[None]]


class KafkaPublisher:
    """See Publisher. `translate_errors`: makes of Kafka's errors those of the bus."""

    def __init__(
        self, connection: KafkaConnection, config: dict[str, Any], name: str, translate_errors: TranslateErrors
    ) -> None:
        self._producer = AIOKafkaProducer(
            **connection.arguments(),
            **config,
            transactional_id=f"tactful-publisher-{name}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        )
        self._translate_errors = translate_errors

    async def start(self) -> None:
        """See Publisher."""
        async with self._translate_errors(OPEN_TIMEOUT):
            try:
                await self._producer.start()
            except BaseException:
                await self.close()
                raise

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """See Publisher. After an error the publisher must be closed."""
        if not records:
            return
        async with self._translate_errors(PUBLISH_TIMEOUT):
            await self._producer.begin_transaction()
            sent = [
                await self._producer.send(each.topic, value=each.value, key=each.key, headers=list(each.headers))
                for each in records
            ]
            for each in sent:
                each.add_done_callback(_see_error)  # of several that fail, only the first is raised below
            await asyncio.gather(*sent)
            await self._producer.commit_transaction()

    async def close(self) -> None:
        """See Publisher."""
        try:
            async with asyncio.timeout(ABORT_TIMEOUT):
                await self._producer.stop()
        except Exception:
            await end_producer(self._producer)
        except BaseException:
            await end_producer(self._producer)
            raise


def _see_error(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
