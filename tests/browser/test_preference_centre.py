"""The preference centre in a real browser: by keyboard alone, without script, narrow, in every language and theme."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from services.preference.centre.languages import LANGUAGES
from tests.browser.test_pages import listen, violations
from tests.support.shop_day import ShopDay

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def links(scene: ShopDay, customer: str = "bruno", topic: str = "news") -> dict[str, Any]:
    found: dict[str, Any] = scene.call("POST", f"/v1/preferences/{customer}/links", {"topic": topic})
    return found


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Any]:
    """Makes contexts of somebody who has not signed in, without script."""
    made: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(java_script_enabled=False, **options)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


def tab_to(page: Page, selector: str, limit: int = 120) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} cannot be reached by keyboard")


@pytest.mark.parametrize("language", ["de", "ar"])
def test_five_changes_by_keyboard_alone_without_script_at_320_pixels(
    scene: ShopDay, stranger: Any, language: str
) -> None:
    before = scene.call("GET", "/v1/preferences/kim")
    page = stranger(viewport={"width": 320, "height": 700}, locale=language).new_page()
    said = listen(page)
    page.goto(f"{links(scene, 'kim')['preferences']}?lang={language}")
    tab_to(page, "[value='news.email']")
    was = page.locator("[value='news.email']").is_checked()
    page.keyboard.press("Space")
    tab_to(page, "[name='frequency']")
    page.keyboard.press("ArrowDown")
    for name, times in (("quiet_from", 22), ("quiet_to", 9)):
        tab_to(page, f"#{name}")
        for _ in range(times):
            page.keyboard.press("ArrowDown")
    tab_to(page, "#language")
    page.keyboard.press("End")
    tab_to(page, "button[value='save']")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role='status']")
    result = page.locator("[role='status']")
    assert result.locator("li").count() >= 4, page.locator("main").inner_text()[:2000]
    assert page.locator("[value='news.email']").is_checked() is not was
    after = scene.call("GET", "/v1/preferences/kim")
    assert after["frequency"] != before["frequency"] and after["quiet_hours"] != before["quiet_hours"]
    assert after["locale"] != before["locale"]
    tab_to(page, "button[value='undo']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    restored = scene.call("GET", "/v1/preferences/kim")
    assert {name: restored[name] for name in ("frequency", "quiet_hours", "locale", "opt_outs", "consent")} == {
        name: before[name] for name in ("frequency", "quiet_hours", "locale", "opt_outs", "consent")
    }
    assert said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_no_fault_in_any_language(scene: ShopDay, browser: Browser, language: str, theme: str) -> None:
    found = links(scene)
    context = browser.new_context(viewport={"width": 375, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        said = listen(page)
        faults: dict[str, list[str]] = {}
        for name, url in (
            ("centre", found["preferences"]),
            ("data", f"{found['preferences']}/data"),
            ("unsubscribe", found["unsubscribe"]),
            ("invalid", f"{scene.url}/p/x"),
        ):
            page.goto(f"{url}?lang={language}")
            if wrong := violations(page):
                faults[name] = wrong
        page.goto(f"{found['preferences']}?lang={language}")
        page.select_option("#quiet_from", "21:00")
        page.select_option("#quiet_to", "")
        page.click("button[value='save']")
        assert page.locator("[role='alert']").count() == 1
        if wrong := violations(page):
            faults["faulty"] = wrong
        page.select_option("#quiet_to", "08:00" if theme == "light" else "09:00")
        page.click("button[value='save']")
        assert page.locator("[role='status']").count() == 1
        if wrong := violations(page):
            faults["saved"] = wrong
        assert faults == {}
        assert [line for line in said if "422" not in line] == []
    finally:
        context.close()


ADD, NEW_ADDRESS = "button[value='add']", "#new-address"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_address_is_asked_for_its_code_at_320_pixels(
    scene: ShopDay, browser: Browser, language: str, theme: str
) -> None:
    who = {"light": "nora", "dark": "lea"}[theme]  # a customer is sent ten codes a day at most
    context = browser.new_context(viewport={"width": 320, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        said, faults = listen(page), dict[str, list[str]]()
        page.goto(f"{links(scene, who)['preferences']}?lang={language}")
        page.fill(NEW_ADDRESS, "nonsense")
        page.click(ADD)
        assert page.locator("[role='status']").count() == 1 and page.input_value(NEW_ADDRESS) == "nonsense"
        faults["refused"] = violations(page)
        page.fill(NEW_ADDRESS, f"{who}.{language}@example.org")
        page.click(ADD)
        assert page.locator("input[name='code']").count() >= 1
        faults["asked"] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert not any(faults.values()), faults
        assert [line for line in said if "422" not in line] == []
    finally:
        context.close()
        for each in scene.call("GET", f"/v1/preferences/{who}/addresses")["items"]:
            if not each["verified"]:
                scene.call("DELETE", f"/v1/preferences/{who}/addresses/{each['id']}")


def test_an_address_is_added_by_keyboard_alone_without_script(scene: ShopDay, stranger: Any) -> None:
    page = stranger(viewport={"width": 320, "height": 700}).new_page()
    page.goto(f"{links(scene, 'petra')['preferences']}?lang=en")
    tab_to(page, NEW_ADDRESS)
    page.keyboard.type("petra@new.example")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(page, "input[name='code']")
    page.keyboard.type("000000")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "not the code" in page.locator("[role='status']").inner_text()  # but once in a million times


def test_no_page_scrolls_sideways(scene: ShopDay, stranger: Any, browser: Browser) -> None:
    found = links(scene, "ada")
    context = browser.new_context()
    try:
        page, wide = context.new_page(), list[str]()
        for language in LANGUAGES:
            for url in (found["preferences"], f"{found['preferences']}/data", found["unsubscribe"]):
                page.goto(f"{url}?lang={language}")
                for width in (320, 375, 640, 768, 1024, 1280):
                    page.set_viewport_size({"width": width, "height": 800})
                    if (inner := page.evaluate("document.documentElement.scrollWidth")) > width:
                        wide.append(f"{url} {language} at {width}: {inner}")
        assert wide == []
    finally:
        context.close()


def test_the_order_of_focus_is_that_of_the_page_and_every_stop_is_seen(scene: ShopDay, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1024, "height": 900})
    try:
        page = context.new_page()
        page.goto(links(scene, "ada")["preferences"])
        places: list[int] = []
        for _ in range(200):
            page.keyboard.press("Tab")
            found = page.evaluate(
                "() => { const e = document.activeElement; if (!e || e === document.body) return null;"
                "const s = getComputedStyle(e); const all = [...document.querySelectorAll('*')];"
                "return [all.indexOf(e), s.outlineStyle !== 'none' || e.classList.contains('skip')]; }"
            )
            if found is None:
                break
            assert found[1], page.evaluate("document.activeElement.outerHTML")
            places.append(found[0])
        assert len(places) > 20 and places == sorted(places)
    finally:
        context.close()


def test_unsubscribing_and_the_way_back_without_script(scene: ShopDay, stranger: Any) -> None:
    page = stranger().new_page()
    page.goto(links(scene, "chiara")["unsubscribe"] + "?lang=it")
    page.click("main button")
    assert re.search("iscrizione", page.locator("h1").inner_text())
    assert {"topic": "news"} in scene.call("GET", "/v1/preferences/chiara")["opt_outs"]
    page.click("section button")
    assert {"topic": "news"} not in scene.call("GET", "/v1/preferences/chiara")["opt_outs"]
    page.click("main a")
    assert page.url.endswith("#how-often") and page.locator("#how-often").is_visible()
