"""What waits to be published of an erased customer, and what an erasure does about it."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from schemas.facts import OptOut, Preference
from schemas.topics import OPT_OUTS
from services.erasure.eraser import Subject
from services.kit.db.database import Database
from services.preference.opt_out_topic import forget_outgoing, keep_erasure, keep_present
from tests.support.fresh_databases import migrate

pytestmark = pytest.mark.wired

ADA = Subject("ada", "p-ada", 1, Counter())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    migrate(database_url, "services.preference")
    opened = Database.open(database_url)
    opened.out_topics = {OPT_OUTS.name: "shop.optouts"}
    yield opened
    await opened.close()


async def forget(database: Database) -> int | None:
    async with database.write() as tx:
        return await forget_outgoing(tx, ADA)


async def test_an_erasure_waits_until_the_topic_has_been_told(database: Database) -> None:
    async with database.write() as tx:
        await keep_present(tx, [Preference("ada", opt_outs=(OptOut(all=True),))], 1, even_none=False)
        await keep_erasure(tx, "ada", 2)
    assert await forget(database) == 1
    assert await forget(database) is None
    async with database.write() as tx:
        await tx.execute("DELETE FROM outgoing")
    assert await forget(database) == 0


async def test_where_the_topic_is_off_nothing_is_waited_for(database: Database) -> None:
    async with database.write() as tx:
        await keep_erasure(tx, "ada", 2)
    database.out_topics = {}
    assert await forget(database) == 1
    assert await forget(database) == 0
