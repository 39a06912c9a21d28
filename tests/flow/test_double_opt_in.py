"""Double opt-in, from the request to the message, the button and the proof a year later."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from schemas.times import DAY, HOUR
from services.kit.signed_json import verify_document
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

TOPICS: list[dict[str, Any]] = [
    {"key": "news", "name": "News", "double_opt_in": ["email"]},
    {"key": "account", "name": "Your account", "required": True},
]
WORDS = "Yes, send me offers by e-mail. I can stop that at any time."
EVIDENCE = {"form": "https://shop.example/newsletter", "network": "203.0.113.0/24", "agent": "Firefox"}
FORM = "/v1/preferences/c-1/consents/requests"
LINK = re.compile(r"http[^\s\"'<>]*/c/[\w-]+")
CONFIRMATION = campaign(
    "confirm",
    **{"class": "transactional", "intent": "inform", "topic": "account"},
    trigger={"event": "tactful.consent.requested"},
    content={"email": {"en": {"subject": "Please confirm", "html": '<a href="{{ links.confirm_consent }}">Yes</a>'}}},
)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy(topics=TOPICS))
        await running.campaign(campaign())
        await running.campaign(CONFIRMATION)
        await running.customer(customer(consent=[]))
        yield running


async def ask(product: Live) -> dict[str, Any]:
    wording = await product.ask("PUT", "/v1/consents/wordings", {"text": WORDS, "locale": "en"})
    body = {"channel": "email", "topic": "news", "wording": wording["key"], "source": "footer", "evidence": EVIDENCE}
    asked: dict[str, Any] = await product.ask("POST", FORM, body)
    await product.settle()
    return asked


async def confirmations(product: Live) -> list[dict[str, Any]]:
    return [each for each in await product.inbox() if each["campaign"] == "confirm"]


async def link(product: Live) -> str:
    """The path of the link in the only message that asks to confirm."""
    (message,) = await confirmations(product)
    (url,) = set(LINK.findall(json.dumps(message["content"])))
    return str(urlsplit(url).path)


async def visit(product: Live, method: str, path: str) -> httpx.Response:
    """What somebody without a key gets."""
    transport = httpx.ASGITransport(product.together.app, client=("198.51.100.77", 4711))
    agent = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful", headers=agent) as nobody:
        return await nobody.request(method, path)


async def offers(product: Live) -> list[str]:
    await product.settle()
    return [each["campaign"] for each in await product.inbox()]


async def test_nothing_but_the_confirmation_goes_out_before_and_the_export_proves_it_a_year_later(
    product: Live,
) -> None:
    asked = await ask(product)
    assert asked["state"] == "waiting"
    await product.send(event("shop.offer", "e-1"))
    assert await offers(product) == ["confirm"]
    path = await link(product)
    page = await visit(product, "GET", path)
    assert "Do you want “News” by e-mail?" in page.text and WORDS in page.text and page.text.count("<button") == 1
    await product.send(event("shop.offer", "e-2"))
    assert await offers(product) == ["confirm"]  # following the link has changed nothing

    await product.at(MONDAY + HOUR)
    thanks = (await visit(product, "POST", path)).text
    assert "Thank you" in thanks
    (centre,) = re.findall(r'href="(/p/[^"?#]+)"', thanks)
    assert "you, by a link in our message" in (await visit(product, "GET", f"{centre}/data")).text
    await product.send(event("shop.offer", "e-3", MONDAY + HOUR))
    assert sorted(await offers(product)) == ["confirm", "offer"]

    await product.at(MONDAY + 365 * DAY)
    exported = (await product.editor.get("/v1/preferences/c-1/consents/export")).content
    key = (await product.ask("GET", "/v1/consents/key"))["key"]
    content = verify_document(exported, key).content
    (consent,) = content["consents"]
    assert consent["state"] == "in_force" and consent["wording_text"] == WORDS
    assert (consent["requested"], consent["evidence"]) == ("2026-03-02T10:00:00Z", EVIDENCE)
    assert (consent["at"], consent["confirmation"]) == (
        "2026-03-02T11:00:00Z",
        {"form": None, "network": "198.51.100.0/24", "agent": "Firefox"},
    )
    (granted,) = [each for each in content["changes"] if each["source"] == "confirmation"]
    assert (granted["field"], granted["network"], granted["agent"]) == ("consent", "198.51.100.0/24", "Firefox")
    assert content["changes_complete"] and b"198.51.100.77" not in exported


async def test_what_confirms_stands_in_the_message_alone(product: Live, tmp_path: Path) -> None:
    await ask(product)
    token = (await link(product)).removeprefix("/c/").encode()
    holding = set()
    for name, database in product.together.databases.items():
        async with database.read() as tx:
            tables = [row.name for row in await tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                rows = await tx.tuples(f'SELECT * FROM "{table}"')
                if any(
                    token in (cell if isinstance(cell, bytes) else str(cell).encode()) for row in rows for cell in row
                ):
                    holding.add((name, table))
    assert {name for name, _ in holding} == {"orchestrator"}
    assert all("message" in table or "sandbox" in table or "content" in table for _, table in holding), holding
    published = (tmp_path / "log.db").read_bytes() + (tmp_path / "log.db-wal").read_bytes()
    assert b"tactful.consent.requested" in published and token not in published
    assert b"c-1@example.org" not in published  # the event holds no address


async def test_a_second_request_within_the_week_is_the_same_and_sends_nothing(product: Live) -> None:
    first = await ask(product)
    await product.at(MONDAY + 6 * DAY)
    assert (await ask(product))["id"] == first["id"]
    assert len(await confirmations(product)) == 1
    await product.at(MONDAY + 8 * DAY)
    assert (await ask(product))["id"] != first["id"]
    assert len(await confirmations(product)) == 2


async def test_two_who_confirm_at_once_grant_once(product: Live) -> None:
    await ask(product)
    path = await link(product)
    pages = await asyncio.gather(*(visit(product, "POST", path) for _ in range(8)))
    titles = sorted(re.findall("<title>(.*?)</title>", page.text)[0] for page in pages)
    assert titles == ["Already confirmed"] * 7 + ["Thank you"]
    listed = await product.ask("GET", "/v1/preferences/c-1/consents")
    assert len(listed["consents"]) == 1 and listed["requests"][0]["state"] == "confirmed"
    history = (await product.ask("GET", "/v1/preferences/c-1/history"))["items"]
    assert [each["source"] for each in history if each["field"] == "consent"] == ["confirmation"]


async def test_a_link_that_is_too_old_or_forged_changes_nothing(product: Live) -> None:
    await ask(product)
    path = await link(product)
    swapped = path[:-1] + ("A" if path[-1] != "A" else "B")
    for wrong in (swapped, "/c/nonsense", path.replace("/c/", "/c/A")):
        for method in ("GET", "POST"):
            page = await visit(product, method, wrong)
            assert page.status_code == 200 and "This link does not work" in page.text
    await product.at(MONDAY + 7 * DAY)
    for method in ("GET", "POST"):
        assert "This link is too old" in (await visit(product, method, path)).text
    listed = await product.ask("GET", "/v1/preferences/c-1/consents")
    assert listed["consents"] == [] and listed["requests"][0]["state"] == "expired"
    await product.send(event("shop.offer", "late", MONDAY + 7 * DAY))
    assert await offers(product) == ["confirm"]


async def test_a_grant_past_the_confirmation_is_refused_by_the_api_and_does_not_count_by_event(product: Live) -> None:
    granted = {"channel": "email", "topic": "news", "status": "granted", "at": "2026-03-02T09:00:00Z"}
    proof = {"source": "footer", "wording": "newsletter-3"}
    refused = await product.editor.patch("/v1/preferences/c-1", json={"consent": [granted | proof]})
    assert (refused.status_code, refused.json()["code"]) == (422, "confirmation_needed")
    assert "/consents/requests" in refused.json()["detail"]
    for topic in ("news", "*"):
        consent = [granted | proof | {"topic": topic}]
        await product.send(event("tactful.preference.changed", f"grant {topic}", consent=consent))
        await product.send(event("shop.offer", f"offer {topic}"))
        assert await offers(product) == []
        listed = await product.ask("GET", "/v1/preferences/c-1/consents")
        assert [each["state"] for each in listed["consents"]] == ["unconfirmed"]
    confirmed = granted | proof | {"requested": "2026-03-02T08:00:00Z"}
    await product.send(event("tactful.preference.changed", "confirmed elsewhere", consent=[confirmed]))
    await product.send(event("shop.offer", "after"))
    assert await offers(product) == ["offer"]


async def test_saving_a_policy_warns_where_nobody_asks(product: Live) -> None:
    def codes(saved: Any) -> list[str]:
        return [each["code"] for each in saved["findings"]]

    both = [{**TOPICS[0], "double_opt_in": ["email", "sms"]}, TOPICS[1]]
    assert "nobody_asks_to_confirm" in codes(await product.ask("PUT", "/v1/policy", policy(topics=both)))
    assert codes(await product.ask("PUT", "/v1/policy", policy(topics=TOPICS))) == []
    await product.ask("POST", "/v1/campaigns/confirm/pause")
    assert "nobody_asks_to_confirm" in codes(
        await product.ask("PUT", "/v1/policy", policy(topics=[*TOPICS, both[0] | {"key": "more"}]))
    )


async def test_a_preview_never_holds_a_link_that_confirms(product: Live) -> None:
    await ask(product)
    shown = await product.ask("POST", "/v1/preview", {"campaign": "confirm", "customer": "c-1"})
    assert "https://example.org/confirm_consent" in json.dumps(shown) and not LINK.search(json.dumps(shown))
