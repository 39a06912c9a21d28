"""The page for agents in a real browser: by keyboard alone, without script, as narrow as a phone, and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.test_pages import listen, violations
from tests.browser.test_preference_centre import tab_to
from tests.support import chromium
from tests.support.shop_day import ShopDay

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

APOLOGY = {
    "key": "apology",
    "name": "Apology and a voucher",
    "owner": "care",
    "class": "service",
    "intent": "apologise",
    "trigger": {"event": "tactful.agent.message"},
    "channels": ["email"],
    "default_locale": "en",
    "content": {"email": {"en": {"subject": "We are sorry", "html": "<p>We are sorry.</p>"}}},
}


@pytest.fixture(scope="module")
def agent_cookies(scene: ShopDay, browser: Browser) -> list[dict[str, object]]:
    """The session of an agent, in a shop that lets agents apologise."""
    scene.call("PUT", "/v1/campaigns/apology", APOLOGY)
    scene.call("POST", "/v1/campaigns/apology/submit")
    scene.call("POST", "/v1/campaigns/apology/approve", by="reviewer")
    scene.call("POST", "/v1/campaigns/apology/activate")
    scene.call("POST", "/v1/situations/ada", {"action": "open", "kind": "complaint", "ref": "A-7"})
    with chromium.context(browser) as context:
        chromium.sign_in(context.new_page(), scene.url, scene.key_of("agent"))
        return [dict(cookie) for cookie in context.cookies()]


@pytest.fixture
def agents(browser: Browser, agent_cookies: list[dict[str, object]]) -> Iterator[Any]:
    """Makes contexts in which the agent has signed in."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.add_cookies(agent_cookies)  # type: ignore[arg-type]
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


def open_all(page: Page) -> None:
    """Open what is folded."""
    page.evaluate("document.querySelectorAll('main details').forEach(each => { each.open = true })")


@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (375, "dark"), (1024, "light"), (1280, "dark")])
def test_axe_finds_nothing_with_all_open_and_nothing_is_too_wide(
    agents: Any, scene: ShopDay, width: int, theme: str
) -> None:
    page = agents(viewport={"width": width, "height": 900}, color_scheme=theme).new_page()
    said = listen(page)
    page.goto(f"{scene.url}/console/agent/customer?customer=ada", wait_until="load")
    open_all(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []


def test_a_customer_is_found_and_paused_by_keyboard_without_script(agents: Any, scene: ShopDay) -> None:
    page = agents(java_script_enabled=False, viewport={"width": 320, "height": 700}).new_page()
    page.goto(f"{scene.url}/console/agent")
    tab_to(page, "#ag-t")
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("ticket 12")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/agent/customer?customer=ada")
    assert "while a complaint is open" in page.inner_text("main")
    tab_to(page, "#ag-d")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=pause")
    assert page.inner_text("[role=status]").startswith("Paused until")
    assert scene.call("GET", "/v1/preferences/ada")["paused_until"] is not None
