"""WhatsApp from an event to the provider and back: templates at any time, free text within a day of a message."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from schemas.times import HOUR, MINUTE, SECOND, Instant
from services.development.all_services import SERVICE_NAMES
from services.kit.errors import DatabaseBusy
from services.orchestrator.decisions.store import ERASED_SOURCE
from services.orchestrator.delivery.adapters.whatsapp_cloud.declaration import WhatsappCloudSettings
from services.orchestrator.delivery.receipts import store
from tests.flow.test_delivery import Provider
from tests.flow.test_receipts import entries, shown
from tests.support.api_contract import ContractTransport
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

SECRET, TOKEN, NUMBER, NUMBER_ID = "secret-of-the-app-0001", "token-that-meta-shows-01", "+4915112345678", "10654035"
SETTINGS = WhatsappCloudSettings(
    key=SecretStr("key-of-an-account-0001"),
    app_secret=SecretStr(SECRET),
    verify_token=SecretStr(TOKEN),
    phone_number_id=NUMBER_ID,
)
TEMPLATE = {"template": "offer", "language": "en", "body_parameters": '["{{ customer.id }}"]', "body_text": "Hi {{1}}"}
FREE = {"text": "Hi {{ customer.id }}"}
GRANTED = {"channel": "whatsapp", "topic": "news", "status": "granted", "at": "2026-01-01T00:00:00Z", "source": "shop"}


def on_whatsapp(key: str, content: dict[str, str], **changes: Any) -> dict[str, Any]:
    return {**campaign(key), "channels": ["whatsapp"], "content": {"whatsapp": {"en": content}}, **changes}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """The databases of the three services, once of each dialect."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {service: server.database() for service in SERVICE_NAMES}


@pytest.fixture
async def product(tmp_path: Path, urls: dict[str, str] | None) -> AsyncIterator[Live]:
    adapters = {"whatsapp": "whatsapp_cloud"}
    async with live(tmp_path, MONDAY, urls, adapters=adapters, whatsapp_cloud=SETTINGS) as running:
        await running.policy(policy())
        await running.campaign(on_whatsapp("offer", TEMPLATE))
        free = on_whatsapp("free", FREE, trigger={"event": "shop.question"})
        await running.campaign({**free, "class": "transactional", "intent": "inform", "topic": "account"})
        address = {"channel": "whatsapp", "address": NUMBER, "verified": True}
        consent = [{**GRANTED, "wording": "chats-1"}]
        await running.customer(customer("c-1", addresses=[address], consent=consent))
        yield running


async def sent(product: Live, kind: str, name: str, provider: Provider) -> str:
    """What became of an event's message; returns its id."""
    product.together.orchestrator.components.adapters.by_name["whatsapp_cloud"] = provider  # type: ignore[index]
    decision, *_ = (await product.send(event(kind, name)))["decisions"]
    await product.settle()
    return str(decision["message_id"])


async def post(product: Live, value: dict[str, Any]) -> httpx.Response:
    """As Meta posts it, which has no key of ours."""
    body = json.dumps({"entry": [{"changes": [{"value": value}]}]}).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=ContractTransport(product.together.app), base_url="http://tactful") as meta:
        return await meta.post("/v1/receipts/whatsapp_cloud", content=body, headers=headers)


