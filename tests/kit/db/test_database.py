"""The one transaction, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, MetaData, Table, Text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.kit.db.database import Database
from services.kit.errors import DatabaseBusy, DatabaseGone
from tests.support import servers

LATE = 4_102_444_800_000_000
"""An instant in 2100: it needs more than 32 bits, and more than a float's 15 digits."""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    tables = MetaData()
    Table(
        "thing",
        tables,
        Column("name", Text, primary_key=True),
        Column("at", BigInteger),
        Column("packed", LargeBinary),
        Column("open", Boolean),
    )
    opened = Database.open(database_url, pool=4)
    await opened.run_sync(tables.create_all)
    yield opened
    await opened.close()


async def put(database: Database, *rows: tuple[str, int, bytes | None, bool]) -> None:
    async with database.write() as tx:
        await tx.bulk_insert("thing", ["name", "at", "packed", "open"], rows)


async def names(database: Database) -> list[str]:
    async with database.read() as tx:
        return [row.name for row in await tx.rows("SELECT name FROM thing ORDER BY name")]


@pytest.mark.wired
async def test_values_come_back_as_they_went(database: Database) -> None:
    await put(database, ("a", LATE + 1, b"\x00\xff", True), ("b", -1, None, False))
    async with database.read() as tx:
        rows = await tx.rows("SELECT * FROM thing ORDER BY name")
        late = await tx.row("SELECT name FROM thing WHERE at > :at", at=LATE)
    assert [(r.name, r.at, r.packed, bool(r.open)) for r in rows] == [
        ("a", LATE + 1, b"\x00\xff", True),
        ("b", -1, None, False),
    ]
    assert late is not None and late.name == "a"


