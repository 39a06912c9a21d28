"""Headless Chromium, as Debian packages it, driven from Python."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def path() -> str:
    """Where Chromium is. Skips the test without it, and fails in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "Chromium is not installed (Debian package `chromium`)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as driver:
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
    page.wait_for_url(f"{url}/console/")


@contextmanager
def context(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """A fresh profile: its own cookies, size and theme."""
    made = browser.new_context(**options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()
