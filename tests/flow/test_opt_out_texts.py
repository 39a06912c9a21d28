"""What a country wants advertising by SMS to say is in what is handed over, previewed and paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.orchestrator.delivery.channels.sms.declaration import SmsSettings
from tests.flow.test_replies import by_sms, texter
from tests.support.document_builders import MONDAY, event, policy
from tests.support.live_product import live

pytestmark = pytest.mark.wired

SETTINGS = SmsSettings(
    opt_out_texts='{"US": "Reply STOP to opt out", "DE": "Abmelden: STOPP"}',
    prices='{"currency": "EUR", "per_part": {"US": 0.01, "DE": 0.08}}',
)
US = "+12025550123"


async def test_marketing_says_it_and_other_messages_do_not(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY, sms=SETTINGS) as product:
        await product.policy(policy())
        await product.campaign(by_sms())
        await product.campaign({**by_sms("account"), "class": "transactional", "intent": "inform", "topic": "account"})
        await product.customer(texter("c-1", US))
        await product.customer(texter("c-2"))
        await product.send(event("shop.offer", "e-1"))
        await product.send(event("shop.offer", "e-2", subject="c-2"))
        await product.send(event("shop.account", "e-3"))
        await product.settle()
        texts = {each["content"]["text"] for each in await product.inbox(channel="sms")}
        assert texts == {"Hi c-1\nReply STOP to opt out", "Hi c-2\nAbmelden: STOPP", "Hi c-1"}
        (item,) = (await product.ask("POST", "/v1/preview", {"campaign": "offer", "customer": "c-1"}))["items"]
        assert item["content"]["text"] == "Hi c-1\nReply STOP to opt out"
        assert item["facts"]["cost_of"] == "1 part to US"


async def test_a_preview_says_when_a_text_is_too_long_with_it(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY, sms=SETTINGS) as product:
        await product.policy(policy())
        await product.campaign({**by_sms(), "content": {"sms": {"en": {"text": "a" * 1530}}}})
        await product.customer(texter("c-1", US))
        (item,) = (await product.ask("POST", "/v1/preview", {"campaign": "offer", "customer": "c-1"}))["items"]
        assert (item["content"], item["error"]["code"], item["facts"]) == (None, "too_long", {})
        (decision,) = (await product.send(event("shop.offer", "e-1")))["decisions"]
        assert decision["outcome"] == "fail"
