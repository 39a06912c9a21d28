"""Receipts in the database: each statement once, whoever writes it, in whatever order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from schemas.receipt import Receipt
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions.store import ERASED_SOURCE
from services.orchestrator.delivery.receipts import store
from services.orchestrator.delivery.receipts.store import NewReceipt
from tests.support.decision_records import decision, event, keep_message

pytestmark = pytest.mark.wired

NOW = 1_000_000


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=4)
    yield opened
    await opened.close()


def receipt(number: int) -> NewReceipt:
    return NewReceipt(Receipt(f"test:{number}", f"msg_{number}", "delivered", NOW), f"c-{number}", None)


async def test_a_statement_is_kept_once_however_often_it_comes(database: Database) -> None:
    async with database.write() as tx:
        assert await store.insert_receipts(tx, "webhook", [receipt(1), receipt(2), receipt(1)], NOW) == {
            "test:1",
            "test:2",
        }
    async with database.write() as tx:
        assert await store.insert_receipts(tx, "webhook", [receipt(2), receipt(3)], NOW) == {"test:3"}
        assert await store.insert_receipts(tx, "webhook", [], NOW) == set()
    async with database.read() as tx:
        assert len(await store.list_receipts(tx, "msg_1")) == 1


async def test_requests_with_the_same_receipts_wait_for_each_other_in_one_order(database: Database) -> None:
    """A deadlock would end one of them: it raises."""
    start = random.Random(3)

    async def take(numbers: list[int]) -> int:
        async with database.write() as tx:
            return len(await store.insert_receipts(tx, "webhook", [receipt(number) for number in numbers], NOW))

    for round_number in range(20):
        numbers = list(range(round_number * 200, round_number * 200 + 200))
        shuffled = [start.sample(numbers, len(numbers)) for _ in range(4)]
        assert sum(await asyncio.gather(*(take(each) for each in shuffled))) == len(numbers)


async def test_receipts_of_messages_that_are_gone_hold_up_no_others(database: Database) -> None:
    owed = [
        NewReceipt(Receipt("test:gone", "msg_gone", "complained", NOW), "c-1", SuppressionReason.SPAM_COMPLAINT),
        NewReceipt(
            *(Receipt("test:stranger", "", "unsubscribed", NOW), "", SuppressionReason.STOP_KEYWORD),
            channel="sms",
            address="+4915112345678",
        ),
    ]
    async with database.write() as tx:
        await store.insert_receipts(tx, "webhook", owed, NOW)
    async with database.read() as tx:
        (row,) = await store.list_owed_entries(tx, 10)
        assert (row.receipt_key, row.channel, row.to_address) == ("test:stranger", "sms", "+4915112345678")
        assert await store.list_unpublished(tx, 10) == []


async def test_a_reply_belongs_to_the_last_message_that_was_tried_and_is_of_nobody_erased(database: Database) -> None:
    number = "+491701234567"
    messages = {name: decision(event(name), "sms") for name in ("first", "last", "waiting", "elsewhere", "erased")}
    changes: dict[str, dict[str, object]] = {
        "first": {"created": 1},
        "last": {"created": 2},
        "waiting": {"created": 3, "attempts": 0, "state": "pending"},
        "elsewhere": {"created": 4, "to_address": "+491707654321"},
        "erased": {"created": 5, "event_source": ERASED_SOURCE},
    }
    async with database.write() as tx:
        for name, of in messages.items():
            await keep_message(tx, of, **changes[name])
    async with database.read() as tx:
        found = await store.find_last_message(tx, "sms", number)
        assert found is not None
        assert found.message_id == messages["last"].message_id
        assert await store.find_last_message(tx, "whatsapp", number) is None
        assert await store.find_last_message(tx, "sms", "+491700000000") is None
