"""Queries about messages and attempts, as the API and the opt-out barrier ask them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.service_api import AttemptScope
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.delivery import query_store, store
from services.orchestrator.delivery.attempts import AttemptEnd
from tests.support.decision_records import decision, event, keep_message
from tests.support.handovers import claim, handover_of
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'reads.db'}"
    await upgrade_schema(url, "services.orchestrator")
    opened = Database.open(url, pool=2)
    yield opened
    await opened.close()


async def open_attempt(database: Database, event_id: str, customer: str = "c-1", **changes: Any) -> str:
    of = decision(event(event_id, customer), changes.pop("on", "sms"))
    async with database.write() as tx:
        await keep_message(tx, of, state="pending", attempts=0, **changes)
        await claim(tx, of.message_id, channel=of.channel, address=f"hash-of-{customer}")
    return of.message_id


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, {"sms", "push", "service"}),
        ({"channels": ("push",)}, {"push"}),
        ({"channels": ("email",)}, set()),
        ({"topics": ("referrals",)}, {"sms", "push", "service"}),
        ({"classes": ("service",)}, {"service"}),
        ({"intents": ("ask_referral",), "campaigns": ("referral-ask",), "classes": ("marketing",)}, {"sms", "push"}),
        ({"campaigns": ("another",)}, set()),
    ],
)
async def test_open_attempts_are_found_by_what_an_opt_out_forbids(
    database: Database, scope: dict[str, Any], expected: set[str]
) -> None:
    ids = {
        "sms": await open_attempt(database, "e-1"),
        "push": await open_attempt(database, "e-2", on="push"),
        "service": await open_attempt(database, "e-3", cls="service"),
    }
    await open_attempt(database, "e-4", "c-2")
    async with database.read() as tx:
        found = await query_store.list_open_attempts(tx, AttemptScope(customer="c-1", **scope))
    assert found == sorted((ids[name], 1) for name in expected)


async def test_open_attempts_are_found_by_the_hash_of_an_address(database: Database) -> None:
    mine = await open_attempt(database, "e-1")
    await open_attempt(database, "e-2", "c-2")
    async with database.read() as tx:
        assert await query_store.list_open_attempts(tx, AttemptScope(address="hash-of-c-1")) == [(mine, 1)]


async def test_an_attempt_counts_as_open_until_it_ends_or_a_later_one_opens(database: Database) -> None:
    first, second = await open_attempt(database, "e-1"), await open_attempt(database, "e-2")
    async with database.write() as tx:
        assert await query_store.count_open_attempts(tx, [(first, 1), (second, 1), (second, 2), ("msg_x", 1)]) == 2
        await store.close_handover(tx, await handover_of(tx, first), [], NOON)
        assert await query_store.count_open_attempts(tx, [(first, 1), (second, 1)]) == 1
        await tx.execute("UPDATE message SET attempts = 2 WHERE message_id = :id", id=second)
        assert await query_store.count_open_attempts(tx, [(first, 1), (second, 1)]) == 0


async def test_the_attempts_of_a_message_are_those_that_ended_otherwise_and_the_last_one(database: Database) -> None:
    message_id = await open_attempt(database, "e-1")
    async with database.write() as tx:
        first = await handover_of(tx, message_id)
        await store.end_attempts(tx, first, [AttemptEnd(message_id, "retry", "busy")], NOON + 1)
        await tx.execute("UPDATE message SET state = 'pending', detail = NULL")
        await store.close_handover(tx, first, [], NOON + 1)
        await claim(tx, message_id, at=NOON + 2)
        found = await query_store.list_attempts(tx, message_id)
    assert [(row.number, row.state, row.outcome, row.detail, row.claimed_at) for row in found] == [
        (1, "closed", "retry", "busy", NOON),
        (2, "open", None, None, NOON + 2),
    ]
