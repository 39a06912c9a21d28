"""`make pictures`: every page of the console in light and dark, from a day that is played anew each time."""

import json
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.support import chromium
from tests.support.servers import ROOT
from tests.support.shop_day import ShopDay, bury, installation, play, seed

FOLDER = ROOT / "docs" / "pictures"
PAGES = {
    "home": "/console/",
    "decisions": "/console/decisions?decision={deferred}",
    "inbox": "/console/inbox?customer=bruno",
    "why": "/console/why?customer=ada&campaign=referral-ask&channel=push",
    "customers": "/console/customers",
    "timeline": "/console/customers/ada",
    "search": "/console/find?q=delivery",
    "hold": "/console/holds/checkout-fails",
    "dead-letter": "/console/dead-letters/preference-1",
    "sign-in": "/console/sign-in",
}
ON_A_PHONE = ("decisions", "inbox", "why")
UNREADABLE = {
    "specversion": "1.0",
    "id": "choice-48216",
    "source": "/shop",
    "type": "tactful.preference.changed",
    "subject": "jonas",
    "time": "2026-10-14T12:10:00Z",
    "data": {"optouts": [{"topic": "news"}]},
}
"""An opt-out with a misspelt field: what a dead letter is about."""
HELD_CUSTOMERS = ("ada", "bruno", "edith", "hiro", "kim", "lea", "nora", "petra", "sven")
"""Whose news the hold keeps back."""
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def main(folder: Path = FOLDER) -> int:
    """Write the pictures. Returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, installation(Path(name)) as scene:
        seed(scene)
        play(scene)
        for customer in HELD_CUSTOMERS:
            scene.event("shop.product.launched", customer, {"product": "Garden bench"})
        bury(scene, "jonas", json.dumps(UNREADABLE).encode())
        with chromium.browser(chromium.path()) as browser:
            for theme in ("light", "dark"):
                take(browser, scene, folder, theme)
    return 0


def take(browser: Browser, scene: ShopDay, folder: Path, theme: str) -> None:
    """All pages in one theme."""
    found = scene.call("GET", "/v1/decisions?outcome=defer&limit=200&from=2026-10-14T06:00:00Z")["items"]
    capped = next(item["decision_id"] for item in reversed(found) if item["reason"] != "incident_hold")
    pages = {name: path.format(deferred=capped) for name, path in PAGES.items()}
    with chromium.context(browser, viewport=DESK, color_scheme=theme, reduced_motion="reduce") as context:
        page = context.new_page()
        chromium.sign_in(page, scene.url, scene.keys["admin"])
        for name, path in pages.items():
            shoot(page, scene.url + path, folder / f"{name}-{theme}.png")
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        for name in ON_A_PHONE:
            shoot(page, scene.url + pages[name], folder / f"{name}-phone-{theme}.png")


def shoot(page: Page, url: str, file: Path) -> None:
    """One picture."""
    page.goto(url, wait_until="load")
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(300)
    page.screenshot(path=file)


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:2])))
