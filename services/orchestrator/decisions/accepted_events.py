"""Events that were accepted over HTTP: where each is in the log, so that it can be asked about, whatever comes of it.

Of an event that triggers or changes something here the stored event tells more. For all others, which leave nothing
behind in this service, this is all that is known; it is kept for a week.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Column, Integer

from schemas.event import Event
from schemas.times import DAY, Instant
from services.erasure.pseudonyms import Pseudonyms
from services.kit.bus.protocol import Partition
from services.kit.db.bytewise_text import Text
from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock

RETENTION: Final = 7 * DAY
"""Microseconds for which an accepted event is known."""
_DELETED_AT_ONCE: Final = 10_000
_COLUMNS: Final = {
    "customer": "text",
    "source": "text",
    "event_id": "text",
    "type": "text",
    "time": "bigint",
    "received": "bigint",
    "topic": "text",
    "partition": "bigint",
    "log_offset": "bigint",
    "sent_by": "text",
}


def _accepted_event() -> list[Column[Any]]:
    return [
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        Column("customer", Text, primary_key=True),
        Column("type", Text, nullable=False),
        Column("time", BigInteger, nullable=False),
        Column("received", BigInteger, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("log_offset", BigInteger, nullable=False),
        Column("sent_by", Text),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"accepted_event": _accepted_event}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {"accepted_event_received": ("accepted_event", ("received",))}


class AcceptedEvent(NamedTuple):
    """An accepted event, and its position in the log."""

    customer: str
    source: str
    event_id: str
    type: str
    time: Instant
    received: Instant
    partition: Partition
    offset: int


async def record_accepted(
    tx: Tx,
    events: Sequence[Event],
    positions: Sequence[tuple[Partition, int]],
    sent_by: str,
    now: Instant,
    pseudonyms: Pseudonyms,
) -> None:
    """Note where these events are in the log. One that is accepted again is noted at its newest position, and stays
    that of whoever sent it first. `sent_by`: the name of that person or program.

    Nothing is noted of a customer who has been erased meanwhile.
    """
    rows = [
        (event.subject, event.source, event.id, event.type, event.time, now, *partition, offset, sent_by)
        + (pseudonyms.of_customer(event.subject),)
        for event, (partition, offset) in zip(events, positions, strict=True)
    ]
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    kinds = _COLUMNS | {"pseudonym": "text"}
    await tx.execute(
        f"INSERT INTO accepted_event ({names}) SELECT {names} FROM {tx.table_parameter('a', kinds)} "
        "WHERE NOT EXISTS (SELECT 1 FROM erasure e WHERE e.pseudonym = a.pseudonym) "
        "ORDER BY source, event_id, customer "
        "ON CONFLICT (source, event_id, customer) DO UPDATE SET received = excluded.received, "
        "topic = excluded.topic, partition = excluded.partition, log_offset = excluded.log_offset",
        **tx.bind_table_parameter("a", kinds, rows),
    )


async def find_accepted(
    tx: Tx, source: str, event_id: str, customer: str | None, *, sent_by: str | None = None
) -> AcceptedEvent | None:
    """The newest accepted event of this source and id; with `sent_by`, of those that this person or program sent."""
    params = {name: value for name, value in (("customer", customer), ("sent_by", sent_by)) if value is not None}
    conditions = " ".join(f"AND {name} = :{name}" for name in params)
    row = await tx.row(
        "SELECT customer, source, event_id, type, time, received, topic, partition, log_offset FROM accepted_event "
        f"WHERE source = :source AND event_id = :event_id {conditions} ORDER BY received DESC LIMIT 1",
        source=source,
        event_id=event_id,
        **params,
    )
    if row is None:
        return None
    position = Partition(row.topic, row.partition)
    return AcceptedEvent(
        row.customer, row.source, row.event_id, row.type, row.time, row.received, position, row.log_offset
    )


def is_applied(event: AcceptedEvent, applied_offsets: Mapping[Partition, int]) -> bool:
    """Whether this service has read the log beyond the event."""
    return applied_offsets.get(event.partition, 0) > event.offset


class AcceptedEventExpiry:
    """Deletes what was accepted more than RETENTION ago, in bounded transactions. For a periodic task."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def delete_expired(self) -> None:
        """Delete until nothing is left to delete."""
        before = self._clock.now() - RETENTION
        while True:
            async with self._database.write() as tx:
                row = await tx.row(
                    "SELECT max(received) AS last FROM (SELECT received FROM accepted_event "
                    "WHERE received < :before ORDER BY received LIMIT :most) AS oldest",
                    before=before,
                    most=_DELETED_AT_ONCE,
                )
                if row is None or row.last is None:
                    return
                await tx.execute("DELETE FROM accepted_event WHERE received <= :last", last=row.last)