async def reply(product: Live, text: str, at: Instant, id: str = "1", **fields: Any) -> httpx.Response:
    """The customer writes this."""
    message = {"from": NUMBER[1:], "id": id, "timestamp": str(at // SECOND), "type": "text", "text": {"body": text}}
    return await post(product, {"metadata": {"phone_number_id": NUMBER_ID}, "messages": [message], **fields})


async def test_a_template_may_go_at_any_time(product: Live) -> None:
    provider = Provider()
    message_id = await sent(product, "shop.offer", "e-1", provider)
    assert (await shown(product, message_id))["status"] == "accepted"
    assert [json.loads(each.content["body_parameters"]) for each in provider.taken] == [["c-1"]]


async def test_free_text_without_a_message_of_the_customer_is_refused_and_says_how_to_mend_it(product: Live) -> None:
    provider = Provider()
    message = await shown(product, await sent(product, "shop.question", "e-1", provider))
    assert (message["status"], provider.taken) == ("rejected", [])
    assert message["attempts"][-1]["detail"] == (
        "outside_reply_window: no message of the customer is known on this channel within the last 24 hours; "
        "use an approved template"
    )
    labels = {"channel": "whatsapp", "adapter": "whatsapp_cloud"}
    registry = product.together.orchestrator.components.registry
    for name, label in (("attempts", {"outcome": "permanent"}), ("faults", {"fault": "content"})):
        assert registry.get_sample_value(f"tactful_delivery_{name}_total", {**labels, **label}) == 1


@pytest.mark.parametrize(
    ("later", "state"), [(MINUTE, "accepted"), (24 * HOUR - MINUTE, "accepted"), (24 * HOUR, "rejected")]
)
async def test_free_text_may_follow_a_message_for_a_day(product: Live, later: int, state: str) -> None:
    provider = Provider()
    await sent(product, "shop.offer", "e-1", provider)
    assert (await reply(product, "Where is it?", MONDAY)).status_code == 200
    await product.at(MONDAY + later)
    message = await shown(product, await sent(product, "shop.question", "e-2", provider))
    assert message["status"] == state
    assert len(provider.taken) == (2 if state == "accepted" else 1)


async def test_the_time_of_a_message_is_its_own_and_not_that_of_its_arrival(product: Live) -> None:
    provider = Provider()
    await sent(product, "shop.offer", "e-1", provider)
    await reply(product, "Long ago", MONDAY - 25 * HOUR)
    assert (await shown(product, await sent(product, "shop.question", "e-2", provider)))["status"] == "rejected"


async def test_a_receipt_or_a_wish_about_advertising_opens_no_window(product: Live) -> None:
    provider = Provider()
    message_id = await sent(product, "shop.offer", "e-1", provider)
    read = {"id": "w", "status": "read", "timestamp": str(MONDAY // SECOND), "biz_opaque_callback_data": message_id}
    await post(product, {"metadata": {"phone_number_id": NUMBER_ID}, "statuses": [read]})
    wish = {"wa_id": NUMBER[1:], "category": "marketing_messages", "value": "stop", "timestamp": MONDAY // SECOND}
    await post(product, {"metadata": {"phone_number_id": NUMBER_ID}, "user_preferences": [wish]})
    assert {each["kind"] for each in (await shown(product, message_id))["receipts"]} == {"opened", "unsubscribed"}
    assert (await shown(product, await sent(product, "shop.question", "e-2", provider)))["status"] == "rejected"


async def test_stop_forbids_every_class_and_a_wish_about_advertising_forbids_that(product: Live) -> None:
    provider = Provider()
    await sent(product, "shop.offer", "e-1", provider)
    wish = {"wa_id": NUMBER[1:], "category": "marketing_messages", "value": "stop", "timestamp": MONDAY // SECOND}
    assert (await reply(product, "Hm", MONDAY, user_preferences=[wish])).status_code == 200
    (entry,) = await entries(product)
    assert (entry["reason"], entry["scope"]) == ("stop_keyword", {"channel": "whatsapp", "classes": ["marketing"]})
    (decision,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
    assert decision["outcome"] == "suppress"
    assert (await shown(product, await sent(product, "shop.question", "e-3", provider)))["status"] == "accepted"
    assert (await reply(product, "STOP", MONDAY, "2")).status_code == 200
    (decision,) = (await product.send(event("shop.question", "e-4")))["decisions"]
    assert decision["outcome"] == "suppress"
    assert (await reply(product, "start", MONDAY, "3")).status_code == 200
    assert await entries(product) == []


MEXICAN = ("+525512345678", "5215512345678")
"""A number as one dials it, and as Meta knows its member."""


async def write_as_mexican(product: Live, text: str, at: Instant, id: str = "1") -> dict[str, int]:
    message = {"from": MEXICAN[1], "id": id, "timestamp": str(at // SECOND), "type": "text", "text": {"body": text}}
    answer = await post(product, {"metadata": {"phone_number_id": NUMBER_ID}, "messages": [message]})
    assert answer.status_code == 200
    counts: dict[str, int] = answer.json()
    return counts


async def test_a_reply_from_the_number_that_meta_knows_a_member_by_opens_the_window_and_its_stop_counts(
    product: Live,
) -> None:
    provider = Provider()
    address = {"channel": "whatsapp", "address": MEXICAN[0], "verified": True}
    await product.customer(customer("c-1", addresses=[address], consent=[{**GRANTED, "wording": "chats-1"}]))
    await sent(product, "shop.offer", "e-1", provider)
    assert await write_as_mexican(product, "Where is it?", MONDAY) == {"new": 1, "repeated": 0, "unknown": 0}
    assert (await shown(product, await sent(product, "shop.question", "e-2", provider)))["status"] == "accepted"
    assert await write_as_mexican(product, "STOP", MONDAY, "2") == {"new": 1, "repeated": 0, "unknown": 0}
    assert await write_as_mexican(product, "STOP", MONDAY, "2") == {"new": 0, "repeated": 1, "unknown": 0}
    (decision,) = (await product.send(event("shop.question", "e-3")))["decisions"]
    assert decision["outcome"] == "suppress"
    await write_as_mexican(product, "START", MONDAY, "3")
    assert await entries(product) == []


async def test_a_stop_forbids_all_numbers_of_a_member_where_no_message_is_known(product: Live) -> None:
    stop = {"from": "551187654321", "id": "1", "timestamp": str(MONDAY // SECOND), "type": "text"}
    value = {"metadata": {"phone_number_id": NUMBER_ID}, "messages": [{**stop, "text": {"body": "stop"}}]}
    assert (await post(product, value)).json() == {"new": 1, "repeated": 0, "unknown": 0}
    assert len(await entries(product)) == 2
    address = {"channel": "whatsapp", "address": "+5511987654321", "verified": True}
    await product.customer(customer("c-1", addresses=[address], consent=[{**GRANTED, "wording": "chats-1"}]))
    (decision,) = (await product.send(event("shop.offer", "e-1")))["decisions"]
    assert (decision["outcome"], decision["reason"]) == ("suppress", "suppression_list")


@pytest.mark.parametrize(
    ("changes", "number_id", "cause", "line"),
    [
        ({"from": "user.name"}, NUMBER_ID, "unreadable_address", "reply_from_unreadable_address"),
        ({"from": "99912"}, NUMBER_ID, "unreadable_address", "reply_from_unreadable_address"),
        ({}, "999999999", "other_account", "reply_to_other_account"),
    ],
)
async def test_a_stop_that_nothing_can_be_made_of_is_counted_and_logged_without_its_address(
    product: Live,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, str],
    number_id: str,
    cause: str,
    line: str,
) -> None:
    def count(cause: str) -> float:
        labels = {"adapter": "whatsapp_cloud", "cause": cause}
        registry = product.together.orchestrator.components.registry
        return registry.get_sample_value("tactful_receipts_without_effect_total", labels) or 0.0

    message = {"from": NUMBER[1:], "id": "1", "type": "text", "text": {"body": "STOP"}, **changes}
    answer = await post(product, {"metadata": {"phone_number_id": number_id}, "messages": [message]})
    assert (answer.status_code, answer.json()) == (200, {"new": 0, "repeated": 0, "unknown": 1})
    assert (count(cause), count("unknown_message"), await entries(product)) == (1.0, 0.0, [])
    (record,) = [each for each in caplog.records if each.message == line]
    assert record.__dict__["fields"] == {"adapter": "whatsapp_cloud", "channel": "whatsapp", "asks": "stop"}


async def test_meta_asks_for_the_address_and_gets_its_challenge_back(product: Live) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "1158201444"}
    async with httpx.AsyncClient(transport=ContractTransport(product.together.app), base_url="http://tactful") as meta:
        answer = await meta.get("/v1/receipts/whatsapp_cloud", params=query)
        assert (answer.status_code, answer.text) == (200, "1158201444")
        assert answer.headers["content-type"].startswith("text/plain")
        refused = await meta.get("/v1/receipts/whatsapp_cloud", params={**query, "hub.verify_token": "other"})
        assert (refused.status_code, refused.json()["code"]) == (401, "receipt_refused")
        assert (await meta.get("/v1/receipts/webhook", params=query)).status_code == 404


async def test_the_message_that_a_reply_belongs_to_is_found_by_an_index(product: Live) -> None:
    async with product.database.write() as tx:
        if tx.dialect == "postgresql":
            await tx.execute("SET LOCAL enable_seqscan = off")
            await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        explain = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
        statement = explain + store.LAST_MESSAGE.format(channel="whatsapp")
        plan = await tx.rows(statement, address=NUMBER, erased=ERASED_SOURCE)
    assert "message_whatsapp_address" in str(plan)


async def test_the_sandbox_shows_what_a_customer_would_read_and_knows_no_window(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy())
        await product.campaign(on_whatsapp("offer", TEMPLATE))
        await product.campaign(on_whatsapp("free", FREE, trigger={"event": "shop.question"}))
        address = {"channel": "whatsapp", "address": NUMBER, "verified": True}
        await product.customer(customer("c-1", addresses=[address], consent=[{**GRANTED, "wording": "chats-1"}]))
        await product.send(event("shop.offer", "e-1"))
        await product.send(event("shop.question", "e-2"))
        await product.settle()
        shown_messages = await product.inbox(channel="whatsapp")
        assert sorted(each["content"]["text"] for each in shown_messages) == ["Hi c-1", "Hi c-1"]
        assert {each["content"].get("template") for each in shown_messages} == {"offer", None}


async def test_free_text_waits_while_nobody_knows_what_customers_have_written(
    product: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise DatabaseBusy("a lock")

    monkeypatch.setattr("services.orchestrator.delivery.reply_window.load_last_replies", fail)
    provider = Provider()
    message = await shown(product, await sent(product, "shop.question", "e-1", provider))
    assert (message["status"], message["detail"], provider.taken) == ("retry", "no_replies_known", [])