@pytest.mark.wired
async def test_an_error_rolls_back_everything_copied_rows_too(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as tx:
            await tx.bulk_insert("thing", ["name"], [("a",)])
            await tx.execute("INSERT INTO thing (name) VALUES ('b')")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await names(database) == []


@pytest.mark.wired
async def test_a_cancelled_transaction_is_rolled_back_and_the_next_one_works(database: Database) -> None:
    async def hang() -> None:
        async with database.write() as tx:
            await tx.execute("INSERT INTO thing (name) VALUES ('lost')")
            await asyncio.sleep(60)

    for _ in range(6):  # more often than the pool has connections
        task = asyncio.create_task(hang())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await put(database, ("kept", 1, None, True))
    assert await names(database) == ["kept"]


@pytest.mark.wired
async def test_a_broken_constraint_is_an_integrity_error_on_both_ways_in(database: Database) -> None:
    await put(database, ("a", 1, None, True))
    with pytest.raises(IntegrityError):
        await put(database, ("a", 1, None, True))
    with pytest.raises(IntegrityError):
        async with database.write() as tx:
            await tx.execute("INSERT INTO thing (name) VALUES ('a')")


@pytest.mark.wired
async def test_errors_do_not_tell_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with database.write() as tx:
            await tx.execute("INSERT INTO nowhere (name) VALUES (:name)", name="ann@example.org")
    assert "ann@" not in str(caught.value)


@pytest.mark.wired
async def test_counts_of_rows_touched(database: Database) -> None:
    await put(database, ("a", 1, None, True), ("b", 2, None, True))
    async with database.write() as tx:
        assert await tx.execute("UPDATE thing SET at = at + 1 WHERE name = :name", name="a") == 1
        assert await tx.execute("UPDATE thing SET at = 0 WHERE name = 'x'") == 0
        await tx.execute_many("UPDATE thing SET at = :at WHERE name = :name", [{"at": 7, "name": n} for n in "ab"])
    async with database.read() as tx:
        assert [row.at for row in await tx.rows("SELECT at FROM thing")] == [7, 7]


@pytest.mark.wired
@pytest.mark.parametrize(
    ("column", "kind", "wanted"),
    [("name", "text", ["a", "q\"'é,{}"]), ("at", "bigint", [LATE, 5]), ("packed", "bytea", [b"\x00\xff", b""])],
)
async def test_a_list_is_one_parameter(database: Database, column: str, kind: str, wanted: list[object]) -> None:
    await put(database, ("a", LATE, b"\x00\xff", True), ("q\"'é,{}", 5, b"", True), ("z", 6, b"z", False))
    async with database.read() as tx:
        for among in (f"{column} IN ({tx.unnest('wanted', kind)})", tx.in_list(column, "wanted", kind)):
            sql = f"SELECT {column} AS found FROM thing WHERE {among}"
            assert {row.found for row in await tx.rows(sql, wanted=tx.list_parameter(wanted))} == set(wanted)
            assert await tx.rows(sql, wanted=tx.list_parameter([])) == []


@pytest.mark.wired
async def test_columns_are_found_by_keys(database: Database) -> None:
    await put(database, ("a", 1, b"x", True), ("b", 2, None, True))
    async with database.read() as tx:
        assert await tx.lookup_column("thing", ("name",), [("a",), ("b",), ("c",), ("a",)], "at") == {
            ("a",): 1,
            ("b",): 2,
        }
        assert await tx.lookup_column("thing", ("name",), [("a",), ("b",)], "packed") == {("a",): b"x"}
        assert await tx.lookup_column("thing", ("name",), [], "at") == {}


@pytest.mark.wired
async def test_the_database_has_a_clock_that_goes_on_in_a_transaction(database: Database) -> None:
    async with database.read() as tx:
        first = await tx.now()
        await asyncio.sleep(0.01)
        assert first < await tx.now() < await database.now() + 1_000_000


@pytest.mark.wired
async def test_rows_are_updated_from_a_table_of_parameters(database: Database) -> None:
    await put(database, ("a", 1, None, True), ("b", 2, None, True), ("c", 3, None, True))
    kinds = {"name": "text", "at": "bigint", "packed": "bytea"}
    new = [("a", 1, b"new"), ("b", 99, b"lost race"), ("c", 3, None)]
    async with database.write() as tx:
        sql = f"""UPDATE thing SET packed = v.packed FROM {tx.table_parameter("v", kinds)}
                  WHERE thing.name = v.name AND thing.at = v.at RETURNING thing.name"""
        moved = await tx.rows(sql, **tx.bind_table_parameter("v", kinds, new))
    assert {row.name for row in moved} == {"a", "c"}


@pytest.mark.wired
async def test_rows_are_updated_each_with_values_of_its_own(database: Database) -> None:
    await put(database, ("a", 1, None, True), ("b", 2, None, True), ("c", LATE, b"old", True))
    kinds = {"name": "text", "at": "bigint", "packed": "bytea"}
    new = [("a", 1, b"\x00new"), ("b", 99, b"lost race"), ("c", LATE, None), ("unknown", 1, b"")]
    async with database.write() as tx:
        match = "thing.name = {name} AND thing.at = {at}"
        assert await tx.update_rows("thing", "packed = {packed}, at = {at} + 1", match, kinds, new) == 2
        assert await tx.update_rows("thing", "packed = {packed}", match, kinds, []) == 0
        rows = await tx.tuples("SELECT name, at, packed FROM thing ORDER BY name")
    assert [tuple(row) for row in rows] == [("a", 2, b"\x00new"), ("b", 2, None), ("c", LATE + 1, None)]


@pytest.mark.wired
async def test_a_read_is_one_snapshot(database: Database) -> None:
    await put(database, ("a", 1, None, True))
    async with database.read() as tx:
        before = await tx.rows("SELECT name FROM thing")
        await put(database, ("b", 1, None, True))
        assert await tx.rows("SELECT name FROM thing") == before
    assert await names(database) == ["a", "b"]


@pytest.mark.wired
async def test_writers_wait_for_each_other(database: Database) -> None:
    await put(database, ("a", 0, None, True))

    async def add() -> None:
        async with database.write() as tx:
            row = await tx.row(f"SELECT at FROM thing WHERE name = 'a' {tx.for_update}")
            assert row is not None
            await asyncio.sleep(0)
            await tx.execute("UPDATE thing SET at = :at WHERE name = 'a'", at=row.at + 1)

    await asyncio.gather(*(add() for _ in range(40)))
    async with database.read() as tx:
        row = await tx.row("SELECT at FROM thing")
    assert row is not None and row.at == 40


@pytest.mark.wired
async def test_the_clock_of_the_database(database: Database) -> None:
    assert abs(await database.now() - time.time_ns() // 1000) < 1_000_000


@pytest.mark.wired
async def test_another_process_that_writes_makes_us_wait_then_give_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'shared.db'}"
    monkeypatch.setattr("services.kit.db.database.LOCK_TIMEOUT_MS", 50)
    ours, theirs = Database.open(url), Database.open(url)
    async with theirs.write():
        with pytest.raises(DatabaseBusy):
            async with ours.write():
                pass
    await ours.close()
    await theirs.close()


async def test_a_missing_server_is_gone_not_an_accident() -> None:
    database = Database.open(f"postgresql+asyncpg://nobody@127.0.0.1:{servers.free_port()}/x")
    with pytest.raises(DatabaseGone):
        async with database.read():
            pass
    await database.close()


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a file"):
        Database.open("sqlite+aiosqlite://")


@pytest.mark.integration
async def test_a_deadlock_is_busy(pg_url: str) -> None:
    database = Database.open(pg_url)
    async with database.write() as tx:
        await tx.execute("CREATE TABLE thing AS SELECT n FROM generate_series(1, 2) n")

    async def lock(first: int, second: int) -> None:
        async with database.write() as tx:
            await tx.execute("UPDATE thing SET n = n WHERE n = :n", n=first)
            await asyncio.sleep(0.2)
            await tx.execute("UPDATE thing SET n = n WHERE n = :n", n=second)

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert sorted(map(type, outcomes), key=str) == sorted([DatabaseBusy, type(None)], key=str)
    await database.close()


@pytest.mark.integration
@pytest.mark.faults
async def test_a_server_crash_is_gone_and_then_over(server_directory: Path) -> None:
    with servers.postgres(server_directory / "crashing") as server:
        database = Database.open(server.database())
        async with database.write() as tx:
            await tx.execute("CREATE TABLE thing (n bigint)")

        async def write_across_the_crash() -> None:
            async with database.write() as tx:
                await tx.execute("INSERT INTO thing VALUES (1)")
                await asyncio.to_thread(server.crash)

        with pytest.raises(DatabaseGone):
            await write_across_the_crash()
        with pytest.raises(DatabaseGone):
            async with database.read():
                pass
        await asyncio.to_thread(server.start)
        async with database.read() as tx:
            assert await tx.rows("SELECT * FROM thing") == []
        await database.close()
