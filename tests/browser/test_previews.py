"""The sandbox inbox shows what is hard to show on every channel: long words, text from right to left, messages without
any optional field, families of emoji.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.test_pages import ALL_RULES, CONTRAST, listen, violations
from tests.support.preview_scene import SANDBOX, TEXTS, channels, seed_previews
from tests.support.shop_day import ShopDay, installation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WIDTHS = (320, 375, 768, 1280)
CUT_FAMILY = re.compile("\u200d(?:…|$)|\u200d[^\U0001f466-\U0001f469]")
"""A joiner that joins nothing."""


@pytest.fixture(scope="module")
def scene(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopDay]:
    """An installation whose sandbox has a message of every kind on every channel."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SANDBOX.items():
            patch.setenv(name, value)
        with installation(tmp_path_factory.mktemp("previews")) as found:
            seed_previews(found)
            yield found


def open_kind(page: Page, scene: ShopDay, kind: str) -> None:
    page.goto(f"{scene.url}/console/inbox?customer={kind}", wait_until="load")


@pytest.mark.parametrize("kind", TEXTS)
def test_every_channel_is_shown_and_nothing_is_too_wide(opened: Open, scene: ShopDay, kind: str) -> None:
    page = opened().new_page()
    said = listen(page)
    open_kind(page, scene, kind)
    assert page.locator("#stage section").count() == len(channels(kind))
    wide = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if (inner := page.evaluate("document.documentElement.scrollWidth")) > width:
            wide.append(f"{width}: {inner}")
        wide += page.evaluate(
            """() => [...document.querySelectorAll('#stage :is(h2, h3, p, dd, dt, .button)')].filter(
                each => each.checkVisibility() && each.clientWidth && each.scrollWidth > each.clientWidth + 1)
            .map(each => `${innerWidth}: ${each.className || each.tagName}`)"""
        )
    assert wide == []
    assert said == []


def test_a_long_word_is_broken_in_mails_and_letters(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    open_kind(page, scene, "german")
    for source in [str(frame.get_attribute("src")) for frame in page.locator("iframe.mail-body").all()]:
        body = page.request.get(scene.url + source).text()
        other = opened(viewport={"width": 320, "height": 600}).new_page()
        other.set_content(body)
        paragraph = other.locator("p").first.evaluate("each => [each.scrollWidth, each.clientWidth]")
        assert paragraph[0] <= paragraph[1]


def test_text_from_right_to_left_is_set_so(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    open_kind(page, scene, "rtl")
    for place in (".mailhead h3", ".mailhead .pre", ".post h3", ".post .words", ".lock-card .said", ".bubble"):
        directions = page.locator(place).evaluate_all("all => all.map(each => getComputedStyle(each).direction)")
        assert directions and set(directions) == {"rtl"}, place
    assert page.locator(".mailhead .addr bdi").count() == 1  # the name does not carry the address along
    assert page.locator(".post .image bdi").count() == 2


def test_families_stay_together(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    open_kind(page, scene, "emoji")
    snippets = page.locator(".msgs .snip").all_inner_texts()
    assert snippets and [each for each in snippets if CUT_FAMILY.search(each)] == []


@pytest.mark.parametrize(("width", "theme", "rules"), [(390, "light", ALL_RULES), (1280, "dark", CONTRAST)])
def test_axe_finds_no_fault(opened: Open, scene: ShopDay, width: int, theme: str, rules: dict[str, object]) -> None:
    page = opened(
        viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce", bypass_csp=False
    ).new_page()
    faults = {}
    for kind in TEXTS:
        open_kind(page, scene, kind)
        if found := violations(page, rules):
            faults[kind] = found
    assert faults == {}
