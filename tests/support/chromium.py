"""Headless Chromium, as Debian packages it, driven from Python."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from tests.support.servers import absent

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def path() -> str:
    """Where Chromium is installed. Skips the test without it; with CI=true the test fails."""
    found = installed()
    if found is None:
        absent("Chromium is not installed (Debian package chromium)")
    return found


def installed() -> str | None:
    """The path of the executable, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """A browser without a window. Playwright's error holds the browser's log; a first failure is tried once more."""
    with sync_playwright() as driver:
        try:
            started = driver.chromium.launch(executable_path=executable, args=ARGUMENTS)
        except Error as error:
            print(error)
            started = driver.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield started
        finally:
            started.close()


def sign_in(page: Page, url: str, key: str) -> None:
    """Sign in with a key."""
    page.goto(f"{url}/console/sign-in")
    page.fill("#key", key)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: not address.endswith("/sign-in"))


@contextmanager
def context(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """A fresh profile: its own cookies, size and theme."""
    made = browser.new_context(**options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()
