"""Links of our own in mails: a mail in the sandbox, its link followed, its event in the log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from schemas.times import DAY, HOUR, MINUTE, SECOND
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from services.orchestrator.link_settings import LinkSettings
from tests.flow.test_delivery import Provider
from tests.flow.test_fallback import falling_back, somebody
from tests.support.api_contract import ContractTransport
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.erased_person import ADA, erase
from tests.support.live_product import Live, live
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired

KEY, OLD_KEY = SecretStr("the-key-of-links-0123456789-abcdef"), SecretStr("the-old-key-of-links-0123456789-ab")
SETTINGS = LinkSettings(base_url="https://links.example", key=KEY, classes="marketing, transactional")
TARGET = "https://shop.example/orders?customer=c-1&x=2"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
HTML = (
    '<p><a href="https://shop.example/orders?customer={{ customer.id }}&amp;x=2">Orders</a></p>'
    '<p><a href="mailto:help@shop.example">Help</a> <a href="{{ links.unsubscribe }}">Stop</a></p>'
)
OFFER = campaign(content={"email": {"en": {"subject": "Hello", "html": HTML}}})
GUIDE = {**campaign("guide"), "trigger": {"event": "tactful.message.clicked"}}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, tracked_links=SETTINGS) as running:
        await started(running)
        yield running


async def started(running: Live) -> None:
    await running.policy(policy(frequency_caps=[]))
    await running.campaign(OFFER)
    await running.customer(customer())


async def sent(product: Live, name: str = "e-1") -> str:
    """A mail that was sent an hour ago; returns its id."""
    (decision,) = (await product.send(event("shop.offer", name, time=product.clock.now())))["decisions"]
    await product.settle()
    await product.at(product.clock.now() + HOUR)
    return str(decision["message_id"])


async def mail(product: Live, message_id: str) -> dict[str, Any]:
    content: dict[str, Any] = (await product.ask("GET", f"/v1/messages/{message_id}"))["content"]
    return content


def path_of(page: str, kind: str = "l") -> str:
    """The path of the first link, or of the picture, of a mail."""
    found = re.search(rf'"https://links\.example(/{kind}/[^"]+)"', page)
    assert found is not None, page
    return found[1]


async def fetch(
    product: Live, path: str, method: str = "GET", agent: str = BROWSER, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """What somebody without a key gets."""
    transport = ContractTransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as nobody:
        return await nobody.request(method, path, headers={"user-agent": agent, **(headers or {})})


async def settled(product: Live) -> None:
    async with asyncio.timeout(20):
        while product.together.orchestrator.components.visits.waiting:
            await asyncio.sleep(0.01)


async def receipts(product: Live, message_id: str) -> list[tuple[str, bool]]:
    """What is known of a message once nothing waits any more: kinds, and whether by a machine."""
    await settled(product)
    found = (await product.ask("GET", f"/v1/messages/{message_id}"))["receipts"]
    return sorted((each["kind"], each["by_machine"]) for each in found)


async def test_a_link_is_followed_and_becomes_an_event_once(product: Live) -> None:
    await product.campaign(GUIDE)
    message_id = await sent(product)
    (shown,) = await product.inbox()
    assert shown["content"] == await mail(product, message_id)
    path = path_of(shown["content"]["html"])
    assert path.startswith("/l/marketing.")
    for _ in range(3):
        answer = await fetch(product, path)
        assert (answer.status_code, answer.headers["location"], answer.content) == (302, TARGET, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers
    assert await receipts(product, message_id) == [("clicked", False)]
    (receipt,) = (await product.ask("GET", f"/v1/messages/{message_id}"))["receipts"]
    assert (receipt["adapter"], receipt["detail"]) == ("links", "link_1")
    async with asyncio.timeout(20):
        while not (found := [each for each in await product.inbox() if each["campaign"] == "guide"]):
            await product.settle()
    await product.at(product.clock.now() + HOUR)
    assert [each for each in await product.inbox() if each["campaign"] == "guide"] == found
    assert len(found) == 1
    (told,) = (await product.ask("GET", f"/v1/messages/{found[0]['message_id']}"))["decisions"]
    assert told["event"]["source"] == "/tactful/receipts/links"


async def test_the_picture_shows_that_the_mail_was_opened(product: Live) -> None:
    message_id = await sent(product)
    answer = await fetch(product, path_of((await mail(product, message_id))["html"], "o"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a\x01\x00\x01\x00")
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert await receipts(product, message_id) == [("opened", False)]


async def test_links_hold_nothing_of_the_customer_and_those_to_unsubscribe_stay(product: Live) -> None:
    content = await mail(product, await sent(product))
    for hidden in ("c-1", "shop.example", "msg_"):
        assert hidden not in path_of(content["html"])
    assert f'href="{content["unsubscribe"]}"' in content["html"]
    assert 'href="mailto:help@shop.example"' in content["html"]
    assert content["unsubscribe"].startswith("http")
    assert "/u/" in content["unsubscribe"]
    assert TARGET in content["text"]


async def test_what_does_not_count_and_what_counts_as_a_machine(product: Live) -> None:
    message_id = await sent(product)
    page = (await mail(product, message_id))["html"]
    for method, headers in (("HEAD", {}), ("GET", {"sec-purpose": "prefetch"}), ("GET", {"purpose": "prefetch"})):
        assert (await fetch(product, path_of(page), method, headers=headers)).status_code == 302
        assert (await fetch(product, path_of(page, "o"), method, headers=headers)).status_code == 200
    assert await receipts(product, message_id) == []
    assert (await fetch(product, path_of(page), agent="Barracuda Sentinel")).headers["location"] == TARGET
    await fetch(product, path_of(page, "o"), agent="Mozilla/5.0")
    assert await receipts(product, message_id) == [("clicked", True), ("opened", True)]
    await fetch(product, path_of(page))
    assert await receipts(product, message_id) == [("clicked", False), ("clicked", True), ("opened", True)]


async def test_what_comes_within_seconds_of_the_handover_is_a_machine(product: Live) -> None:
    (decision,) = (await product.send(event("shop.offer", "e-1")))["decisions"]
    await product.settle()
    page = (await mail(product, decision["message_id"]))["html"]
    await product.at(product.clock.now() + 9 * SECOND)
    await fetch(product, path_of(page))
    assert await receipts(product, decision["message_id"]) == [("clicked", True)]
    await product.at(product.clock.now() + 2 * SECOND)
    await fetch(product, path_of(page))
    assert await receipts(product, decision["message_id"]) == [("clicked", False), ("clicked", True)]


async def test_what_is_no_link_of_ours_gets_a_page_and_changes_nothing(product: Live) -> None:
    message_id = await sent(product)
    page = (await mail(product, message_id))["html"]
    link, picture = path_of(page), path_of(page, "o")
    swapped = (link.replace("/l/", "/o/"), picture.replace("/o/", "/l/"))
    altered = (
        link[:-1] + ("A" if link[-1] != "A" else "B"),
        link.replace("marketing", "service"),
        link[:-1],
        f"{link}A",
    )
    foreign = (
        "/l/x",
        "/l/marketing.",
        "/o/marketing.AAAA",
        f"/l/marketing.{'A' * 5000}",
        "/l/https:%2F%2Fevil.example",
    )
    for path in (*swapped, *altered, *foreign):
        answer = await fetch(product, path)
        assert answer.status_code == 404, path
        assert "This link does not work" in answer.text
        assert "location" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert await receipts(product, message_id) == []


async def test_a_link_works_for_as_long_as_it_should(product: Live) -> None:
    message_id = await sent(product)
    path = path_of((await mail(product, message_id))["html"])
    await product.at(MONDAY + 180 * DAY)
    assert (await fetch(product, path)).status_code == 302
    await product.at(MONDAY + 182 * DAY)
    assert (await fetch(product, path)).status_code == 404


async def test_links_of_earlier_mails_work_with_a_new_key_and_when_mails_get_none_any_more(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY, tracked_links=SETTINGS.model_copy(update={"key": OLD_KEY})) as product:
        await started(product)
        message_id = await sent(product)
        path = path_of((await mail(product, message_id))["html"])
    later = MONDAY + 60 * DAY
    rotated = SETTINGS.model_copy(update={"previous_key": OLD_KEY})
    async with live(tmp_path, later, tracked_links=rotated) as product:
        assert (await fetch(product, path)).headers["location"] == TARGET
        assert await receipts(product, message_id) == [("clicked", False)]
        newer = path_of((await mail(product, await sent(product, "e-2")))["html"])
    async with live(tmp_path, later + DAY, tracked_links=LinkSettings(key=KEY)) as product:
        assert (await fetch(product, newer)).headers["location"] == TARGET
        assert (await fetch(product, path)).status_code == 404
        assert "links.example" not in (await mail(product, await sent(product, "e-3")))["html"]


async def test_without_the_setting_mails_keep_their_links_and_no_token_is_good(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await started(product)
        html = (await mail(product, await sent(product)))["html"]
        assert 'href="https://shop.example/orders?customer=c-1&amp;x=2"' in html
        assert "/o/" not in html
        assert (await fetch(product, "/l/marketing.AAAAAAAAAAAAAAAAAAAAAAAAAAAA")).status_code == 404


async def test_other_classes_keep_their_links(tmp_path: Path) -> None:
    async with live(
        tmp_path, MONDAY, tracked_links=SETTINGS.model_copy(update={"classes": "transactional"})
    ) as product:
        await started(product)
        assert "links.example" not in (await mail(product, await sent(product)))["html"]


async def test_explanations_and_previews_have_the_links_of_the_campaign(product: Live) -> None:
    """Whoever looks at them would count as the customer."""
    message_id = await sent(product)
    why = await product.ask("GET", "/v1/why", params={"customer": "c-1", "campaign": "offer"})
    assert "links.example/l" not in str({name: value for name, value in why.items() if name != message_id})


@pytest.mark.parametrize(
    ("agent", "tried"), [(None, ["email", "sms"]), (BROWSER, ["email"]), ("curl/8.5.0", ["email"])]
)
async def test_an_opened_mail_has_arrived_for_its_fallback(tmp_path: Path, agent: str | None, tried: list[str]) -> None:
    webhook = WebhookSettings(url="https://example.com/", secret=SECRET)
    routes = {"email": "webhook", "sms": "webhook"}
    async with live(tmp_path, MONDAY, tracked_links=SETTINGS, webhook=webhook, adapters=routes) as product:
        provider = Provider()
        product.together.orchestrator.components.adapters.by_name["webhook"] = provider  # type: ignore[index]
        await product.policy(policy())
        await product.campaign(falling_back("email", "sms"))  # half an hour
        await product.customer(somebody("email", "sms"))
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        (taken,) = provider.taken
        await product.at(MONDAY + MINUTE)
        if agent is not None:
            await fetch(product, path_of(taken.content["html"], "o"), agent=agent)
            assert await receipts(product, taken.id) == [("opened", agent != BROWSER)]
        await product.at(MONDAY + HOUR)
        assert [each.channel for each in provider.taken] == tried


async def test_while_the_database_is_away_links_lead_where_they_should_and_count_later(product: Live) -> None:
    message_id = await sent(product)
    path = path_of((await mail(product, message_id))["html"])
    async with product.database.write():  # of SQLite, whoever else wants to write waits and gives up
        answer = await fetch(product, path)
        assert (answer.status_code, answer.headers["location"]) == (302, TARGET)
    assert await receipts(product, message_id) == [("clicked", False)]


async def test_of_an_erased_customer_a_click_changes_nothing(product: Live) -> None:
    await product.customer(customer(ADA))
    (decision,) = (await product.send(event("shop.offer", "e-1", subject=ADA)))["decisions"]
    await product.settle()
    path = path_of((await mail(product, decision["message_id"]))["html"])
    await product.at(MONDAY + HOUR)
    await erase(product)
    assert (await fetch(product, path)).headers["location"] == TARGET.replace("c-1", ADA)
    await settled(product)
    async with product.database.read() as tx:
        assert await tx.rows("SELECT kind FROM receipt") == []
