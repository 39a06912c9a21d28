"""The topics that Tactful publishes: the life of each message and the opt-outs of customers, as the rows have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.event import decode_event
from schemas.times import DAY, HOUR, MINUTE, format_instant
from services.development.all_services import SERVICE_NAMES
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.outgoing import keep_outgoing
from services.kit.runtime.kafka_settings import KafkaSettings
from services.orchestrator.delivery import claims
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from tests.flow.test_delivery import Provider
from tests.flow.test_receipts import say, statement
from tests.support import topic_records
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.plain_text_search import find_in_database
from tests.support.topic_records import Published, read_local
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired

MESSAGES, OPT_OUTS = "shop.messages", "shop.optouts"
BOTH = KafkaSettings(messages_topic=MESSAGES, optouts_topic=OPT_OUTS)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """The databases of the three services, once of each dialect."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {service: server.database() for service in SERVICE_NAMES}


@pytest.fixture
async def product(tmp_path: Path, urls: dict[str, str] | None) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, urls, kafka=BOTH, webhook=WebhookSettings(secret=SECRET)) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


def provided(product: Live, provider: Provider) -> None:
    product.together.orchestrator.components.adapters.by_name["sandbox"] = provider  # type: ignore[index]


async def published(product: Live, topic: str = MESSAGES) -> list[Published]:
    """What is in the topic, once nothing waits to be published."""
    name = "orchestrator" if topic == MESSAGES else "preference"
    async with asyncio.timeout(20):
        while True:
            async with product.together.databases[name].read() as tx:
                if await tx.row("SELECT 1 FROM outgoing LIMIT 1") is None:
                    break
            await asyncio.sleep(0.02)
    bus = product.together.bus
    assert isinstance(bus, LocalBus)
    return await read_local(bus, topic, "message-change" if topic == MESSAGES else "opt-outs")


async def steps(product: Live) -> list[str]:
    return [each.step[1] for each in await published(product)]


async def assert_the_topic_is_what_the_rows_say(product: Live) -> None:
    queries = (topic_records.DECISIONS, topic_records.ATTEMPTS, topic_records.MESSAGES, topic_records.RECEIPTS)
    async with product.database.read() as tx:
        rows = [[each._mapping for each in await tx.rows(query)] for query in queries]
    assert topic_records.differences(await published(product), *rows) == []


async def test_a_message_that_is_sent_and_arrives(product: Live) -> None:
    provided(product, Provider())
    (decision,) = (await product.send(event("shop.offer", "e-1")))["decisions"]
    await product.settle()
    await say(product, statement(decision["message_id"], "delivered"), statement(decision["message_id"], "clicked", 2))
    records = await published(product)
    assert [each.step[1] for each in records] == ["decided", "handing_over", "accepted", "delivered", "clicked"]
    assert {each.key for each in records} == {"c-1"}
    first, claim, accepted, *_ = [each.event for each in records if each.event]
    assert first["data"] == {
        "message_id": decision["message_id"],
        "campaign": "offer",
        "version": 1,
        "channel": "email",
        "class": "marketing",
        "event": {"source": "/shop", "id": "e-1"},
        "topic": "news",
        "reason": "eligible",
    }
    assert (claim["data"]["attempt"], claim["data"]["adapter"]) == (1, "sandbox")
    assert accepted["data"]["detail"] == "status 1"
    await assert_the_topic_is_what_the_rows_say(product)


async def test_its_records_can_be_read_as_events_and_hold_no_address_and_no_content(product: Live) -> None:
    provided(product, Provider())
    await product.send(event("shop.offer", "e-1"))
    await published(product)
    bus = product.together.bus
    assert isinstance(bus, LocalBus)
    ends = await bus.end_offsets(MESSAGES)
    found = await bus.run_on_reader(lambda store: store.read_records([(each, 0) for each in ends], 100))
    records = [record for each in found.values() for record in each]
    assert records
    for record in records:
        assert dict(record.headers)["content-type"].startswith(b"application/cloudevents+json")
        assert decode_event(record.value or b"").subject == "c-1"
        assert b"example.org" not in (record.value or b"") and b"Hello" not in (record.value or b"")


