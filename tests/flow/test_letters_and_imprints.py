"""A letter from the event to the folder of the print shop, and who is named as the sender of advertising."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import live

pytestmark = pytest.mark.wired

HTML = "<p>Dear {{ customer.traits.name | default: 'customer' }}</p>"
LETTER: dict[str, Any] = {
    "channels": ["letter"],
    "content": {"letter": {"en": {"subject": "An offer", "html": HTML}}},
}
SAMPLE = {"traits": {"name": "Ada"}, "locale": "en"}


async def test_a_letter_is_decided_drawn_and_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    mail = {"legal_name": "Shop Ltd", "postal_address": "2 Shop Street, Exampleton"}
    settings: dict[str, Any] = {
        "adapters": {"letter": "print_folder"},
        "print_folder": {"path": str(folder)},
        "mail": mail,
    }
    consent = {**customer()["consent"][0], "channel": "letter"}
    addresses = [{"channel": "letter", "address": "Ada Example\n1 Example Street", "verified": True}]
    async with live(tmp_path, MONDAY, **settings) as product:
        await product.policy(policy())
        await product.campaign(campaign(**LETTER))
        await product.customer(customer(addresses=addresses, consent=[consent]))
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        (sent,) = (await product.ask("GET", "/v1/messages"))["items"]
        whole = await product.ask("GET", f"/v1/messages/{sent['message_id']}")
    assert (sent["channel"], sent["status"], sent["adapter"]) == ("letter", "accepted", "print_folder")
    assert whole["content"]["sender"] == "Shop Ltd\n2 Shop Street, Exampleton"
    assert "%PDF" not in json.dumps(whole)
    note = json.loads((folder / f"{sent['message_id']}.json").read_bytes())
    assert note["address"] == ["Ada Example", "1 Example Street"]
    [page] = PdfReader(io.BytesIO((folder / note["pdf"]).read_bytes())).pages
    text = page.extract_text()
    assert all(each in text for each in ("Ada Example", "An offer", "Dear ", "Shop Ltd"))


async def test_advertising_names_its_sender_and_a_save_says_where_nobody_is_named(tmp_path: Path) -> None:
    sending: dict[str, Any] = {"adapters": {"email": "null"}}
    async with live(tmp_path / "unnamed", MONDAY, **sending) as product:
        await product.policy(policy())
        answer = await product.ask("PUT", "/v1/campaigns/offer", campaign())
        assert "no_postal_address" in [each["code"] for each in answer["findings"]]
    mail = {"legal_name": "Shop Ltd", "postal_address": "2 Shop Street, Exampleton"}
    async with live(tmp_path / "named", MONDAY, **sending, mail=mail) as product:
        await product.policy(policy())
        answer = await product.ask("PUT", "/v1/campaigns/offer", campaign())
        assert "no_postal_address" not in [each["code"] for each in answer["findings"]]
        preview = await product.ask("POST", "/v1/preview", {"campaign": "offer", "customer": "ada", "sample": SAMPLE})
        await product.campaign(campaign())
        await product.customer(customer())
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        (sent,) = (await product.ask("GET", "/v1/messages"))["items"]
        whole = await product.ask("GET", f"/v1/messages/{sent['message_id']}")
    for content in (preview["items"][0]["content"], whole["content"]):
        assert "Shop Ltd, 2 Shop Street, Exampleton" in content["text"]
        assert "Shop Ltd, 2 Shop Street, Exampleton" in content["html"]
