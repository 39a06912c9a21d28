"""Receipts and replies in Tactful's own form: from the company's sender, and for the sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.receipt import CustomerReply
from schemas.times import MINUTE, SECOND, format_instant
from services.orchestrator.delivery.adapters.sandbox.declaration import SandboxSettings
from services.orchestrator.delivery.adapters.standard_webhooks import sign, signing_key
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from tests.flow.test_receipts import entries
from tests.flow.test_replies import by_sms, texter
from tests.orchestrator.delivery.adapters.test_twilio_receipts import NUMBER
from tests.support.document_builders import MONDAY, event, policy
from tests.support.live_product import Live, live
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    webhook, sandbox = WebhookSettings(secret=SECRET), SandboxSettings(secret=SECRET)
    async with live(tmp_path, MONDAY, webhook=webhook, sandbox=sandbox) as running:
        await running.policy(policy())
        await running.campaign(by_sms())
        await running.customer(texter())
        yield running


async def post(product: Live, adapter: str, body: Any) -> httpx.Response:
    content, seconds = json.dumps(body).encode(), product.clock.now() // SECOND
    headers = {
        "webhook-id": "rcp_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": sign(signing_key(SECRET), "rcp_1", seconds, content),
    }
    transport = httpx.ASGITransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as nobody:
        return await nobody.post(f"/v1/receipts/{adapter}", content=content, headers=headers)


def reply(text: str, name: str = "in-1", **changes: Any) -> dict[str, Any]:
    at = format_instant(MONDAY + MINUTE)
    return {"id": name, "channel": "sms", "address": NUMBER, "text": text, "at": at} | changes


@pytest.mark.parametrize("adapter", ["webhook", "sandbox"])
async def test_a_stop_forbids_before_the_answer_and_counts_once(product: Live, adapter: str) -> None:
    await product.send(event("shop.offer", "e-1"))
    await product.settle()
    for repeated in (0, 1):
        answer = await post(product, adapter, {"replies": [reply("Stop.")]})
        assert (answer.status_code, answer.json()["repeated"]) == (200, repeated)
    (entry,) = await entries(product)
    assert (entry["reason"], entry["scope"]["channel"]) == ("stop_keyword", "sms")
    (refused,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
    assert (refused["outcome"], refused["reason"]) == ("suppress", "suppression_list")


async def test_a_message_in_the_sandbox_can_be_delivered_and_answered_in_one_request(product: Live) -> None:
    (decision,) = (await product.send(event("shop.offer", "e-1")))["decisions"]
    await product.settle()
    said = {"message_id": decision["message_id"], "kind": "delivered", "at": format_instant(MONDAY)}
    answer = await post(product, "sandbox", {"receipts": [said], "replies": [reply("Thanks")]})
    assert (answer.status_code, answer.json()["new"]) == (200, 2)
    message = await product.ask("GET", f"/v1/messages/{decision['message_id']}")
    assert message["delivery"] == "delivered"
    assert [each["kind"] for each in message["receipts"]] == ["delivered", "replied"]


async def test_accounts_of_one_kind_may_number_their_replies_alike(product: Live) -> None:
    intake = product.together.orchestrator.components.receipt_intake
    said = CustomerReply("webhook:0123", "sms", NUMBER, "STOP", MONDAY)
    for adapter in ("webhook", "sandbox"):
        assert (await intake.take(adapter, [said])).new == 1
        assert (await intake.take(adapter, [said])).repeated == 1
        async with product.database.read() as tx:
            (row,) = await tx.rows("SELECT receipt_key FROM receipt WHERE adapter = :name", name=adapter)
        assert row.receipt_key == f"{adapter}:0123"


async def test_a_reply_on_a_channel_where_none_can_be_found_is_refused_with_what_is_allowed(product: Live) -> None:
    answer = await post(product, "webhook", {"replies": [reply("STOP", channel="email", address="a@example.org")]})
    assert answer.status_code == 400
    assert "sms or whatsapp" in answer.json()["detail"]


@pytest.mark.parametrize("changes", [{"channel": "pigeon"}, {"id": ""}, {"at": "yesterday"}, {"address": None}])
async def test_a_reply_that_cannot_be_read_is_refused_and_nothing_of_its_request_counts(
    product: Live, changes: dict[str, Any]
) -> None:
    answer = await post(product, "webhook", {"replies": [reply("STOP"), reply("STOP", "in-2", **changes)]})
    assert answer.status_code == 400
    assert await entries(product) == []
