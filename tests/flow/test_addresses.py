"""Addresses of a customer, from the new one to the message that verifies it and to where the next messages go."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from schemas.times import DAY
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

C = "/v1/preferences/c-1/addresses"
OLD, NEW = "c-1@example.org", "ada@new.example"
LINK = re.compile(r"http[^\s\"'<>]*/a/[\w-]+")
CODE = re.compile(r"code (\d{6})\b")
HTML = "Your code {{ links.verification_code }}, or <a href='{{ links.verify_address }}'>press here</a>"
ASKING = campaign(
    "verify",
    **{"class": "transactional", "intent": "inform", "topic": "account"},
    trigger={"event": "tactful.address.verification_requested"},
    content={
        "email": {"en": {"subject": "Is this your address?", "html": HTML}},
        "sms": {"en": {"text": "Your code {{ links.verification_code }}"}},
    },
    channels=["email", "sms"],
)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.campaign(ASKING)
        await running.customer(customer())
        yield running


async def add(product: Live, address: str = NEW, **more: Any) -> dict[str, Any]:
    added: dict[str, Any] = await product.ask("POST", C, {"channel": "email", "address": address, **more})
    return added


async def ask(product: Live, id: str) -> dict[str, Any]:
    """The newest message of the campaign that asks to verify, once the address of this id was to be verified."""
    await product.ask("POST", f"{C}/{id}/verification")
    await product.settle()
    asking = [each for each in await product.inbox() if each["campaign"] == "verify"]
    return max(asking, key=lambda each: each["at"])


def code_in(message: dict[str, Any]) -> str:
    (code,) = set(CODE.findall(json.dumps(message["content"])))
    return str(code)


async def recipients(product: Live, id: str) -> list[str]:
    """Where the offer goes that the customer gets upon this event."""
    await product.send(event("shop.offer", id))
    await product.settle()
    return [each["to"] for each in await product.inbox() if each["campaign"] == "offer"]


async def test_add_verify_and_the_next_message_goes_to_the_new_address(product: Live) -> None:
    added = await add(product)
    assert (added["state"], added["main"]) == ("unverified", False)
    message = await ask(product, added["id"])
    assert message["to"] == NEW
    verified = await product.ask("POST", f"{C}/{added['id']}/verification/code", {"code": code_in(message)})
    assert verified["state"] == "verified" and verified["main"]
    assert await recipients(product, "e-1") == [NEW]
    items = (await product.ask("GET", C))["items"]
    assert [(each["address"], each["state"]) for each in items] == [(NEW, "verified"), (OLD, "former")]
    assert items[1]["former"] == "2026-03-02T10:00:00Z"
