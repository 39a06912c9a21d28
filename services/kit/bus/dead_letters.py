"""Dead letters: records that could not be applied, stored with their original bytes and the reason, and relayed to the
dead-letter topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from services.kit.bus.partition_lease import PARTITION_COLUMNS
from services.kit.bus.protocol import Bus, Headers, Outgoing, Partition, Record
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock, Instant

_MAX_MESSAGE_LENGTH = 500
_RECORD_COLUMNS = ("topic", "partition", "offset", "timestamp", "key", "value", "headers", "stage")
_ERROR_COLUMNS = ("error_class", "error_message", "attempts", "at", "state")
_INSERT = f"""
    INSERT INTO dead_letter ({", ".join(f'"{name}"' for name in _RECORD_COLUMNS + _ERROR_COLUMNS)})
    VALUES ({", ".join(f":{name}" for name in _RECORD_COLUMNS + _ERROR_COLUMNS)})
"""
_UNPUBLISHED = """
    SELECT id, topic, partition, "offset", timestamp, key, value, headers, stage, error_class, error_message, attempts
    FROM dead_letter WHERE published IS NULL {ours} ORDER BY id LIMIT :limit
"""
_encode = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


async def store_dead_letter(
    tx: Tx, record: Record, error: BaseException, *, stage: str, attempts: int, at: Instant
) -> None:
    """Stores a dead letter, in the transaction that moves the offset past the record.

    Of the error message only the first line is kept: databases put values of the row into the others.
    """
    error_message_line = (str(error).splitlines() or [""])[0]
    await tx.execute(
        _INSERT,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key=record.key,
        value=record.value,
        headers=_encode(record.headers),
        stage=stage,
        error_class=type(error).__name__,
        error_message=error_message_line.replace("\x00", "")[:_MAX_MESSAGE_LENGTH].encode(errors="replace").decode(),
        attempts=attempts,
        at=at,
        state="open",
    )


def to_outgoing(row: Row[Any]) -> Outgoing:
    """Returns the record as it was on its topic, to be published again: same key, value and headers."""
    return Outgoing(row.topic, row.key, row.value, _decode_headers(row.headers))


def _error_headers(row: Row[Any]) -> Headers:
    fields = {
        "dlq.topic": row.topic,
        "dlq.partition": row.partition,
        "dlq.offset": row.offset,
        "dlq.timestamp": row.timestamp,
        "dlq.error.class": row.error_class,
        "dlq.error.message": row.error_message,
        "dlq.stage": row.stage,
        "dlq.attempts": row.attempts,
    }
    return tuple((name, str(value).encode()) for name, value in fields.items())


class DeadLetterRelay:
    """Relays dead letters to the dead-letter topic, each at least once, in order.

    With `owned`, only those of partitions that this process owns, so that replicas do not publish the same ones.
    """

    def __init__(
        self,
        bus: Bus,
        database: Database,
        topic: str,
        clock: Clock,
        *,
        owned: Callable[[], Iterable[Partition]] | None = None,
        limit: int = 200,
    ) -> None:
        self._bus = bus
        self._database = database
        self._topic = topic
        self._clock = clock
        self._owned = owned
        self._limit = limit

    async def publish_waiting(self) -> int:
        """Publishes at most `limit` waiting dead letters; returns how many. Raises Transient."""
        async with self._database.read() as tx:
            rows = await self._unpublished(tx)
        if not rows:
            return 0
        await self._bus.publish(
            [
                Outgoing(self._topic, row.key, row.value, _decode_headers(row.headers) + _error_headers(row))
                for row in rows
            ]
        )
        async with self._database.write() as tx:
            ids = tx.list_parameter([row.id for row in rows])
            sql = f"UPDATE dead_letter SET published = :now WHERE {tx.in_list('id', 'ids', 'bigint')}"
            await tx.execute(sql, now=self._clock.now(), ids=ids)
        return len(rows)

    async def _unpublished(self, tx: Tx) -> Sequence[Row[Any]]:
        if self._owned is None:
            return await tx.rows(_UNPUBLISHED.format(ours=""), limit=self._limit)
        ours = f"AND (topic, partition) IN (SELECT topic, partition FROM {tx.table_parameter('o', PARTITION_COLUMNS)})"
        owned = tx.bind_table_parameter("o", PARTITION_COLUMNS, sorted(self._owned()))
        return await tx.rows(_UNPUBLISHED.format(ours=ours), limit=self._limit, **owned)

    async def publish_until_cancelled(self, interval: float = 1.0) -> None:
        """Publishes for ever, polling every `every` seconds; transient errors are retried."""
        while True:
            try:
                full = await self.publish_waiting() == self._limit
            except Transient as error:
                full = False
                log("dead_letter_relay_waits", level="warning", reason=error.code)
            if not full:
                await asyncio.sleep(interval)
