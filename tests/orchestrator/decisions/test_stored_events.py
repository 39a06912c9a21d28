"""An event is stored once: with the first decision that it led to, or by itself where it led to none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from schemas.event import decode_event
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions import read_store, store
from services.orchestrator.decisions.store import ReceivedEvent, event_key
from tests.support.decision_records import decision, event, keep
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired

SENT, REPORTED = event("e-1"), event("e-2")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=2)
    yield opened
    await opened.close()


async def rows(database: Database, sql: str) -> list[Any]:
    async with database.read() as tx:
        return [tuple(row) for row in await tx.rows(sql)]


async def test_the_first_decision_of_an_event_has_it_and_what_decided_nothing_stands_alone(database: Database) -> None:
    async with database.write() as tx:
        await keep(tx, SENT, decision(SENT, "sms"), decision(SENT, "email"), offset=7)
        await keep(tx, REPORTED, offset=8)
        await store.insert_decisions(tx, [decision(SENT, "sms", time=NOON + 5)])
    assert await rows(database, "SELECT channel, event IS NOT NULL FROM decision ORDER BY decision_id") == [
        ("sms", True),
        ("email", False),
        ("sms", False),
    ]
    assert await rows(database, "SELECT event_id FROM inbox") == [("e-2",)]
    stored = "customer, source, event_id, type, time, received, topic, partition, log_offset"
    assert await rows(database, f"SELECT {stored} FROM stored_event ORDER BY event_id") == [
        ("c-1", "/shop", "e-1", SENT.type, NOON, NOON, "customer.events", 0, 7),
        ("c-1", "/shop", "e-2", REPORTED.type, NOON, NOON, "customer.events", 0, 8),
    ]


async def test_both_are_known_and_read_back(database: Database) -> None:
    async with database.write() as tx:
        await keep(tx, SENT, decision(SENT))
        await keep(tx, REPORTED)
    keys = [event_key(SENT), event_key(REPORTED), event_key(event("e-3"))]
    async with database.read() as tx:
        assert await store.known_event_keys(tx, keys) == set(keys[:2])
        assert (await store.known_and_erased(tx, keys, []))[0] == set(keys[:2])
        loaded = await store.load_events(tx, keys)
        assert {key: decode_event(raw) for key, raw in loaded.items()} == {keys[0]: SENT, keys[1]: REPORTED}
        for each in (SENT, REPORTED):
            raw = await read_store.get_event(tx, each.source, each.id, None)
            assert raw is not None and decode_event(raw) == each


async def test_no_event_is_stored_with_two_decisions(database: Database) -> None:
    """What looks for known events is under the lease of the partition; this stands behind it."""
    async with database.write() as tx:
        await keep(tx, SENT, decision(SENT))
    with pytest.raises(IntegrityError):
        async with database.write() as tx:
            await store.insert_decisions(tx, [decision(SENT, "email")], [ReceivedEvent(SENT, "customer.events", 0, 9)])
    other = msgspec.structs.replace(SENT, subject="c-2")
    async with database.write() as tx:
        await keep(tx, other, decision(other))
    assert len(await rows(database, "SELECT 1 FROM stored_event")) == 2
