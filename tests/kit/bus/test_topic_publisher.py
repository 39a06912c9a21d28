"""The publisher of a topic: what transactions leave is published once they commit, in order, by one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from services.kit.bus import outgoing
from services.kit.bus.local_bus import LocalBus, LocalPublisher
from services.kit.bus.outgoing import claim_topic, create_outgoing, keep_outgoing
from services.kit.bus.protocol import Outgoing, Partition
from services.kit.bus.topic_publisher import POLL_INTERVAL, TopicMetrics, TopicPublisher
from services.kit.db.database import Database
from services.kit.errors import BusGone
from services.kit.observability.metrics import Registry

pytestmark = pytest.mark.wired

TOPIC = "t"


def _create_tables(connection: Connection) -> None:
    create_outgoing(Operations(MigrationContext.configure(connection)))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database.open(database_url)
    await opened.run_sync(_create_tables)
    yield opened
    await opened.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    opened = LocalBus(tmp_path / "log.db", partitions=1)
    await opened.ensure_topics({TOPIC: 1})
    yield opened
    await opened.close()


def publisher(database: Database, bus: LocalBus, owner: str = "one") -> TopicPublisher:
    def render(body: bytes) -> list[Outgoing]:
        return [Outgoing(TOPIC, b"k", each) for each in body.split()]

    return TopicPublisher(database, bus, TOPIC, owner, render, TopicMetrics(Registry(), [TOPIC]), label=TOPIC)


async def leave(database: Database, *bodies: bytes) -> None:
    async with database.write() as tx:
        for body in bodies:
            await keep_outgoing(tx, TOPIC, body, 0)


async def values(bus: LocalBus) -> list[bytes | None]:
    found = await bus.run_on_reader(lambda store: store.read_records([(Partition(TOPIC, 0), 0)], 1000))
    return [record.value for records in found.values() for record in records]


async def waiting(database: Database) -> int:
    async with database.read() as tx:
        return len(await outgoing.list_outgoing(tx, TOPIC, 1000))


async def test_what_was_left_is_published_in_order_and_then_gone(database: Database, bus: LocalBus) -> None:
    await leave(database, b"a b", b"c")
    await leave(database, b"d")
    await publisher(database, bus).publish_next()
    assert await values(bus) == [b"a", b"b", b"c", b"d"]
    assert await waiting(database) == 0


async def test_only_rows_that_concern_somebody_are_locked_and_some_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "PAGE_SIZE", 2)
    await leave(database, b"a", b"own", b"b", b"own", b"c", b"own", b"d")
    async with database.write() as tx:
        locked = await outgoing.lock_outgoing(tx, lambda row: row.body == b"own", 2)
        assert [row.body for row in locked] == [b"own", b"own"]
        if tx.dialect == "postgresql":
            async with asyncio.timeout(5), database.write() as other:
                await other.execute("DELETE FROM outgoing WHERE body <> :own", own=b"own")
                left = await other.rows("SELECT seq FROM outgoing ORDER BY seq FOR UPDATE SKIP LOCKED")
                assert len(left) == 1  # beyond the limit
        assert await outgoing.lock_outgoing(tx, lambda row: False, 2) == ()


async def test_what_no_topic_publishes_any_more_is_deleted_after_a_day(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "DELETED_AT_ONCE", 2)
    database.out_topics = {"tactful.messages": TOPIC}
    await leave(database, b"present")
    async with database.write() as tx:
        for number in range(5):
            await keep_outgoing(tx, "former", b"old", number)
        await keep_outgoing(tx, "former", b"new", outgoing.LEFT_OVER_AGE)
    await outgoing.delete_left_over(database, outgoing.LEFT_OVER_AGE + 10)
    async with database.read() as tx:
        assert {row.body for row in await tx.rows("SELECT body FROM outgoing")} == {b"present", b"new"}
    (record,) = [each for each in caplog.records if each.message == "unpublished_rows_deleted"]
    assert record.__dict__["fields"] == {"topic": "former", "count": 5}
    database.out_topics = {}
    await outgoing.delete_left_over(database, outgoing.LEFT_OVER_AGE + 10)
    assert await waiting(database) == 0


async def test_nothing_of_a_transaction_that_was_rolled_back_is_published(database: Database, bus: LocalBus) -> None:
    async def fail() -> None:
        async with database.write() as tx:
            await keep_outgoing(tx, TOPIC, b"a", 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await publisher(database, bus).publish_next()
    assert await values(bus) == []


async def test_more_than_a_batch_is_published_in_rounds(database: Database, bus: LocalBus) -> None:
    await leave(database, *(b"%d" % number for number in range(100)))
    one = publisher(database, bus)
    while await one.publish_next():
        pass
    assert await values(bus) == [b"%d" % number for number in range(100)]


async def test_what_commits_late_under_an_earlier_number_is_not_passed_over(pg_url: str, bus: LocalBus) -> None:
    """The trap of cursors: numbers are taken in one order, and become visible in another."""
    database = Database.open(pg_url)
    await database.run_sync(_create_tables)
    one, taken, published = publisher(database, bus), asyncio.Event(), asyncio.Event()

    async def commit_late() -> None:
        async with database.write() as tx:
            await keep_outgoing(tx, TOPIC, b"first-number", 0)
            taken.set()
            await published.wait()

    late = asyncio.create_task(commit_late())
    await taken.wait()
    await leave(database, b"second-number")
    await one.publish_next()
    assert await values(bus) == [b"second-number"]
    published.set()
    await late
    await one.publish_next()
    assert await values(bus) == [b"second-number", b"first-number"]
    assert await waiting(database) == 0
    await database.close()


async def test_of_two_publishers_one_publishes_until_it_stops(database: Database, bus: LocalBus) -> None:
    one, two, stopping = publisher(database, bus, "one"), publisher(database, bus, "two"), asyncio.Event()
    await leave(database, b"a")
    await one.publish_next()
    await leave(database, b"b")
    await two.publish_next()
    assert await values(bus) == [b"a"]
    stopping.set()
    await one.run_until_stopped(stopping)
    await two.publish_next()
    assert await values(bus) == [b"a", b"b"]


class SlowToStart(LocalBus):
    """A log whose publisher takes long to start: somebody else claims the topic meanwhile."""

    database: Database

    def publisher(self, name: str) -> SlowPublisher:  # type: ignore[override]
        return SlowPublisher(self)


class SlowPublisher:
    def __init__(self, bus: SlowToStart) -> None:
        self._bus = bus

    async def start(self) -> None:
        async with self._bus.database.write() as tx:
            await tx.execute("UPDATE out_topic SET expires = 0")
        assert await claim_topic(self._bus.database, TOPIC, "another")

    async def publish(self, records: list[Outgoing]) -> None:
        await self._bus.publish(records)

    async def close(self) -> None:
        pass


async def test_who_lost_the_topic_while_starting_publishes_nothing(database: Database, tmp_path: Path) -> None:
    slow = SlowToStart(tmp_path / "slow.db", partitions=1)
    slow.database = database
    await slow.ensure_topics({TOPIC: 1})
    await leave(database, b"a")
    await publisher(database, slow).publish_next()
    assert await values(slow) == []
    await slow.close()


class Refusing(LocalBus):
    """A log that writes, and says that it has not; once."""

    refused = False

    async def publish(self, records):  # type: ignore[no-untyped-def]
        places = await super().publish(records)
        if not self.refused:
            self.refused = True
            raise BusGone("did not answer")
        return places


async def test_what_may_have_been_published_is_published_again(database: Database, tmp_path: Path) -> None:
    bus = Refusing(tmp_path / "refusing.db", partitions=1)
    await bus.ensure_topics({TOPIC: 1})
    await leave(database, b"a b")
    one = publisher(database, bus)
    with pytest.raises(BusGone):
        await one.publish_next()
    await leave(database, b"c")
    await one.publish_next()
    assert await values(bus) == [b"a", b"b", b"a", b"b", b"c"]
    await bus.close()


async def test_the_gauge_says_since_when_something_waits(database: Database, bus: LocalBus) -> None:
    one = publisher(database, bus)
    async with database.write() as tx:
        await keep_outgoing(tx, TOPIC, b"a", 5_000_000)
    await one.update_gauge()
    assert one._metrics.oldest(TOPIC)._value.get() == 5.0
    await one.publish_next()
    await one.update_gauge()
    assert one._metrics.oldest(TOPIC)._value.get() == 0.0


class RefusingLog(LocalBus):
    """A log that lets nobody publish, and says when to ask again."""

    asked = 0

    def publisher(self, name: str) -> LocalPublisher:
        self.asked += 1
        raise BusGone("not allowed", retry_after=30.0)


async def test_a_topic_that_is_refused_is_asked_for_again_when_the_log_says_so(
    database: Database, tmp_path: Path
) -> None:
    refusing, stopping = RefusingLog(tmp_path / "refusing.db", partitions=1), asyncio.Event()
    await leave(database, b"a")
    running = asyncio.create_task(publisher(database, refusing).run_until_stopped(stopping))
    while not refusing.asked:
        await asyncio.sleep(0.01)
    await leave(database, b"b")
    await asyncio.sleep(3 * POLL_INTERVAL)
    assert refusing.asked == 1
    stopping.set()
    async with asyncio.timeout(5):
        await running
    await refusing.close()
