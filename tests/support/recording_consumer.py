"""A small service that writes one row for every record, without any protection against applying one twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, MetaData, Table, Text

from services.kit.bus.batch import Batch
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Bus, Outgoing, Record
from services.kit.db.database import Database, Tx
from services.kit.db.tables import add_kit_tables
from services.kit.errors import Invalid
from services.kit.runtime.clock import SystemClock

TOPIC = "events"
DLQ = "events.dlq"


def metadata() -> MetaData:
    tables = MetaData()
    add_kit_tables(tables)
    place: list[Column[Any]] = [Column("topic", Text), Column("partition", Integer), Column("offset", BigInteger)]
    order = Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True)
    Table("effect", tables, order, *place, Column("value", LargeBinary), Column("worker", Text))
    Table("hold", tables, Column("customer", Text, primary_key=True))
    return tables


async def open_database(url: str) -> Database:
    database = Database.open(url)
    await database.run_sync(metadata().create_all)
    return database


async def nothing(*_: Any) -> None:
    """A hook that does nothing."""


class Effects:
    """Applies records; hooks let a test make it fail at any point."""

    def __init__(self, worker: str = "a") -> None:
        self.worker = worker
        self.on_prepare: Callable[[Batch], Awaitable[None]] = nothing
        self.on_apply: Callable[[list[Record]], Awaitable[None]] = nothing
        self.prepared: list[int] = []
        self.done: list[int] = []

    async def prepare(self, batch: Batch) -> list[Record]:
        self.prepared.append(len(batch.records))
        await self.on_prepare(batch)
        rejected = [id(record) for record, _ in batch.rejected]
        return [record for record in batch.records if id(record) not in rejected]

    async def apply(self, tx: Tx, prepared: list[Record]) -> None:
        rows = [(r.topic, r.partition, r.offset, r.value, self.worker) for r in prepared]
        await tx.bulk_insert("effect", ["topic", "partition", "offset", "value", "worker"], rows)
        await self.on_apply(prepared)

    async def after_commit(self, prepared: list[Record]) -> None:
        self.done.append(len(prepared))

    async def keeps_nothing_of(self, tx: Tx, record: Record) -> bool:
        """Everything may be kept."""
        return False

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        customer = (record.key or b"").decode()
        await tx.execute("INSERT INTO hold (customer) VALUES (:c) ON CONFLICT DO NOTHING", c=customer)

    async def on_dead_letter_closed(self, tx: Tx, letter: DeadLetter) -> None:
        await tx.execute("DELETE FROM hold WHERE customer = :c", c=(letter.record.key or b"").decode())


def loop_of(bus: Bus, database: Database, handler: Effects, **options: Any) -> ConsumeLoop[list[Record]]:
    given: dict[str, Any] = {"group": "g", "max_batch": 50, "clock": SystemClock(), "stage": "test", **options}
    return ConsumeLoop(bus, database, handler, topics=[TOPIC], dead_letter_topic=DLQ, **given)


@contextlib.asynccontextmanager
async def running(loop: ConsumeLoop[Any], drain: float = 10) -> AsyncIterator[asyncio.Task[None]]:
    """The loop, run until the block ends, then drained; its fatal error is raised."""
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        await loop.stop(drain)
        await task


async def publish(bus: Bus, count: int, first: int = 0, keys: int = 20) -> None:
    await bus.publish([Outgoing(TOPIC, b"c%d" % (n % keys), b"%d" % n) for n in range(first, first + count)])


async def effects(database: Database) -> Counter[int]:
    async with database.read() as tx:
        return Counter(int(row.value) for row in await tx.rows("SELECT value FROM effect"))


async def count(database: Database, table: str) -> int:
    async with database.read() as tx:
        row = await tx.row(f"SELECT count(*) AS n FROM {table}")
    assert row is not None
    return int(row.n)


async def until(condition: Callable[[], Awaitable[bool]], within: float = 30) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)


async def until_applied(database: Database, total: int) -> None:
    async def all_there() -> bool:
        return (await effects(database)).total() + await count(database, "dead_letter") >= total

    await until(all_there)


def refuse(*values: int) -> Callable[[Batch], Awaitable[None]]:
    """A prepare hook that cannot read a batch with any of these in it."""

    async def hook(batch: Batch) -> None:
        if any(int(record.value or b"0") in values for record in batch.records):
            raise Invalid("unreadable\nDETAIL: personal", code="bad_event")

    return hook
