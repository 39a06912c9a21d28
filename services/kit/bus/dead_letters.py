"""Dead letters: records that could not be applied, stored with their original bytes and the reason, and relayed to the
dead-letter topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from schemas.event import InvalidEvent, peek_identity
from services.kit.bus.partition_lease import PARTITION_COLUMNS
from services.kit.bus.protocol import Bus, Headers, Outgoing, Partition, Record
from services.kit.db.database import Database, Tx
from services.kit.db.tables import decode_headers
from services.kit.errors import RecordProblem, TactfulError, Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock, Instant
from services.kit.runtime.periodic import sleep_unless_set

RELAY_INTERVAL = 5.0
"""Seconds between two looks for dead letters that nobody has notified, as those of another process that has ended."""
DEAD_LETTER_STORED = "dead_letter_stored"
"""The channel of notifications that relays listen to."""
_MAX_MESSAGE_LENGTH = 500
_MAX_PROBLEMS = 50
PROBLEM_FIELDS = ("pointer", "code", "detail")
"""What is kept of a problem."""
_RECORD_COLUMNS = ("topic", "partition", "offset", "timestamp", "key", "value", "headers", "stage")
_ERROR_COLUMNS = ("error_class", "error_message", "attempts", "at", "state")
_IDENTITY_COLUMNS = ("event_source", "event_id", "event_type", "customer", "problems")
_INSERT_COLUMNS = _RECORD_COLUMNS + _ERROR_COLUMNS + _IDENTITY_COLUMNS
_INSERT = f"""
    INSERT INTO dead_letter ({", ".join(f'"{name}"' for name in _INSERT_COLUMNS)})
    VALUES ({", ".join(f":{name}" for name in _INSERT_COLUMNS)})
"""
_UNPUBLISHED = """
    SELECT id, topic, partition, "offset", timestamp, key, value, headers, stage, error_class, error_message, attempts
    FROM dead_letter WHERE published IS NULL {ours} ORDER BY id LIMIT :limit
"""
_encode = msgspec.msgpack.Encoder().encode
_encode_problems = msgspec.json.Encoder().encode
_decode_problems = msgspec.json.Decoder(tuple[RecordProblem, ...]).decode


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be applied. Of its event's identity, what could be read; `customer` is whom it names."""

    id: int
    record: Record
    stage: str
    error_class: str
    error_message: str
    problems: tuple[RecordProblem, ...]
    attempts: int
    at: Instant
    state: Literal["open", "redriven", "discarded"]
    event_source: str | None
    event_id: str | None
    event_type: str | None
    customer: str | None
    closed_at: Instant | None
    closed_by: str | None
    close_reason: str | None


async def store_dead_letter(
    tx: Tx, record: Record, error: BaseException, *, stage: str, attempts: int, at: Instant
) -> None:
    """Stores a dead letter, in the transaction that moves the offset past the record.

    Of the error message only the first line is kept: databases put values of the row into the others.
    """
    identity = peek_identity(record.key, record.headers, record.value)
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
        error_message=first_line(str(error)),
        attempts=attempts,
        at=at,
        state="open",
        event_source=identity.source,
        event_id=identity.id,
        event_type=identity.type,
        customer=identity.customer,
        problems=encode_problems(problems_of(error)),
    )
    await tx.notify(DEAD_LETTER_STORED)


def problems_of(error: BaseException) -> tuple[RecordProblem, ...]:
    """What is wrong with the record, as far as the error tells it part by part."""
    if isinstance(error, TactfulError):
        return tuple(error.errors)
    if isinstance(error, InvalidEvent):
        return (RecordProblem(error.pointer, "invalid_event", error.detail),)
    return ()


def encode_problems(problems: Sequence[RecordProblem]) -> str:
    """Returns the problems as the column `problems` has them: JSON, bounded."""
    parts = [{name: first_line(getattr(each, name)) for name in PROBLEM_FIELDS} for each in problems[:_MAX_PROBLEMS]]
    return _encode_problems(parts).decode()


def first_line(text: str) -> str:
    """Returns the first line of a text, bounded, as every database can store it."""
    line = (text.splitlines() or [""])[0]
    return line.replace("\x00", "")[:_MAX_MESSAGE_LENGTH].encode(errors="replace").decode()


def to_dead_letter(row: Row[Any]) -> DeadLetter:
    """Returns the letter of a whole row of the table."""
    return DeadLetter(
        id=row.id,
        record=Record(
            row.topic, row.partition, row.offset, row.key, row.value, decode_headers(row.headers), row.timestamp
        ),
        stage=row.stage,
        error_class=row.error_class,
        error_message=row.error_message,
        problems=_decode_problems(row.problems),
        attempts=row.attempts,
        at=row.at,
        state=row.state,
        event_source=row.event_source,
        event_id=row.event_id,
        event_type=row.event_type,
        customer=row.customer,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        close_reason=row.close_reason,
    )


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
        self._stored_signal = database.notifications.listen(DEAD_LETTER_STORED)

    async def publish_waiting(self) -> int:
        """Publishes at most `limit` waiting dead letters; returns how many. Raises Transient."""
        async with self._database.read() as tx:
            rows = await self._unpublished(tx)
        if not rows:
            return 0
        await self._bus.publish(
            [
                Outgoing(self._topic, row.key, row.value, decode_headers(row.headers) + _error_headers(row))
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

    async def publish_until_cancelled(self) -> None:
        """Publishes for ever what is stored; transient errors are retried."""
        while True:
            stored = self._stored_signal.next_event()
            try:
                full = await self.publish_waiting() == self._limit
            except Transient as error:
                full = False
                log("dead_letter_relay_waits", level="warning", reason=error.code)
            if not full:
                await sleep_unless_set(stored, RELAY_INTERVAL)
