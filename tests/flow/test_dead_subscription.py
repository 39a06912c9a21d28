"""A push service says that a subscription is over: nothing is sent to it again, and another one is used at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.delivery.adapters.test_webpush import PushService, subscription, webpush
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

CONTENT = {"web_push": {"en": {"title": "Hi", "body": "It is ready"}}}


OWN: dict[str, Any] = {"adapters": {"web_push": "own"}, "accounts": {"own": {"adapter": "null"}}}
"""An adapter of the channel alone, in whose place the test puts its own."""


def subscribed(url: str) -> dict[str, Any]:
    return {**customer(), "addresses": [{"channel": "web_push", "address": subscription(url), "verified": True}]}


async def outcome(product: Live, name: str) -> str:
    (decision,) = (await product.send(event("shop.offer", name)))["decisions"]
    await product.settle()
    return str(decision["outcome"])


async def test_a_dead_subscription_becomes_a_do_not_contact_entry(tmp_path: Path) -> None:
    document = {**campaign(channels=["web_push"], content=CONTENT), "class": "service", "topic": None}
    async with webpush(PushService(410)) as (adapter, service, url), live(tmp_path, MONDAY, **OWN) as product:
        product.together.orchestrator.components.adapters.by_name["own"] = adapter  # type: ignore[index]
        await product.policy(policy())
        await product.campaign({name: value for name, value in document.items() if value is not None})
        await product.customer(subscribed(f"{url}/old"))
        assert await outcome(product, "e-1") == "send"
        async with asyncio.timeout(30):
            while not (found := (await product.ask("GET", "/v1/suppressions"))["items"]):
                await asyncio.sleep(0.02)
        assert [(each["reason"], each["source"]) for each in found] == [("hard_bounce", "own: bounced")]
        service.status = 201
        assert await outcome(product, "e-2") == "suppress"
        await product.customer(subscribed(f"{url}/new"))
        assert await outcome(product, "e-3") == "send"
        async with asyncio.timeout(30):
            while len(service.paths) < 2:
                await asyncio.sleep(0.02)
    assert service.paths == ["/old", "/new"]
