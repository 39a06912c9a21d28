"""Recent changes: whatever a reader has not seen is told later, in whatever order writers end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BigInteger, Column, Connection, Text

from services.kit.db.database import Database, Tx
from services.kit.db.recent_changes import (
    KEY_BYTES,
    MAX_CHANGES,
    MAX_KEYS,
    ChangePosition,
    RecentChanges,
    change_key,
    create_recent_changes,
)

pytestmark = [pytest.mark.wired, pytest.mark.timeout(60)]

WATCHED = {"thing": "CASE WHEN name <> 'everything' THEN name END"}
RACE_SECONDS = 3.0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database.open(database_url, pool=12)
    await opened.run_sync(create_tables)
    yield opened
    await opened.close()


def create_tables(connection: Connection) -> None:
    op = Operations(MigrationContext.configure(connection))
    op.create_table("thing", Column("name", Text, primary_key=True), Column("n", BigInteger, nullable=False))
    create_recent_changes(op, WATCHED)


async def opened_changes(database: Database) -> RecentChanges:
    changes = RecentChanges(database, WATCHED)
    await changes.check_triggers()
    return changes


@pytest.fixture
async def changes(database: Database) -> RecentChanges:
    return await opened_changes(database)


async def position(database: Database, changes: RecentChanges) -> ChangePosition:
    """A position beyond all that has changed so far: transactions of other tests on the server may hold it back."""
    async with asyncio.timeout(30):
        while True:
            found = await position_now(database, changes)
            if await changed(database, changes, found) == set():
                return found
            await asyncio.sleep(0.01)


async def position_now(database: Database, changes: RecentChanges) -> ChangePosition:
    async with database.read() as tx:
        found = await changes.get_position(tx)
    assert found is not None
    return found


async def changed(database: Database, changes: RecentChanges, since: ChangePosition) -> set[bytes] | None:
    async with database.read() as tx:
        return split(await changes.get_changes(tx, since))


def split(keys: bytes | None) -> set[bytes] | None:
    return None if keys is None else {keys[n : n + KEY_BYTES] for n in range(0, len(keys), KEY_BYTES)}


async def set_n(tx: Tx, name: str, n: int) -> None:
    sql = "INSERT INTO thing (name, n) VALUES (:name, :n) ON CONFLICT (name) DO UPDATE SET n = excluded.n"
    await tx.execute(sql, name=name, n=n)


async def put(database: Database, *names: str, n: int = 0) -> None:
    async with database.write() as tx:
        for name in names:
            await set_n(tx, name, n)


async def test_while_nothing_changes_nothing_is_told(database: Database, changes: RecentChanges) -> None:
    fresh = await position(database, changes)
    assert await changed(database, changes, fresh) == set()
    await put(database, "a")
    since = await position(database, changes)
    with contextlib.suppress(ZeroDivisionError):
        async with database.write() as tx:
            await set_n(tx, "b", 1)
            raise ZeroDivisionError
    async with database.write() as tx:
        await tx.execute("UPDATE thing SET n = 1 WHERE name = 'nobody'")
    assert await changed(database, changes, since) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO thing (name, n) VALUES ('b', 0)",
        "INSERT INTO thing (name, n) VALUES ('a', 1) ON CONFLICT (name) DO UPDATE SET n = excluded.n",
        "UPDATE thing SET n = 2 WHERE name = 'a'",
        "DELETE FROM thing WHERE name = 'a'",
        "bulk",
    ],
)
async def test_every_kind_of_change_is_told(database: Database, changes: RecentChanges, statement: str) -> None:
    await put(database, "a", "z")
    since = await position(database, changes)
    async with database.write() as tx:
        if statement == "bulk":
            await tx.bulk_insert("thing", ["name", "n"], [("b", 1)])
        else:
            await tx.execute(statement)
    name = "b" if statement == "bulk" or "'b'" in statement else "a"
    told = await changed(database, changes, since)
    assert told == ({change_key(name)} if database.dialect == "postgresql" else None)


async def test_names_are_made_of_any_text(pg_url: str) -> None:
    names = ["", "ada", "Zoë", "客户-7", "😀" * 100]
    async with race_database(pg_url) as (database, changes):
        since = await position(database, changes)
        await put(database, *names)
        assert await changed(database, changes, since) == set(map(change_key, names))


async def test_what_ends_late_is_told_though_later_changes_were_seen(pg_url: str) -> None:
    """The reason why the position is no plain sequence."""
    async with race_database(pg_url) as (database, changes):
        async with database.write() as late:
            await set_n(late, "late", 1)
            await put(database, "early")
            since = await position_now(database, changes)
        told = await changed(database, changes, since)
    assert told is None or change_key("late") in told


async def test_a_change_that_begins_before_and_writes_after_is_told(pg_url: str) -> None:
    async with race_database(pg_url) as (database, changes):
        async with database.write() as late:
            await late.execute("SELECT pg_current_xact_id()")
            await put(database, "early")
            since = await position_now(database, changes)
            await set_n(late, "late", 1)
        told = await changed(database, changes, since)
    assert told is None or change_key("late") in told


@contextlib.asynccontextmanager
async def race_database(url: str) -> AsyncIterator[tuple[Database, RecentChanges]]:
    database = Database.open(url, pool=20)
    await database.run_sync(create_tables)
    try:
        yield database, await opened_changes(database)
    finally:
        await database.close()


@pytest.mark.integration
async def test_no_change_is_ever_missed_in_whatever_order_writers_end(pg_url: str) -> None:
    """Writers hold transactions open for random times, roll some back, and old changes are forgotten meanwhile.

    Readers read everything with its position, wait, read it again with the changes since: each difference is named.
    """
    dice, until = random.Random(39), time.monotonic() + RACE_SECONDS
    answers, named = 0, 0

    async def write(database: Database) -> None:
        while time.monotonic() < until:
            with contextlib.suppress(ZeroDivisionError):
                async with database.write() as tx:
                    for name in sorted(dice.sample("abcdefghijklmnop", dice.randint(1, 3))):
                        await set_n(tx, name, dice.randint(0, 1 << 40))
                        await asyncio.sleep(dice.choice((0, 0, 0.002, 0.02)))
                    if dice.random() < 0.2:
                        raise ZeroDivisionError
            await asyncio.sleep(dice.choice((0, 0.01, 0.05)))

    async def read(database: Database, changes: RecentChanges) -> None:
        nonlocal answers, named
        while time.monotonic() < until:
            async with database.read() as tx:
                since = await changes.get_position(tx)
                before = dict(await tx.tuples("SELECT name, n FROM thing"))
            assert since is not None
            await asyncio.sleep(dice.choice((0, 0.005, 0.02)))
            async with database.read() as tx:
                told = split(await changes.get_changes(tx, since))
                after = dict(await tx.tuples("SELECT name, n FROM thing"))
            answers += 1
            if told is not None:
                different = {name for name in before | after if before.get(name) != after.get(name)}
                assert {change_key(name) for name in different} <= told
                named += len(different)

    async def forget(database: Database, changes: RecentChanges) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(0.3)
            async with database.write() as tx:
                await tx.execute("UPDATE recent_change SET at = 0 WHERE position % 2 = 0")
            await changes.forget_old()

    async with race_database(pg_url) as (database, changes), asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(write(database))
        for _ in range(4):
            tasks.create_task(read(database, changes))
        tasks.create_task(forget(database, changes))
    assert answers > 50 and named > 20, "the race was no race"


async def test_what_concerns_everything_or_too_much_is_told_as_anything(
    database: Database, changes: RecentChanges
) -> None:
    since = await position(database, changes)
    await put(database, "everything")
    assert await changed(database, changes, since) is None
    since = await position(database, changes)
    async with database.write() as tx:
        await tx.bulk_insert("thing", ["name", "n"], [(f"n-{n}", n) for n in range(MAX_KEYS + 1)])
    assert await changed(database, changes, since) is None
    since = await position(database, changes)
    async with database.write() as tx:
        for n in range(MAX_CHANGES + 1):
            await set_n(tx, "a", n)
    assert await changed(database, changes, since) is None


async def test_another_server_and_an_older_life_are_told_that_anything_may_have_changed(
    database: Database, changes: RecentChanges
) -> None:
    server, place = await position(database, changes)
    assert await changed(database, changes, (server + 1, place)) is None
    await put(database, "a")
    assert await changed(database, changes, (server, -1)) is None


async def test_what_was_forgotten_is_not_taken_for_unchanged(pg_url: str) -> None:
    async with race_database(pg_url) as (database, changes):
        before = await position(database, changes)
        await put(database, "a")
        after = await position(database, changes)
        await changes.forget_old()
        assert await changed(database, changes, before) == {change_key("a")}, "it is kept for a while"
        await forget_now(database, changes)
        assert await changed(database, changes, before) is None
        assert await changed(database, changes, after) == set()
        await put(database, "b")
        assert await changed(database, changes, after) == {change_key("b")}


async def forget_now(database: Database, changes: RecentChanges) -> None:
    async with database.write() as tx:
        await tx.execute("UPDATE recent_change SET at = 0")
    await changes.forget_old()


async def test_a_transaction_older_than_what_is_forgotten_makes_questions_full_until_it_ends(pg_url: str) -> None:
    async with race_database(pg_url) as (database, changes):
        async with database.write() as old:
            await set_n(old, "old", 1)
            await put(database, "a")
            await forget_now(database, changes)
            since = await position_now(database, changes)
            assert await changed(database, changes, since) is None
        assert await changed(database, changes, since) is None
        assert await changed(database, changes, await position(database, changes)) == set()


async def test_the_changes_of_another_life_of_the_database_are_passed_over(pg_url: str) -> None:
    """A dump restored on a younger server has ids of transactions that are still to come."""
    future = 1 << 40
    async with race_database(pg_url) as (database, changes):
        async with database.write() as tx:
            sql = "INSERT INTO recent_change (position, keys, at) VALUES (:position, NULL, 0)"
            await tx.execute(sql, position=future)
            await tx.execute("UPDATE change_horizon SET position = :position", position=future)
        since = await position_now(database, changes)
        assert since[1] < future
        assert await changed(database, changes, since) is None
        await changes.forget_old()
        since = await position(database, changes)
        assert await changed(database, changes, since) == set()
        await put(database, "a")
        assert await changed(database, changes, since) == {change_key("a")}


async def test_a_position_needs_nothing_that_was_not_seen(pg_url: str) -> None:
    """After a crash, ids that had not reached the log are given again; so a position is not beyond what was seen."""
    async with race_database(pg_url) as (database, changes):
        await put(database, "a")
        since = await position(database, changes)
        for _ in range(3):
            with contextlib.suppress(ZeroDivisionError):
                async with database.write() as tx:
                    await set_n(tx, "b", 1)
                    raise ZeroDivisionError
        assert await position(database, changes) == since


async def test_without_all_triggers_nothing_is_taken_for_unchanged(database: Database) -> None:
    changes = RecentChanges(database, WATCHED)
    async with database.read() as tx:
        assert await changes.get_position(tx) is None, "nobody has looked yet"
        assert await changes.get_changes(tx, (1, 1)) is None
    await changes.check_triggers()
    since = await position(database, changes)
    async with database.write() as tx:
        on = " ON thing" if database.dialect == "postgresql" else ""
        await tx.execute(f"DROP TRIGGER note_update_of_thing{on}")
    await changes.check_triggers()
    async with database.read() as tx:
        assert await changes.get_position(tx) is None
        assert await changes.get_changes(tx, since) is None
