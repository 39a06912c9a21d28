"""Decisions as they are made: rows come by themselves, wait while paused, and the keyboard walks them."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.support import chromium
from tests.support.shop_day import ShopDay, installation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def live(opened: Open, scene: ShopDay, query: str = "", **options: object) -> Page:
    page = opened(**options).new_page()
    page.goto(f"{scene.url}/console/decisions{query}", wait_until="load")
    expect(page.locator("[data-pulse]")).to_have_text("Live")
    return page


def test_new_decisions_come_in_at_the_top(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene)
    scene.event("shop.order.shipped", "greta", {"order": "o-live-1"})
    expect(page.locator("#rows tr").first).to_contain_text("Greta")
    expect(page.locator("#rows tr").first).to_contain_text("shop.order.shipped")


def test_the_address_filters_what_comes_in(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene, "?customer=sven")
    before = page.locator("#rows tr").count()
    scene.event("shop.order.shipped", "greta", {"order": "o-live-2"})
    scene.event("shop.order.shipped", "sven", {"order": "o-live-3"})
    expect(page.locator("#rows tr").first).to_contain_text("Sven")
    expect(page.locator("#rows tr")).to_have_count(before + 1)
    assert "Greta" not in page.locator("#rows").inner_text()


def test_paused_rows_wait_and_are_counted(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene, "?customer=kim")
    before = page.locator("#rows tr").count()
    page.keyboard.press("p")
    expect(page.locator("[data-pause]")).to_have_attribute("aria-pressed", "true")
    scene.event("shop.order.shipped", "kim", {"order": "o-live-4"})
    expect(page.locator("[data-pause]")).to_contain_text("Resume, 1 new")
    assert page.locator("#rows tr").count() == before
    page.click("[data-pause]")
    expect(page.locator("#rows tr")).to_have_count(before + 1)
    expect(page.locator("#rows tr").first.locator(".chan")).to_have_count(2)


def test_j_and_k_walk_and_enter_opens_the_trace(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene, viewport={"width": 1600, "height": 900})
    page.keyboard.press("j")
    page.keyboard.press("j")
    rows = page.locator("a.row")
    expect(rows.nth(2)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(1)).to_be_focused()
    ids = str(page.locator("#rows tr").nth(1).get_attribute("data-decisions")).split()
    page.keyboard.press("Enter")
    expect(page.locator("#rows tr").nth(1)).to_have_attribute("aria-current", "true")
    shown = page.locator("#trace footer dd").first.inner_text()
    assert shown in ids
    expect(page).to_have_url(re.compile(f"decision={shown}"))
    expect(page.locator("#rows tr").nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("/")
    expect(page.locator(".search input[name=q]")).to_be_focused()
    page.go_back()
    expect(page).to_have_url(f"{scene.url}/console/decisions")
    expect(page.locator("#rows tr").first).to_have_attribute("aria-current", "true")
    expect(page.locator("[data-pulse]")).to_have_text("Live")


@pytest.mark.parametrize("width", [390, 1024, 1280, 1440])
def test_a_chosen_trace_lies_over_the_table_and_goes_away_again(opened: Open, scene: ShopDay, width: int) -> None:
    page = live(opened, scene, viewport={"width": width, "height": 800})
    expect(page.locator("#trace")).not_to_be_visible()
    table = page.locator("#rows").bounding_box()
    page.locator("a.row").nth(1).click()
    trace = page.locator("#trace.chosen")
    expect(trace).to_be_focused()
    box = trace.bounding_box()
    assert box is not None and table is not None
    assert page.locator("#rows").bounding_box() == table or width == 390  # the table keeps its width
    assert box["x"] + box["width"] <= width and (box["width"] == width if width == 390 else box["width"] >= 500)
    page.keyboard.press("Escape")
    expect(page.locator("#trace")).not_to_be_visible()
    expect(page).to_have_url(f"{scene.url}/console/decisions")
    expect(page.locator("a.row").nth(1)).to_be_focused()
    page.go_back()
    expect(page.locator("#trace.chosen")).to_be_visible()
    page.click("[data-close]")
    expect(page.locator("#trace")).not_to_be_visible()


def test_the_trace_leads_to_the_other_channels_of_the_message(opened: Open, scene: ShopDay) -> None:
    scene.event("shop.order.shipped", "greta", {"order": "o-live-5"})
    page = live(opened, scene, "?customer=greta", viewport={"width": 1280, "height": 800})
    page.locator("a.row").first.click()
    tabs = page.locator(".chan-tabs a")
    expect(tabs).to_have_count(2)
    expect(tabs.first).to_have_attribute("aria-current", "true")
    tabs.nth(1).click()
    expect(page.locator(".chan-tabs a").nth(1)).to_have_attribute("aria-current", "true")
    expect(page.locator("#rows tr").first).to_have_attribute("aria-current", "true")


def test_event_types_break_at_dots_and_sparklines_keep_clear_of_their_numbers(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene)
    lines = """(element) => {
        const range = document.createRange(), found = [];
        for (const node of element.childNodes) {
            if (node.nodeType !== 3) continue;
            range.selectNodeContents(node);
            found.push(range.getClientRects().length);
        }
        return found;
    }"""
    for width in (1024, 1280, 1440, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert all(count == 1 for cell in page.locator("td.camp .sub").all()[:20] for count in cell.evaluate(lines)), (
            f"a part of an event type is broken at {width}"
        )
        for tile in page.locator(".tile").all():
            number, spark = tile.locator(".big").bounding_box(), tile.locator(".spark").bounding_box()
            small = tile.locator(".big small").bounding_box()
            assert number and spark and small and small["x"] + small["width"] <= spark["x"]


def test_the_theme_stays_as_chosen(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene, color_scheme="light")
    page.click("[data-theme-toggle]")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.evaluate("localStorage.clear()")


def test_the_link_of_the_start_box_signs_in_once(browser: Browser, tmp_path: Path) -> None:
    with installation(tmp_path) as fresh, chromium.context(browser) as context:
        page = context.new_page()
        page.goto(f"{fresh.url}/")
        expect(page).to_have_url(f"{fresh.url}/console/sign-in")
        page.goto(fresh.link)
        page.click("button[type=submit]")
        expect(page).to_have_url(f"{fresh.url}/console/")
        page.click(".nav button[type=submit]")
        expect(page).to_have_url(f"{fresh.url}/console/sign-in")
        page.goto(fresh.link)
        page.click("button[type=submit]")
        expect(page.locator("[role=alert]")).to_contain_text("has been used")


def test_an_open_stream_does_not_hold_up_the_end(browser: Browser, tmp_path: Path) -> None:
    with installation(tmp_path) as fresh, chromium.context(browser) as context:
        page = context.new_page()
        chromium.sign_in(page, fresh.url, fresh.keys["admin"])
        page.goto(f"{fresh.url}/console/decisions", wait_until="load")
        expect(page.locator("[data-pulse]")).to_have_text("Live")
        fresh.process.terminate()
        assert fresh.process.wait(60) == 0
    assert "graceful shutdown exceeded" not in (tmp_path / "dev.log").read_text()
