"""Messages that have ended long ago lose their contents; their decisions stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.times import DAY
from services.clients.retention_settings import RetentionSettings
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.orchestrator.retention.retention_rules import list_kept_kinds
from services.retention.kept_kinds import ROWS_AT_ONCE
from services.retention.sweeper import RetentionMetrics, RetentionSweeper
from tests.support.decision_records import decision, event, keep, keep_message
from tests.support.handovers import claim
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired
OLD = NOON - 90 * DAY - 1


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=2)
    yield opened
    await opened.close()


def sweeper(database: Database, clock: ManualClock) -> RetentionSweeper:
    kinds = list_kept_kinds(RetentionSettings(contents=90))[:1]
    return RetentionSweeper(database, clock, kinds, RetentionMetrics(Registry(), "orchestrator", kinds))


async def keep_one(database: Database, id: str, time: int = OLD, **changes: Any) -> str:
    of = decision(event(id), outcome="send", reason="eligible", time=time)
    values = {"state": "failed", "created": time, "updated": time, **changes}
    async with database.write() as tx:
        await keep(tx, event(id), of)
        await keep_message(tx, of, **values)
    return of.message_id


async def with_contents(database: Database) -> set[str]:
    async with database.read() as tx:
        return {id for (id,) in await tx.tuples("SELECT message_id FROM message WHERE content IS NOT NULL")}


async def test_the_old_lose_their_contents_and_address_and_nothing_else(database: Database) -> None:
    ended = await keep_one(database, "ended")
    young = await keep_one(database, "young", OLD + 1)
    lately = await keep_one(database, "lately", updated=OLD + 1)
    waits = await keep_one(database, "waits", state="parked")
    in_hand = await keep_one(database, "in-hand", state="pending", attempts=0)
    async with database.write() as tx:
        await claim(tx, in_hand, at=OLD)
    await sweeper(database, ManualClock(NOON)).delete_expired()
    assert await with_contents(database) == {young, lately, waits, in_hand}
    async with database.read() as tx:
        row = await tx.row("SELECT state, to_address FROM message WHERE message_id = :id", id=ended)
        assert row is not None
        assert (row.state, row.to_address) == ("failed", None)
        assert len(await tx.rows("SELECT 1 FROM decision")) == 5


async def test_what_a_walk_had_to_leave_is_taken_by_a_later_one_which_begins_there(database: Database) -> None:
    waits = await keep_one(database, "waits", state="parked")
    await keep_one(database, "ended")
    clock = ManualClock(NOON)
    job = sweeper(database, clock)
    await job.delete_expired()
    assert await with_contents(database) == {waits}
    async with database.write() as tx:
        await tx.execute("UPDATE message SET state = 'failed' WHERE message_id = :id", id=waits)
    later = await keep_one(database, "later", NOON)
    await job.delete_expired()
    assert await with_contents(database) == {later}
    clock.set(NOON + 91 * DAY)
    await job.delete_expired()
    assert await with_contents(database) == set()


async def test_a_walk_goes_on_over_many_pages(database: Database) -> None:
    await keep_one(database, "first")
    async with database.write() as tx:
        for number in range(ROWS_AT_ONCE):
            await tx.execute(
                "INSERT INTO decision (time, message_id, customer, campaign, channel, cls, outcome, reason, "
                "event_source, event_id, body) VALUES (:time, :id, 'c', 'c', 'email', 'c', 'o', 'r', 's', 'e', :body)",
                time=OLD,
                id=f"other-{number}",
                body=b"",
            )
    await keep_one(database, "last")
    await sweeper(database, ManualClock(NOON)).delete_expired()
    assert await with_contents(database) == set()