async def test_each_outcome_of_an_attempt(product: Live) -> None:
    provided(product, Provider("retry", "unknown", "rejected"))
    await product.send(event("shop.offer", "e-1"))
    await product.at(MONDAY + HOUR)
    assert await steps(product) == [
        *("decided", "handing_over", "retry", "handing_over", "retry", "handing_over", "unknown"),
    ]
    provided(product, Provider("rejected"))
    await product.send(event("shop.offer", "e-2", MONDAY + HOUR))
    await product.at(MONDAY + 2 * HOUR)
    assert (await steps(product))[-1] == "rejected"
    await assert_the_topic_is_what_the_rows_say(product)


async def test_a_receipt_that_settles_what_nobody_knew(product: Live) -> None:
    provided(product, Provider("unknown", idempotent=False))
    (decision,) = (await product.send(event("shop.offer", "e-1")))["decisions"]
    await product.settle()
    await say(product, statement(decision["message_id"], "delivered"))
    assert await steps(product) == ["decided", "handing_over", "unknown", "accepted", "delivered"]
    await say(product, statement(decision["message_id"], "delivered"))
    assert len(await published(product)) == 5  # a repeated receipt says nothing new
    await assert_the_topic_is_what_the_rows_say(product)


async def test_what_waits_and_what_is_never_sent(product: Live) -> None:
    provided(product, Provider())
    await product.policy(policy(frequency_caps=[cap("defer")]))
    await product.send(event("shop.offer", "e-1"))
    await product.settle()
    await product.send(event("shop.offer", "e-2"))
    deferred = (await published(product))[-1]
    assert deferred.event is not None and deferred.step[1] == "deferred"
    assert (deferred.event["data"]["reason"], deferred.event["data"]["until"]) == (
        "cap_window",
        format_instant(MONDAY + DAY),
    )
    await product.ask("POST", "/v1/preferences/c-1/optout", {"class": "marketing"})
    await product.at(MONDAY + 2 * DAY)
    assert (await steps(product))[-1] == "suppressed"
    await assert_the_topic_is_what_the_rows_say(product)


