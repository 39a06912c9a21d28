"""One installation and one browser for each file of tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.support import chromium
from tests.support.shop_day import ShopDay, hostile, installation, play, seed


@pytest.fixture(scope="module")
def executable() -> str:
    """Where Chromium is."""
    return chromium.path()


@pytest.fixture(scope="module")
def scene(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopDay]:
    """An installation with some hours of a shop's day in it, and with hostile values."""
    with installation(tmp_path_factory.mktemp("scene")) as found:
        seed(found)
        play(found, steps=6)
        hostile(found)
        yield found


@pytest.fixture(scope="module")
def browser(executable: str) -> Iterator[Browser]:
    """Headless Chromium. Module-wide only: an open driver would disturb tests that run an event loop."""
    with chromium.browser(executable) as found:
        yield found


@pytest.fixture(scope="module")
def cookies(scene: ShopDay, browser: Browser) -> list[dict[str, object]]:
    """An administrator's session."""
    with chromium.context(browser) as context:
        chromium.sign_in(context.new_page(), scene.url, scene.keys["admin"])
        return [dict(cookie) for cookie in context.cookies()]


Open = Callable[..., BrowserContext]


@pytest.fixture
def opened(browser: Browser, cookies: list[dict[str, object]]) -> Iterator[Open]:
    """Makes contexts in which an administrator has signed in; closed after the test."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.add_cookies(cookies)  # type: ignore[arg-type]
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


VENDOR = Path(__file__).parent / "vendor"
