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
    expect(page.locator("#rows tr")).to_have_count(before + 2)
    assert "Greta" not in page.locator("#rows").inner_text()


def test_paused_rows_wait_and_are_counted(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene, "?customer=kim")
    before = page.locator("#rows tr").count()
    page.keyboard.press("p")
    expect(page.locator("[data-pause]")).to_have_attribute("aria-pressed", "true")
    scene.event("shop.order.shipped", "kim", {"order": "o-live-4"})
    expect(page.locator("[data-pause]")).to_contain_text("Resume, 2 new")
    assert page.locator("#rows tr").count() == before
    page.click("[data-pause]")
    expect(page.locator("#rows tr")).to_have_count(before + 2)


def test_j_and_k_walk_and_enter_opens_the_trace(opened: Open, scene: ShopDay) -> None:
    page = live(opened, scene, viewport={"width": 1440, "height": 900})
    page.keyboard.press("j")
    page.keyboard.press("j")
    rows = page.locator("a.row")
    expect(rows.nth(2)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(1)).to_be_focused()
    id = page.locator("#rows tr").nth(1).get_attribute("data-id")
    page.keyboard.press("Enter")
    expect(page.locator("#trace footer dd").first).to_have_text(str(id))
    expect(page).to_have_url(re.compile(f"decision={id}"))
    expect(page.locator("#rows tr").nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("/")
    expect(page.locator(".search input")).to_be_focused()
    page.go_back()
    expect(page).to_have_url(f"{scene.url}/console/decisions")
    expect(page.locator("#rows tr").first).to_have_attribute("aria-current", "true")
    expect(page.locator("[data-pulse]")).to_have_text("Live")


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
