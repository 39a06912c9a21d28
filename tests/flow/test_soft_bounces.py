"""Soft bounces in a row let an address rest; what arrives there ends that."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.receipt import Receipt
from schemas.times import DAY, MINUTE, format_instant
from services.development.all_services import SERVICE_NAMES
from services.orchestrator.bounce_settings import BounceSettings
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from tests.flow.test_receipts import entries, say, sent, statement
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """The databases of the three services, once of each dialect."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {service: server.database() for service in SERVICE_NAMES}


@pytest.fixture
async def product(tmp_path: Path, urls: dict[str, str] | None) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, urls, webhook=WebhookSettings(secret=SECRET)) as running:
        await started(running)
        yield running


async def started(running: Live) -> None:
    await running.policy(policy(frequency_caps=[]))
    await running.campaign(campaign())
    await running.campaign({**campaign("account"), "class": "transactional", "intent": "inform", "topic": "account"})
    await running.customer(customer())


async def four(product: Live) -> list[str]:
    """Four messages that the provider has taken, and a clock that allows for receipts about them."""
    found = [await sent(product, f"e-{number}") for number in range(1, 5)]
    await product.at(MONDAY + DAY)
    return found


def soft(message_id: str, minutes: int) -> dict[str, Any]:
    return statement(message_id, "bounced", minutes, detail="4.2.2")


def arrived(message_id: str, minutes: int, kind: str = "delivered") -> dict[str, Any]:
    return statement(message_id, kind, minutes)


async def reasons(product: Live) -> list[str]:
    return [entry["reason"] for entry in await entries(product)]


async def outcome(product: Live, name: str, kind: str = "offer") -> str:
    (decision,) = (await product.send(event(f"shop.{kind}", name, time=product.clock.now())))["decisions"]
    return str(decision["outcome"])


async def test_three_in_a_row_let_the_address_rest_for_a_time(product: Live) -> None:
    one, two, three, _ = await four(product)
    await say(product, soft(one, 1))
    await say(product, soft(two, 2), soft(two, 3), soft(one, 4))  # of the same messages
    assert await entries(product) == []
    await say(product, soft(three, 5))
    (entry,) = await entries(product)
    assert (entry["reason"], entry["source"]) == ("soft_bounces", "webhook: bounced")
    assert entry["scope"] == {"channel": "email", "classes": ["marketing", "service"]}
    assert (entry["at"], entry["expires"]) == (
        format_instant(MONDAY + 5 * MINUTE),
        format_instant(MONDAY + 5 * MINUTE + 30 * DAY),
    )
    assert "customer" not in entry
    assert await outcome(product, "e-5") == "suppress"
    assert await outcome(product, "e-6", "account") == "send"
    await product.at(MONDAY + 31 * DAY)
    assert await outcome(product, "e-7") == "send"


async def test_bounces_that_are_told_at_the_same_time_are_all_counted(product: Live) -> None:
    one, two, three, _ = await four(product)
    await asyncio.gather(*(say(product, soft(id, place)) for place, id in enumerate((one, two, three), 1)))
    assert await reasons(product) == ["soft_bounces"]


