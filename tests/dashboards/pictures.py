"""`python -m tests.dashboards.pictures`: a picture of each dashboard, of a product under load for some minutes.

How they are drawn: board_drawing.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from deploy.grafana.__main__ import FOLDER
from tests.dashboards.board_drawing import board, instants, shoot
from tests.support import chromium
from tests.support.scraped_product import (
    ScrapedProduct,
    activate_policy,
    bury,
    hold_back,
    lift_hold,
    load,
    scraped_product,
    visit_preferences,
)
from tests.support.servers import ROOT, wait_for

PICTURES = ROOT / "docs/pictures"
QUIET, HELD, AFTER = 60.0, 45.0, 60.0
"""Seconds before, during and after the hold."""


def main(folder: Path = PICTURES) -> int:
    """Write the pictures. Returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, scraped_product(Path(name)) as scraped, load(scraped.running):
        play(scraped)
        draw(scraped, folder)
    return 0


def play(scraped: ScrapedProduct) -> None:
    """Some minutes in which something happens."""
    running = scraped.running
    wait_for(lambda: bool(scraped.series('tactful_decisions_total{outcome="send"} > 0')), "a decision", timeout=200)
    visit_preferences(running, "bruno")
    time.sleep(QUIET)
    hold_back(running)
    activate_policy(running)
    bury(running, 3)
    time.sleep(HELD)
    lift_hold(running)
    running.ask("POST", "/v1/preferences/bruno/optout", {"topic": "news"})
    visit_preferences(running, "bruno")
    time.sleep(AFTER)


def draw(scraped: ScrapedProduct, folder: Path) -> None:
    """One picture a dashboard."""
    times = instants(scraped.began, time.time())
    with chromium.browser(chromium.path()) as browser:
        for path in sorted(FOLDER.glob("*.json")):
            dashboard = json.loads(path.read_text("utf-8"))
            shoot(
                browser,
                board(scraped, dashboard, times),
                folder / f"dashboard-{path.stem.removeprefix('tactful-')}.png",
            )


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:2])))
