"""The inbox of the company's own app: what a customer gets, reads, follows and puts away, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from schemas.times import DAY, HOUR, MINUTE, SECOND
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import sign_customer_token
from services.orchestrator.delivery.adapters.app_inbox.declaration import AppInboxSettings
from services.orchestrator.delivery.adapters.app_inbox.retention import expire_kept
from services.orchestrator.delivery.adapters.definition import RetentionContext
from tests.support.api_contract import ContractTransport
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.plain_text_search import find_in_database

pytestmark = pytest.mark.wired

SECRET, PREVIOUS = "the-secret-of-the-shop-0123456789", "the-secret-of-last-year-0123456789"
PAGE = "https://app.example.com"
SETTINGS = AppInboxSettings(secret=SecretStr(SECRET), previous_secret=SecretStr(PREVIOUS), origins=PAGE, keep_days=10)
NOTE = {"title": "Hello {{ customer.traits.name }}", "body": "{{ event.data.text }}", "link": "/orders/7"}

PLAIN = {"in_app": {"en": {"title": "Hello", "body": "You"}}}


def in_the_app(key: str = "offer", **changes: Any) -> dict[str, Any]:
    """A campaign whose messages go into the inbox."""
    document = campaign(key, channels=["in_app"], content={"in_app": {"en": NOTE}}, **{"class": "service"})
    return {name: value for name, value in {**document, **changes}.items() if name != "topic"}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, adapters={"in_app": "app_inbox"}, app_inbox=SETTINGS) as running:
        await running.policy(policy())
        await running.campaign(in_the_app())
        await running.customer(customer())
        await running.customer(customer("c-2"))
        yield running


class AppUser:
    """A customer's browser: it has a token, and no key."""

    def __init__(self, product: Live, customer: str = "c-1", secret: str = SECRET, **headers: str) -> None:
        token = sign_customer_token(secret, customer, product.clock.now() + HOUR)
        self.client = httpx.AsyncClient(
            transport=ContractTransport(product.together.app),
            base_url="http://tactful",
            headers={"authorization": f"Bearer {token}", **headers},
        )

    async def ask(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """What the inbox answers."""
        async with self.client as client:
            answer = await client.request(method, f"/v1/inbox{path}", json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()


def ask(product: Live, method: str, path: str, body: Any = None, expect: int = 200, **who: str) -> Any:
    return AppUser(product, **who).ask(method, path, body, expect)


async def items(product: Live, query: str = "", customer: str = "c-1") -> list[Any]:
    return list((await ask(product, "GET", f"/messages{query}", customer=customer))["items"])


async def sent(product: Live, name: str = "e-1", subject: str = "c-1", text: str = "We have news") -> str:
    """A message that is in the inbox; returns its id."""
    (decision,) = (await product.send(event("shop.offer", name, subject=subject, text=text)))["decisions"]
    await product.settle()
    return str(decision["message_id"])


async def receipts(product: Live, message_id: str) -> list[str]:
    found = await product.ask("GET", f"/v1/messages/{message_id}")
    return sorted(each["kind"] for each in found["receipts"])


async def test_a_message_is_in_the_inbox_of_its_customer_and_of_nobody_else(product: Live) -> None:
    message_id = await sent(product)
    (found,) = await items(product)
    assert found == {
        "id": message_id,
        "title": "Hello Ada",
        "body": "We have news",
        "link": "/orders/7",
        "locale": "en",
        "topic": None,
        "at": found["at"],
        "seen": False,
        "read": False,
        "clicked": False,
        "archived": False,
    }
    assert await ask(product, "GET", "/unread") == {"unread": 1}
    assert await items(product, customer="c-2") == []
    assert await ask(product, "GET", "/unread", customer="c-2") == {"unread": 0}
    message = await product.ask("GET", f"/v1/messages/{message_id}")
    assert (message["status"], message["adapter"]) == ("accepted", "app_inbox")


@pytest.mark.parametrize("verb", ["read", "archive", "unarchive", "click"])
async def test_nobody_else_can_do_anything_to_it(product: Live, verb: str) -> None:
    message_id = await sent(product)
    await ask(product, "POST", f"/messages/{message_id}/{verb}", expect=404, customer="c-2")
    await ask(product, "POST", f"/read-all?until={message_id}", expect=404, customer="c-2")
    await ask(product, "POST", "/read-all", customer="c-2")
    assert await ask(product, "POST", "/seen", {"ids": [message_id]}, customer="c-2") == {"unread": 0}
    (found,) = await items(product)
    assert not any(found[mark] for mark in ("seen", "read", "clicked", "archived"))
    assert await receipts(product, message_id) == []


async def test_pages_lead_from_the_newest_to_the_oldest(product: Live) -> None:
    ids = [await sent(product, f"e-{number}") for number in range(5)]
    first = await ask(product, "GET", "/messages?limit=2")
    second = await ask(product, "GET", f"/messages?limit=2&after={first['next']}")
    last = await ask(product, "GET", f"/messages?limit=2&after={second['next']}")
    shown = [each["id"] for page in (first, second, last) for each in page["items"]]
    assert (shown, last["next"], last["unread"]) == (ids[::-1], None, 5)
    for query in ("limit=0", "limit=51", "after=nonsense", "archived=perhaps"):
        await ask(product, "GET", f"/messages?{query}", expect=422)


async def test_what_is_seen_opens_once_and_what_is_read_is_seen(product: Live) -> None:
    first, second = await sent(product, "e-1"), await sent(product, "e-2")
    for _ in range(3):
        assert await ask(product, "POST", "/seen", {"ids": [first, "msg_of_nobody"]}) == {"unread": 2}
    assert await receipts(product, first) == ["opened"]
    for _ in range(2):
        assert await ask(product, "POST", f"/messages/{second}/read") == {"unread": 1}
    assert await receipts(product, second) == ["opened"]
    assert [(each["seen"], each["read"]) for each in await items(product)] == [(True, True), (True, False)]


async def test_who_follows_the_link_is_told_where_it_leads_and_has_opened_it(product: Live) -> None:
    message_id = await sent(product)
    for _ in range(2):
        answer = await ask(product, "POST", f"/messages/{message_id}/click")
        assert answer == {"link": "/orders/7", "unread": 0}
    assert await receipts(product, message_id) == ["clicked", "opened"]


async def test_a_message_without_a_link_is_read_and_not_clicked(product: Live) -> None:
    await product.campaign(in_the_app("plain", content=PLAIN))
    (decision,) = (await product.send(event("shop.plain", "e-1")))["decisions"]
    await product.settle()
    answer = await ask(product, "POST", f"/messages/{decision['message_id']}/click")
    assert answer == {"link": None, "unread": 0}
    assert await receipts(product, decision["message_id"]) == ["opened"]


async def test_all_is_read_up_to_what_the_customer_has_before_them(product: Live) -> None:
    older, newer = await sent(product, "e-1"), await sent(product, "e-2")
    assert await ask(product, "POST", f"/read-all?until={older}") == {"unread": 1}
    assert [each["read"] for each in await items(product)] == [False, True]
    assert await ask(product, "POST", "/read-all") == {"unread": 0}
    assert await receipts(product, newer) == ["opened"]


async def test_the_archive_takes_messages_and_gives_them_back(product: Live) -> None:
    message_id = await sent(product)
    for _ in range(2):
        assert await ask(product, "POST", f"/messages/{message_id}/archive") == {"unread": 0}
    assert await items(product) == []
    (found,) = await items(product, "?archived=true")
    assert (found["id"], found["archived"], found["read"]) == (message_id, True, False)
    assert await receipts(product, message_id) == []
    for _ in range(2):
        assert await ask(product, "POST", f"/messages/{message_id}/unarchive") == {"unread": 1}
    assert [each["id"] for each in await items(product)] == [message_id]


async def test_what_customers_do_are_events_that_campaigns_hear_once(product: Live) -> None:
    await product.campaign(in_the_app("heard", trigger={"event": "tactful.message.clicked"}, content=PLAIN))
    message_id = await sent(product)
    for _ in range(3):
        await ask(product, "POST", f"/messages/{message_id}/click")
    async with asyncio.timeout(30):
        while not (found := await product.decisions(campaign="heard")):
            await asyncio.sleep(0.02)
            await product.settle()
    await product.settle()
    assert len(await product.decisions(campaign="heard")) == 1
    assert found[0]["event"]["source"] == "/tactful/receipts/app_inbox"


def then_email() -> dict[str, Any]:
    """First into the app; who has not seen it after half an hour gets a mail."""
    content = {"in_app": {"en": NOTE}, "email": campaign()["content"]["email"]}
    strategy = {"strategy": "fallback", "fallback_after": "30m", "ttl": "1d"}
    document = campaign("both", channels=["in_app", "email"], content=content, **strategy, **{"class": "service"})
    return {name: value for name, value in document.items() if name != "topic"}


@pytest.mark.parametrize("seen", [True, False])
async def test_an_email_follows_unless_the_message_was_seen(product: Live, seen: bool) -> None:
    await product.campaign(then_email())
    await product.send(event("shop.both", "e-1", text="x"))
    await product.settle()
    (found,) = await items(product)
    await product.at(MONDAY + 20 * MINUTE)
    if seen:
        await ask(product, "POST", "/seen", {"ids": [found["id"]]})
    await product.at(MONDAY + 40 * MINUTE)
    await product.settle()
    assert [each["channel"] for each in await product.inbox()] == ([] if seen else ["email"])


async def test_a_campaign_may_fall_back_from_the_inbox_without_a_warning(product: Live) -> None:
    settings = product.together.orchestrator.components.settings
    assert "in_app" not in settings.silent_adapters()


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
async def test_both_secrets_are_good_while_they_are_changed(product: Live, secret: str) -> None:
    assert await ask(product, "GET", "/unread", secret=secret) == {"unread": 0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/messages"),
        ("GET", "/unread"),
        ("GET", "/stream"),
        ("POST", "/seen"),
        ("POST", "/read-all"),
        *(("POST", f"/messages/msg_1/{verb}") for verb in ("read", "archive", "unarchive", "click")),
    ],
)
async def test_no_route_answers_without_a_token_nor_to_an_api_key(product: Live, method: str, path: str) -> None:
    body = {"ids": ["msg_1"]} if path == "/seen" else None
    for headers in ({"authorization": ""}, {"authorization": product.editor.headers["authorization"]}):
        answer = await product.editor.request(method, f"/v1/inbox{path}", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "customer_token_refused")
    await ask(product, method, path, body, expect=401, secret="a-secret-of-somebody-else-0123456789")


async def test_a_token_ends(product: Live) -> None:
    user = AppUser(product)
    await product.at(MONDAY + HOUR + SECOND)
    assert (await user.ask("GET", "/unread", expect=401))["code"] == "customer_token_expired"


async def test_a_token_opens_nothing_but_the_inbox(product: Live) -> None:
    user = AppUser(product)
    async with user.client as client:
        for path in ("/v1/messages", "/v1/preferences/c-1", "/v1/decisions", "/v1/campaigns"):
            assert (await client.get(path)).status_code == 401


async def test_nobody_reads_where_no_secret_is_set(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        for secret in ("", SECRET):
            answer = await AppUser(product, secret=secret).ask("GET", "/unread", expect=404)
            assert answer["code"] == "inbox_closed"


async def test_pages_of_named_origins_may_ask_and_no_others(product: Live) -> None:
    message_id = await sent(product)
    async with (
        AppUser(product, origin=PAGE).client as page,
        AppUser(product, origin="https://evil.example").client as evil,
    ):
        for method, path, status in (
            ("GET", "/messages", 200),
            ("POST", "/messages/msg_x/read", 404),
            ("GET", "/messages?limit=0", 422),
        ):
            answer = await page.request(method, f"/v1/inbox{path}")
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
            assert "Origin" in answer.headers["vary"]
            assert "access-control-allow-credentials" not in answer.headers
            assert "access-control-allow-origin" not in (await evil.request(method, f"/v1/inbox{path}")).headers
        refused = await page.get("/v1/inbox/messages", headers={"authorization": "Bearer nonsense"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)
        wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        preflight = await page.options(f"/v1/inbox/messages/{message_id}/read", headers=wanted)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        preflight = await evil.options(f"/v1/inbox/messages/{message_id}/read", headers=wanted)
        assert "access-control-allow-origin" not in preflight.headers
        assert "access-control-allow-origin" not in (await page.get("/v1/messages")).headers
        assert (await page.options("/v1/messages", headers=wanted)).status_code == 405
        assert (await page.get("/v1/inbox/nothing")).status_code == 404


async def test_one_customer_cannot_ask_without_end(product: Live) -> None:
    async with AppUser(product).client as hasty:
        answers = [await hasty.get("/v1/inbox/unread") for _ in range(100)]
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert all(int(each.headers["retry-after"]) >= 1 for each in refused)
    assert await ask(product, "GET", "/unread", customer="c-2") == {"unread": 0}


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": ["m"] * 101}, {"ids": ["m" * 201]}, {"ids": "m"}, {"ids": [1]}, [], "m"]
)
async def test_what_is_seen_is_bounded(product: Live, body: Any) -> None:
    await ask(product, "POST", "/seen", body, expect=422)


@pytest.mark.parametrize("id", ["%00", "x" * 300, "a%2Fb", "💥"])
async def test_odd_ids_are_of_nobody(product: Live, id: str) -> None:
    async with AppUser(product).client as client:
        assert (await client.post(f"/v1/inbox/messages/{id}/read")).status_code in (400, 404, 422)


async def test_the_script_is_small_and_writes_no_markup(product: Live) -> None:
    answer = await product.editor.get("/v1/inbox/inbox.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert len(answer.content) <= 6_000
    for word in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval(", b"import "):
        assert word not in answer.content


async def test_nothing_of_an_erased_customer_is_left_and_nothing_can_be_asked_for(product: Live) -> None:
    await product.customer(customer("marker-ada"))
    message_id = await sent(product, subject="marker-ada", text="marker-text")
    await ask(product, "POST", f"/messages/{message_id}/click", customer="marker-ada")
    await sent(product, "e-2", subject="c-2")
    gone = {**event("tactful.customer.erased", "e-3"), "subject": "marker-ada"}
    await product.editor.post(
        "/v1/events", content=json.dumps(gone), headers={"content-type": "application/cloudevents+json"}
    )
    async with asyncio.timeout(60):
        while (await product.editor.get("/v1/erasures/marker-ada")).json().get("finished") is not True:
            await asyncio.sleep(0.05)
            await product.settle()
    assert await find_in_database(product.database, ["marker-ada", "marker-text"]) == set()
    assert await items(product, customer="marker-ada") == []
    await ask(product, "POST", f"/messages/{message_id}/click", customer="marker-ada", expect=404)
    assert len(await items(product, customer="c-2")) == 1
    async with product.database.read() as tx:
        assert [row.customer for row in await tx.rows("SELECT customer FROM app_message_head")] == ["c-2"]


async def test_a_test_message_comes_to_the_customer_that_is_named(product: Live) -> None:
    tested = await product.ask("POST", "/v1/adapters/app_inbox/test", {"to": "c-2"})
    assert tested["outcome"] == "accepted"
    assert len(await items(product, customer="c-2")) == 1
    assert await items(product) == []


async def test_messages_go_after_the_days_that_are_set(product: Live) -> None:
    await sent(product, "e-1")
    await product.at(MONDAY + 6 * DAY)
    young = (await product.send(event("shop.offer", "e-2", MONDAY + 6 * DAY, text="x")))["decisions"][0]["message_id"]
    await product.settle()
    await product.at(MONDAY + 12 * DAY)
    await expire_kept(RetentionContext(SETTINGS, product.database, product.clock))
    assert [each["id"] for each in await items(product)] == [young]
    assert "retention app_inbox" in {job.get_name() for job in product.together.jobs()}, "and this happens by itself"