async def test_a_message_of_the_outbox_is_claimed_too(product: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MAX_IN_FLIGHT", 0)
    provided(product, Provider())
    await product.send(event("shop.offer", "e-1"))
    await product.settle()
    async with asyncio.timeout(20):
        while "accepted" not in (found := await steps(product)):
            await asyncio.sleep(0.05)
    assert found == ["decided", "handing_over", "accepted"]
    await assert_the_topic_is_what_the_rows_say(product)


async def test_an_address_that_the_provider_refuses_at_once(product: Live) -> None:
    provider = Provider("rejected")
    provided(product, provider)
    await product.send(event("shop.offer", "e-1"))
    await product.settle()
    await assert_the_topic_is_what_the_rows_say(product)


async def test_without_a_name_for_the_topic_nothing_is_kept(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.customer(customer(opt_outs=[{"topic": "news"}]))
        await running.send(event("shop.offer", "e-1"))
        for name in ("orchestrator", "preference"):
            async with running.together.databases[name].read() as tx:
                assert await tx.row("SELECT 1 FROM outgoing") is None


async def test_the_present_opt_outs_of_a_customer(product: Live) -> None:
    await product.ask("POST", "/v1/preferences/c-1/optout", {"topic": "news"})
    await product.ask("POST", "/v1/preferences/c-1/optout", {"channel": "sms"})
    until = format_instant(MONDAY + DAY)
    await product.ask("PATCH", "/v1/preferences/c-1", {"opt_outs": [], "paused_until": until})
    await product.ask("PATCH", "/v1/preferences/c-1", {"locale": "de"})
    records = await published(product, OPT_OUTS)
    assert {each.key for each in records} == {"c-1"}
    found = [each.event["data"] for each in records if each.event]
    assert [(each["opt_outs"], each["paused_until"]) for each in found] == [
        ([{"topic": "news"}], None),
        ([{"topic": "news"}, {"channel": "sms"}], None),
        ([], until),
    ]
    assert [each["version"] for each in found] == sorted({each["version"] for each in found})


async def test_an_opt_out_by_an_event_is_published_too(product: Live) -> None:
    changed = event("tactful.preference.changed", "e-9", opt_outs=[{"all": True}])
    await product.send(changed)

    async def applied() -> bool:  # preference reads the log by itself
        return bool(await published(product, OPT_OUTS))

    await until(applied)
    (record,) = await published(product, OPT_OUTS)
    assert record.event is not None and record.event["data"]["opt_outs"] == [{"all": True}]


async def test_what_was_there_before_the_topic_was_is_published_once(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as before:
        await before.customer(customer(opt_outs=[{"class": "marketing"}]))
        await before.customer(customer("c-2"))
    for _ in range(2):
        async with live(tmp_path, MONDAY, kafka=BOTH) as running:
            await until(lambda: find_settled(running))
            assert [each.key for each in await published(running, OPT_OUTS)] == ["c-1"]
    async with live(tmp_path, MONDAY) as off:
        await until(lambda: find_settled(off, "off"))
        await off.ask("PATCH", "/v1/preferences/c-1", {"opt_outs": []})
    async with live(tmp_path, MONDAY, kafka=BOTH) as again:
        await until(lambda: find_settled(again))
        last = {each.key: each.event for each in await published(again, OPT_OUTS)}
        assert {key: each and each["data"]["opt_outs"] for key, each in last.items()} == {"c-1": [], "c-2": []}


async def test_what_waits_under_a_former_name_is_deleted_a_day_later(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY, kafka=BOTH) as before:
        databases = {name: before.together.databases[name] for name in ("orchestrator", "preference")}
        for database in databases.values():
            async with database.write() as tx:
                await keep_outgoing(tx, "former", b"c-1", MONDAY - 2 * DAY)
                await keep_outgoing(tx, "former", b"c-2", MONDAY - HOUR)
    async with live(tmp_path, MONDAY) as after:
        for name in databases:

            async def is_deleted(name: str = name) -> bool:
                async with after.together.databases[name].read() as tx:
                    return [row.body for row in await tx.rows("SELECT body FROM outgoing")] == [b"c-2"]

            await until(is_deleted)


async def find_settled(product: Live, value: str = OPT_OUTS) -> bool:
    async with product.together.databases["preference"].read() as tx:
        row = await tx.row("SELECT value FROM settled WHERE name = 'opt_out_topic'")
    return row is not None and row.value == value


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_an_erasure_leaves_a_record_without_a_value_and_nothing_that_waits(product: Live) -> None:
    ada = "marker-ada"
    await product.customer(customer(ada, opt_outs=[{"channel": "sms"}]))
    await product.customer(customer("c-2"))
    provided(product, Provider())
    await product.send(event("shop.offer", "e-1", subject=ada))
    await product.send(event("shop.offer", "e-2", subject="c-2"))
    await published(product)
    await product.send(event("tactful.customer.erased", "e-3", MONDAY + MINUTE, subject=ada))

    async def erased() -> bool:
        found = [await is_finished(product, name) for name in SERVICE_NAMES]
        return all(found)

    await until(erased)
    for name in ("orchestrator", "preference"):
        assert await find_in_database(product.together.databases[name], [ada]) == set()
    last = {each.key: each for each in await published(product, OPT_OUTS)}
    assert ada not in last or last[ada].event is None


async def is_finished(product: Live, name: str) -> bool:
    async with product.together.databases[name].read() as tx:
        row = await tx.row("SELECT finished FROM erasure")
    return row is not None and row.finished is not None
