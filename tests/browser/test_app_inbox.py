"""The inbox on a company's page: `examples/inbox` in Chromium, by keyboard, in the dark, narrow, from right to left."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page, Route, expect

from schemas.times import format_instant
from services.kit.runtime.clock import SystemClock
from tests.browser.test_pages import listen, violations
from tests.support import chromium
from tests.support.servers import free_port
from tests.support.service_processes import Process

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ODD = {
    "title": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft 👨‍👩‍👧‍👦",
    "body": "<img src=x onerror=alert(1)>\nمرحبا بك في متجرنا " + "word " * 100,
}
ODD_CAMPAIGN = {
    "key": "odd",
    "name": "Odd",
    "owner": "tests",
    "class": "transactional",
    "intent": "inform",
    "trigger": {"event": "shop.odd"},
    "channels": ["in_app"],
    "default_locale": "de",
    "content": {"in_app": {"de": {"title": "{{ event.data.title }}", "body": "{{ event.data.body }}"}}},
}


@dataclass
class ExampleShop:
    """The example, running."""

    url: str
    tactful: str
    keys: dict[str, str]

    def call(self, method: str, path: str, body: Any = None, key: str = "admin", kind: str = "json") -> Any:
        headers = {"Authorization": f"Bearer {self.keys[key]}", "Content-Type": f"application/{kind}"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.tactful + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def order(self) -> None:
        """Order something, as another tab would."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/orders", b"", method="POST"), timeout=30):
            pass

    def say_something_odd(self) -> None:
        event: dict[str, Any] = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/shop", "type": "shop.odd"}
        event |= {"subject": "ada", "time": format_instant(SystemClock().now()), "data": ODD}
        self.call("POST", "/v1/events", event, kind="cloudevents+json")


@pytest.fixture(scope="module")
def shop(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleShop]:
    folder, port, tactful = tmp_path_factory.mktemp("shop"), free_port(), free_port()
    given = {"SHOP_PORT": str(port), "PORT": str(tactful), "TACTFUL_DATA_DIR": str(folder)}
    process = Process("shop", (sys.executable, "examples/inbox/shop.py"), port, given, folder / "log", None)
    process.start()
    try:
        process.wait_ready()
        keys = json.loads((folder / "keys.json").read_text())
        found = ExampleShop(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{tactful}", keys)
        found.call("PUT", "/v1/campaigns/odd", ODD_CAMPAIGN)
        for step, key in (("submit", "admin"), ("approve", "reviewer"), ("activate", "admin")):
            found.call("POST", f"/v1/campaigns/odd/{step}", key=key)
        yield found
    finally:
        if process.running is not None:
            process.send(signal.SIGTERM)
            assert process.running.wait(30) == 0, "the shop ends, and Tactful with it"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with chromium.context(browser) as made:
        yield made


def visit(context: BrowserContext, shop: ExampleShop) -> tuple[Page, list[str]]:
    """The page, and what the browser complains of."""
    page = context.new_page()
    said = listen(page)
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(f"{shop.url}/")
    expect(page.locator("#inbox .o")).to_be_visible()
    return page, said


def test_an_order_comes_at_once_and_is_read_by_keyboard(context: BrowserContext, shop: ExampleShop) -> None:
    page, said_by_browser = visit(context, shop)
    page.keyboard.press("Tab")
    expect(page.locator("#inbox .o")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#inbox section")).to_be_visible()
    before = page.locator("#inbox li").count()
    shop.order()
    expect(page.locator("#inbox li")).to_have_count(before + 1)
    expect(page.locator("#inbox [role=status]")).to_have_text("Inbox: We have your order")
    newest = page.locator("#inbox li").first
    expect(newest).to_have_class("u")
    message_id = newest.get_attribute("id")
    newest.locator("a.t").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{shop.url}/orders/*")
    page.go_back()
    page.locator("#inbox .o").click()
    expect(page.locator(f"#{message_id}")).not_to_have_class("u")
    said = {each["kind"] for each in shop.call("GET", f"/v1/messages/{message_id}")["receipts"]}
    assert said == {"opened", "clicked"}
    page.keyboard.press("Escape")
    expect(page.locator("#inbox section")).to_be_hidden()
    expect(page.locator("#inbox .o")).to_be_focused()
    assert said_by_browser == []


def test_another_tab_sees_what_this_one_does(context: BrowserContext, shop: ExampleShop) -> None:
    shop.order()
    first, second = visit(context, shop)[0], visit(context, shop)[0]
    for page in (first, second):
        page.locator("#inbox .o").click()
    newest = first.locator("#inbox li").first
    expect(newest).to_be_visible()
    message_id = newest.get_attribute("id")
    first.get_by_role("button", name="Mark all as read").click()
    expect(second.locator("#inbox li.u")).to_have_count(0)
    expect(second.locator("#inbox bdi")).to_have_text("")
    newest.get_by_role("button", name="Archive").click()
    expect(second.locator(f"#{message_id}")).to_have_count(0)
    expect(first.locator("#inbox h2")).to_be_focused()


def test_a_late_answer_does_not_undo_what_the_stream_has_said_since(context: BrowserContext, shop: ExampleShop) -> None:
    shop.order()
    first, second = visit(context, shop)[0], visit(context, shop)[0]
    held: list[tuple[Route, APIResponse]] = []
    second.route("**/v1/inbox/seen", lambda route: held.append((route, route.fetch())))
    for page in (first, second):
        page.locator("#inbox .o").click()
    expect(second.locator("#inbox bdi")).not_to_have_text("")
    while not held:
        second.wait_for_timeout(20)
    first.get_by_role("button", name="Mark all as read").click()
    expect(second.locator("#inbox bdi")).to_have_text("")
    for route, answer in held:
        with second.expect_response("**/v1/inbox/seen"):
            route.fulfill(response=answer)
    second.wait_for_timeout(100)
    expect(second.locator("#inbox bdi")).to_have_text("")


LOOKS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1280, "height": 800}},
    "narrow": {"viewport": {"width": 375, "height": 700}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "right to left": {"viewport": {"width": 375, "height": 700}, "color_scheme": "dark"},
}


@pytest.mark.parametrize("name", LOOKS)
def test_odd_texts_stay_texts_within_the_page_and_axe_finds_no_fault(
    browser: Browser, shop: ExampleShop, name: str
) -> None:
    with chromium.context(browser, **LOOKS[name]) as context:
        page, said_by_browser = visit(context, shop)
        expect(page.locator("#inbox :is(li, .e:not(:empty))").first).to_be_attached()  # what comes now is announced
        shop.say_something_odd()
        expect(page.locator("#inbox [role=status]")).to_contain_text(ODD["title"])
        if name == "right to left":
            page.evaluate("document.documentElement.dir = 'rtl'")
        page.locator("#inbox .o").click()
        item = page.locator("#inbox li").first
        expect(item.locator(".t")).to_have_text(ODD["title"])
        assert item.locator("img").count() == 0
        assert item.locator(".t").get_attribute("lang") == "de"
        box, width = page.locator("#inbox section").bounding_box(), page.viewport_size
        assert box is not None and width is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= width["width"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
        assert said_by_browser == []
