"""Preferences under column keys: served as without, not to be read in the database, and carried to another key."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.kit.db.column_cipher import ColumnCipher, key_of, parse_column_keys
from services.kit.db.column_rotation import rotate_columns
from services.kit.db.database import Database, Tx
from services.kit.errors import SealedValueUnreadable
from services.preference import store
from services.preference.sealed_columns import SEALED_COLUMNS
from tests.support.command_line import CommandResult, run
from tests.support.preference_service import Running, running

pytestmark = pytest.mark.wired
OLD = "old:" + "0123456789abcdef" * 4
NEW = "new:" + "fedcba9876543210" * 4
PERSON = {"traits": {"diary": "Zebulon-Quillfeather"}, "addresses": [{"channel": "email", "address": "zq@example.org"}]}
PLANTED = (b"Quillfeather", b"zq@example.org")


async def plant(service: Running, *customers: str) -> None:
    for customer in customers:
        answer = await service.http.patch(f"/v1/preferences/{customer}", json=PERSON)
        assert answer.status_code == 201, answer.text


async def told(service: Running, customer: str) -> list[Any]:
    """What the service says of a customer."""
    paths = (f"/v1/preferences/{customer}", f"/v1/preferences/{customer}/history")
    answers = [await service.http.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200]
    async with service.database.read() as tx:
        past = await store.list_past_addresses(tx, customer)
        facts = await store.read_facts(tx, [customer], [], None)
        changes = await store.list_changes_by_customer(tx, [customer], 2**62)
    return [*(answer.json() for answer in answers), past, facts, [each.value for each in changes[customer]]]


async def stored_values(tx: Tx) -> list[bytes]:
    rows = [
        row for each in SEALED_COLUMNS for row in await tx.tuples(f"SELECT {each.column} AS value FROM {each.table}")
    ]
    return [bytes(value) for (value,) in rows]


async def keys_in_use(database: Database) -> set[str]:
    async with database.read() as tx:
        return {key_of(value) for value in await stored_values(tx)}


@pytest.mark.parametrize("keys", [None, OLD], ids=["off", "on"])
@pytest.mark.asyncio
async def test_the_columns_are_plain_or_sealed_and_answers_the_same(
    keys: str | None, database_url: str, tmp_path: Path
) -> None:
    async with running(database_url, tmp_path, more={"column_keys": keys}) as service:
        await plant(service, "c-1")
        document, history, past, _, values = await told(service, "c-1")
        assert document["traits"] == PERSON["traits"] and past == [("email", "zq@example.org")]
        assert PERSON["traits"] in values and "Quillfeather" in str(history)
        async with service.database.read() as tx:
            raw = b"".join(await stored_values(tx))
        assert [word in raw for word in PLANTED] == [keys is None] * 2
        assert await keys_in_use(service.database) == {"old" if keys else ""}


@pytest.mark.asyncio
async def test_the_file_has_a_planted_trait_in_no_table(tmp_path: Path) -> None:
    """No lookup key is made of this trait, so that the file would hold it in the declared columns alone."""
    path = tmp_path / "preference.db"
    async with running(f"sqlite+aiosqlite:///{path}", tmp_path, more={"column_keys": OLD}) as service:
        await plant(service, "c-1")
        await service.database.truncate_journal()
        found = b"".join(each.read_bytes() for each in tmp_path.glob("preference.db*"))
    assert b"c-1" in found and b"Quillfeather" not in found


@pytest.mark.asyncio
async def test_switching_on_later_reads_plain_values_and_rotation_seals_them(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path) as service:
        await plant(service, "c-1", "c-2")
        before = [await told(service, each) for each in ("c-1", "c-2")]
        service.database.columns = ColumnCipher(parse_column_keys(OLD))
        assert [await told(service, each) for each in ("c-1", "c-2")] == before
        report = await rotate_columns(service.database, SEALED_COLUMNS)
        assert report.rewritten == 6 and not report.remaining
        assert await keys_in_use(service.database) == {"old"}
        assert [await told(service, each) for each in ("c-1", "c-2")] == before


@pytest.mark.asyncio
async def test_a_rotation_that_was_cut_off_goes_on(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.db.column_rotation.PAGE_ROWS", 1)
    async with running(database_url, tmp_path, more={"column_keys": OLD}) as service:
        await plant(service, "c-1", "c-2")
        before = [await told(service, each) for each in ("c-1", "c-2")]
        database = service.database
        async with database.write() as tx:  # a value that nobody opens stops the first run at the second customer
            (kept,) = await tx.tuples("SELECT state FROM preference_state WHERE customer = 'c-2'")
            await tx.execute("UPDATE preference_state SET state = :x WHERE customer = 'c-2'", x=b"\x00ck1\x04lost")
        database.columns = ColumnCipher(parse_column_keys(f"{NEW},{OLD}"))
        with pytest.raises(SealedValueUnreadable, match="'lost'"):
            await rotate_columns(database, SEALED_COLUMNS)
        assert await keys_in_use(database) == {"new", "lost", "old"}
        async with database.write() as tx:
            await tx.execute("UPDATE preference_state SET state = :x WHERE customer = 'c-2'", x=bytes(kept[0]))
        report = await rotate_columns(database, SEALED_COLUMNS)
        assert report.rewritten == 5 and not report.remaining
        assert (await rotate_columns(database, SEALED_COLUMNS)).rewritten == 0
        database.columns = ColumnCipher(parse_column_keys(NEW))
        assert [await told(service, each) for each in ("c-1", "c-2")] == before


@pytest.mark.asyncio
async def test_without_the_key_requests_are_refused_and_nothing_is_written(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, more={"column_keys": OLD}) as service:
        await plant(service, "c-1")
        service.database.columns = ColumnCipher(parse_column_keys(NEW))
        read = await service.http.get("/v1/preferences/c-1")
        changed = await service.http.patch("/v1/preferences/c-1", json={"traits": {"diary": "other"}})
        assert [read.status_code, changed.status_code] == [503, 503]
        assert "'old'" in read.json()["detail"]
        assert await keys_in_use(service.database) == {"old"}


async def rotate(service: str, given: dict[str, str]) -> CommandResult:
    return await asyncio.to_thread(run, "db", "rotate", "--service", service, given=given)


@pytest.mark.asyncio
async def test_the_command_rotates_and_says_when_a_former_key_can_go(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'preference.db'}"
    async with running(url, tmp_path, more={"column_keys": OLD}) as service:
        await plant(service, "c-1")
    given = {"TACTFUL_DATABASE__URL": url, "TACTFUL_COLUMN_KEYS": f"{NEW},{OLD}"}
    done = await rotate("preference", given)
    assert done.code == 0, done.err
    said = done.out + done.err
    assert "3 values sealed anew" in said and "former keys can be removed" in said
    missing = await rotate("preference", {**given, "TACTFUL_COLUMN_KEYS": OLD})
    assert missing.code == 1 and "'new'" in missing.err
    unset = await rotate("preference", {"TACTFUL_DATABASE__URL": url})
    assert unset.code == 1 and "TACTFUL_COLUMN_KEYS is not set" in unset.err
    other = await rotate("suppression", given)
    assert other.code == 1 and "has no sealed columns" in other.err
