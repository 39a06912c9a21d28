"""A customer's id may hold any character, at every door: API, internal API, console, links, command line."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

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
        for id in ("a%0Ab", "x" * 300):
            answer = await product.editor.get(f"/v1/{door}/{id}")
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/path/customer")
        for id in ("%FF", "a%00b"):
            assert (await product.editor.get(f"/v1/{door}/{id}")).status_code == 400


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


async def test_documents_are_taken_as_yaml_wherever_they_are_taken_as_json(product: Live) -> None:
    texts = {
        ("PUT", "/v1/policy"): "zone: Europe/Berlin\ntopics:\n  - {key: news, name: News}\n",
        ("PUT", "/v1/preferences/no"): "locale: no\ncountry: NO\nquiet_hours: [{from: 21:00, to: 07:30}]\n",
        ("PATCH", "/v1/preferences/no"): "paused_until: 2027-03-01T00:00:00Z\n",
        ("POST", "/v1/preferences/no/optout"): "channel: email\n",
        ("POST", "/v1/suppressions"): "- {customer: no, reason: legal}\n- address: email:a@example.com\n"
        "  reason: hard_bounce\n",
        ("POST", "/v1/suppressions/lookup"): "address: a@example.com\n",
        ("POST", "/v1/holds"): "key: outage\nmode: defer\nscope: {topics: [news]}\nreason: outage\n",
        ("POST", "/v1/holds/outage/lift"): "reason: over\nrate: 5\n",
        ("POST", "/v1/situations/no"): "action: open\nkind: complaint\n",
        ("POST", "/v1/campaigns/offer/pause"): "reason: too many\n",
        ("POST", "/v1/dev/clock"): "advance: 1m\n",
        ("POST", "/v1/keys"): "name: ada\nrole: viewer\n",
    }
    for (method, path), text in texts.items():
        headers = {"content-type": "application/yaml"}
        answer = await product.editor.request(method, path, content=text.encode(), headers=headers)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
    found = await product.ask("GET", "/v1/preferences/no")
    assert (found["locale"], found["country"]) == ("no", "NO")
    assert {name: found["quiet_hours"][0][name] for name in ("from", "to")} == {"from": "21:00", "to": "07:30"}


async def test_a_campaign_in_yaml_is_the_campaign_in_json(product: Live) -> None:
    document = campaign("other")
    headers = {"content-type": "application/x-yaml"}
    answer = await product.editor.put("/v1/campaigns/other", content=yaml.safe_dump(document), headers=headers)
    assert answer.status_code == 201, answer.text
    again = await product.editor.put("/v1/campaigns/other", json=document)
    assert (again.status_code, again.json()["content"]) == (200, answer.json()["content"])
    text = yaml.safe_dump(document | {"prioritty": 5})
    broken = (await product.editor.put("/v1/campaigns/other", content=text, headers=headers)).json()
    (problem,) = broken["errors"]
    line = text.splitlines().index("prioritty: 5") + 1
    assert (problem["pointer"], problem["code"]) == ("/prioritty", "unknown_field")
    assert problem["detail"].endswith(f"did you mean `priority`? (line {line} of the body)")


async def test_a_mark_before_json_lines_is_ignored(product: Live) -> None:
    lines = (
        b'\xef\xbb\xbf{"customer": "a", "reason": "legal"}\r\n\r\n\xef\xbb\xbf{"customer": "b", "reason": "legal"}\r\n'
    )
    answer = await product.editor.post(
        "/v1/suppressions", content=lines, headers={"content-type": "application/x-ndjson"}
    )
    assert (answer.status_code, answer.json()["added"]) == (200, 2)


async def test_each_post_is_idempotent_by_key_or_says_that_it_is_not(product: Live) -> None:
    once = {"idempotency-key": "k-1"}
    hold = {"key": "outage", "mode": "defer", "scope": {"topics": ["news"]}, "reason": "outage"}
    first = await product.editor.post("/v1/holds", json=hold, headers=once)
    again = await product.editor.post("/v1/holds", json=hold, headers=once)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = await product.editor.post("/v1/holds", json={**hold, "key": "other"}, headers=once)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    refused = await product.editor.post("/v1/keys", json={"name": "a", "role": "viewer"}, headers=once)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_unsupported")
    clock = await product.editor.post("/v1/dev/clock", json={"advance": "1m"}, headers={"idempotency-key": "k-2"})
    again = await product.editor.post("/v1/dev/clock", json={"advance": "1m"}, headers={"idempotency-key": "k-2"})
    assert (clock.status_code, clock.json()) == (200, again.json())
