"""Databases that earlier versions have left are upgraded in place, on SQLite and on PostgreSQL, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from schemas.vocabulary import MessageState
from services.kit.db.migrate import VERSION_TABLE, is_up_to_date, upgrade_schema
from tests.support.fresh_databases import migrate
from tests.upgrade import dumps

pytestmark = pytest.mark.wired

RENAMED = {("message", "marked_at"): "claimed_at", ("attempt", "marked_at"): "claimed_at"}
"""Columns that have another name today."""
OF_HANDOVER = ("owner", "claimed_at", "opened", "closed_at")
"""Columns of the last attempt, which a message had and its handover has today."""
CONTENTS = "message_content"
"""A table whose rows are in `message` today."""
STATES = {state.value for state in MessageState} - {"delivered", "bounced_soft", "bounced_hard", "complained"}
"""Those that the versions reached."""
MAYBE_SENT_DETAIL = "an earlier attempt may have arrived"


def old_view(table: str, rows: dumps.Rows) -> list[dict[str, Any]]:
    """Rows of an earlier version under today's names of their columns."""
    renamed = [{RENAMED.get((table, name), name): value for name, value in row.items()} for row in rows]
    if table != "message":
        return renamed
    return [{name: value for name, value in row.items() if name not in OF_HANDOVER} for row in renamed]


def in_some_order(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


@pytest.fixture
def fresh_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """Another database of the same dialect."""
    if database_url.startswith("sqlite"):
        return database_url.replace("test.db", "fresh.db")
    return str(request.getfixturevalue("postgres_server").database())


@pytest.fixture(params=dumps.VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """The version that left the databases."""
    return str(request.param)


@pytest.mark.parametrize("service", dumps.SERVICES)
async def test_an_upgraded_database_has_the_schema_of_a_new_one_and_keeps_every_row(
    database_url: str, fresh_url: str, version: str, service: str
) -> None:
    package = f"services.{service}"
    dumps.load(database_url, version, service)
    before = await dumps.read_tables(database_url)
    assert not await is_up_to_date(database_url, package)
    await upgrade_schema(database_url, package)
    assert await is_up_to_date(database_url, package)
    migrate(fresh_url, package)
    assert await dumps.read_schema(database_url) == await dumps.read_schema(fresh_url)
    after = await dumps.read_tables(database_url)
    if service == "orchestrator":
        after[CONTENTS] = [row for row in after["message"] if row["content"] is not None]
        assert before[CONTENTS]
    del before[VERSION_TABLE]
    for table, rows in before.items():
        old = old_view(table, rows)
        names = old[0].keys() if old else ()
        kept = [{name: row[name] for name in names} for row in after[table]]
        assert in_some_order(kept) == in_some_order(old), table


async def test_the_last_attempts_of_messages_become_handovers(database_url: str, version: str) -> None:
    dumps.load(database_url, version, "orchestrator")
    before = {
        row["message_id"]: {RENAMED.get(("message", name), name): value for name, value in row.items()}
        for row in (await dumps.read_tables(database_url))["message"]
        if row["state"] in ("handing_over", "accepted")
    }
    await upgrade_schema(database_url, "services.orchestrator")
    tracked = {row["message_id"]: row for row in await dumps.read_rows(database_url, "tracked_message")}
    assert {row["state"] for row in before.values()} == {"handing_over", "accepted"}
    for message_id, row in before.items():
        shown = tracked[message_id]
        assert [shown[name] for name in OF_HANDOVER] == [row[name] for name in OF_HANDOVER], row["state"]
        for name in ("state", "adapter", "provider_id", "detail", "updated", "maybe_sent"):
            assert shown[name] == row.get(name, shown[name]), name
    under_way = {message_id for message_id, row in before.items() if row["state"] == "handing_over"}
    assert {row["message_id"] for row in await dumps.read_rows(database_url, "open_attempt")} == under_way


async def test_messages_in_every_state_are_kept_and_whether_they_may_have_been_sent(
    database_url: str, version: str
) -> None:
    dumps.load(database_url, version, "orchestrator")
    await upgrade_schema(database_url, "services.orchestrator")
    messages = (await dumps.read_tables(database_url))["message"]
    assert {row["state"] for row in messages} == STATES
    maybe_sent = {row["state"] for row in messages if row["maybe_sent"]}
    assert maybe_sent == {"pending", "handing_over", "retry"}
    for row in messages:
        assert row["maybe_sent"] == (row["detail"] == MAYBE_SENT_DETAIL), row["customer"]
