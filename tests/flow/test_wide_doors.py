"""A customer's id may hold any character, at every door: API, internal API, console, links, command line."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from services.kit.http.path_segments import quote_segment
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

IDS = (
    "a/b", "/", "../../v1/keys", "a%2Fb", "100%", "a?b=c#d", "a b", "a+b", "Zoë 客户 😀", ".", "..", "crm:4711;v=1",
    "ada@example.com", "versions", "-",
)  # fmt: skip


SITUATION = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "30d"}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy(situations=[SITUATION]))
        await running.campaign(campaign())
        yield running


async def test_every_path_takes_every_id(product: Live) -> None:
    for number, id in enumerate(IDS):
        path = quote_segment(id)
        assert (await product.editor.get(f"/v1/preferences/{path}")).status_code == 404
        await product.ask("PUT", f"/v1/preferences/{path}", {**customer(), "customer": id})
        await product.ask("PATCH", f"/v1/preferences/{path}", {"locale": "de"})
        found = await product.ask("GET", f"/v1/preferences/{path}")
        assert (found["customer"], found["locale"]) == (id, "de")
        await product.send({**event("shop.offer", f"e-{number}"), "subject": id})
        await product.settle()
        assert [item["customer"] for item in await product.inbox(customer=id)] == [id]
        contacts = await product.ask("GET", f"/v1/contacts/{path}")
        assert (contacts["customer"], len(contacts["contacts"])) == (id, 1)
        opened = await product.ask("POST", f"/v1/situations/{path}", {"action": "open", "kind": "complaint"})
        assert (opened["customer"], opened["applied"]) == (id, True)
        situations = await product.ask("GET", f"/v1/situations/{path}")
        assert (situations["customer"], len(situations["situations"])) == (id, 1)
        assert (await product.ask("GET", "/v1/why", params={"customer": id, "campaign": "offer"}))["customer"] == id
        await product.ask("POST", f"/v1/preferences/{path}/optout", {"class": "marketing"})
        history = await product.ask("GET", f"/v1/preferences/{path}/history")
        assert len(history["items"]) >= 3
        await product.ask("POST", "/v1/suppressions", {"customer": id, "reason": "legal", "source": "tests"})
        entries = await product.ask("GET", "/v1/suppressions", params={"customer": id})
        assert [item["customer"] for item in entries["items"]] == [id]


async def test_an_empty_or_impossible_id_is_refused(product: Live) -> None:
    for door in ("preferences", "contacts", "situations"):
        assert (await product.editor.get(f"/v1/{door}/")).status_code == 404
        for id in ("a%00b", "a%0Ab", "x" * 300):
            answer = await product.editor.get(f"/v1/{door}/{id}")
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/path/customer")
        assert (await product.editor.get(f"/v1/{door}/%FF")).status_code == 400


async def test_the_links_in_messages_lead_back_to_the_customer(product: Live) -> None:
    for number, id in enumerate(IDS):
        await product.ask("PUT", f"/v1/preferences/{quote_segment(id)}", {**customer(), "customer": id})
        await product.send({**event("shop.offer", f"e-{number}"), "subject": id})
        await product.settle()
        (message,) = await product.inbox(customer=id)
        (link,) = set(re.findall(r"http[^\s\"<>]+/u/[\w.~-]+", str(message["content"])))
        stranger = httpx.AsyncClient(transport=httpx.ASGITransport(product.together.app), base_url="http://tactful")
        async with stranger:
            for path in (urlsplit(link).path, urlsplit(link).path.replace("/u/", "/u/x")):
                assert (await stranger.get(path)).status_code == 200
            assert (await stranger.post(urlsplit(link).path)).status_code == 200
        found = await product.ask("GET", f"/v1/preferences/{quote_segment(id)}")
        assert found["opt_outs"], id