async def test_what_arrives_in_between_begins_the_count_anew(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await say(product, soft(one, 1), soft(two, 2), arrived(three, 3), soft(four_, 4))
    assert await entries(product) == []


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked"])
async def test_what_arrives_ends_the_rest(product: Live, kind: str) -> None:
    one, two, three, four_ = await four(product)
    await say(product, soft(one, 1), soft(two, 2), soft(three, 3))
    assert await reasons(product) == ["soft_bounces"]
    await say(product, arrived(four_, 4, kind))
    assert await entries(product) == []
    assert await outcome(product, "e-5") == "send"


async def test_the_end_does_not_depend_on_the_order_of_arrival_nor_on_repetition(product: Live) -> None:
    """Two messages, then one that arrives, then another: never three in a row."""
    for turn, order in enumerate(itertools.permutations(range(4))):
        name = f"c-{turn + 10}"
        mailbox = [{"channel": "email", "address": f"{name}@example.org", "verified": True}]
        await product.customer(customer(name, addresses=mailbox))
        ids = []
        for number in range(4):
            (decision,) = (await product.send(event("shop.offer", f"o-{turn}-{number}", subject=name)))["decisions"]
            ids.append(decision["message_id"])
        await product.settle()
        said = [soft(ids[0], -40), soft(ids[1], -30), arrived(ids[2], -20), soft(ids[3], -10)]
        for index in order:
            await say(product, said[index])
            await say(product, said[index])
        assert await entries(product) == [], order


async def test_a_delivery_that_is_told_late_takes_the_entry_back(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await say(product, soft(one, 1), soft(two, 2), soft(four_, 4))
    assert await reasons(product) == ["soft_bounces"]
    await say(product, arrived(three, 3))
    assert await entries(product) == []


async def test_a_delivery_before_them_ends_nothing(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await say(product, soft(one, 2), soft(two, 3), soft(three, 4))
    await say(product, arrived(four_, 1))
    assert await reasons(product) == ["soft_bounces"]


async def test_what_bounced_long_ago_does_not_count(product: Live) -> None:
    one, two, three, _ = await four(product)
    await say(product, soft(one, 1), soft(two, 2))
    await product.at(MONDAY + 32 * DAY)
    await say(product, soft(three, 32 * 24 * 60))
    assert await entries(product) == []


async def test_other_entries_of_the_address_stay(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await say(product, soft(one, 1), soft(two, 2), soft(three, 3), statement(two, "bounced", 4, permanent=True))
    await say(product, arrived(four_, 5))
    assert await reasons(product) == ["hard_bounce"]


async def test_no_table_of_receipts_has_an_address_of_them(product: Live) -> None:
    one, two, three, _ = await four(product)
    await say(product, soft(one, 1), soft(two, 2), soft(three, 3))
    async with product.database.read() as tx:
        rows = await tx.rows("SELECT * FROM receipt")
    assert "@" not in str(rows)


@pytest.mark.parametrize(("limit", "found"), [(0, []), (1, ["soft_bounces"])])
async def test_the_limit_is_a_setting(tmp_path: Path, limit: int, found: list[str]) -> None:
    bounces = BounceSettings(limit=limit)
    async with live(tmp_path, MONDAY, webhook=WebhookSettings(secret=SECRET), bounces=bounces) as product:
        await started(product)
        message_id = await sent(product)
        await say(product, soft(message_id, -1))
        assert await reasons(product) == found


async def test_what_arrives_ends_the_rest_also_when_the_bounces_are_long_ago(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await product.at(MONDAY + 28 * DAY)
    day = 24 * 60
    await say(product, soft(one, 1), soft(two, 2), soft(three, 27 * day))
    assert await reasons(product) == ["soft_bounces"]
    await product.at(MONDAY + 40 * DAY)  # only the last of them is within 30 days
    await say(product, arrived(four_, 39 * day))
    assert await entries(product) == []


async def test_a_delivery_before_them_that_is_told_when_they_are_long_ago_ends_nothing(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await product.at(MONDAY + 28 * DAY)
    day = 24 * 60
    await say(product, soft(one, 2), soft(two, 3), soft(three, 27 * day))
    await product.at(MONDAY + 40 * DAY)
    await say(product, arrived(four_, 1))
    assert await reasons(product) == ["soft_bounces"]


async def test_an_arrival_that_another_adapter_tells_ends_the_rest(product: Live) -> None:
    one, two, three, four_ = await four(product)
    await say(product, soft(one, 1), soft(two, 2), soft(three, 3))
    intake = product.together.orchestrator.components.receipt_intake
    await intake.take("smtp", [Receipt("smtp:1", four_, "delivered", MONDAY + 4 * MINUTE)])
    assert await entries(product) == []
