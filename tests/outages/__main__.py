"""`python -m tests.outages [NAME...]`: record the outages, all or those named, into docs/outages.md, the runbooks and
docs/pictures. A quarter of an hour for all; the page is written only when all were recorded.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.grafana.__main__ import FOLDER
from tests.dashboards.board_drawing import board, instants, shoot
from tests.outages.outage import OUTAGES
from tests.outages.page import board_of, picture, write_page, write_verified
from tests.outages.recording import Recording, record
from tests.outages.watched_installation import EVENTS_A_SECOND, WatchedInstallation, watched_installation
from tests.support import chromium
from tests.support.servers import ROOT

PICTURES = ROOT / "docs/pictures"
INTERVAL = 15.0
"""Seconds between two looks, as in deploy/prometheus/prometheus.yml."""
LATEST = 300.0
"""Seconds until an alert must fire."""
BEFORE, AFTER = 150.0, 60.0
"""Seconds of quiet load that a picture shows before an outage, and after its end."""


def main(names: list[str]) -> int:
    """Returns the exit code."""
    chosen = [each for each in OUTAGES if not names or each.name in names]
    recordings: list[Recording] = []
    with tempfile.TemporaryDirectory(prefix="tactful-outages-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # the database's server runs as another user
        with watched_installation(directory, INTERVAL) as here:
            for outage in chosen:
                time.sleep(BEFORE)
                print(f"{outage.name}: {outage.broken}", flush=True)
                recording = record(here, outage, LATEST)
                print(f"  {recording}", flush=True)
                time.sleep(AFTER)
                draw(here, recording, PICTURES / picture(recording))
                recordings.append(recording)
    if chosen == list(OUTAGES):
        write_page(recordings, INTERVAL, EVENTS_A_SECOND)
        write_verified(recordings)
    return 0


def draw(here: WatchedInstallation, recording: Recording, path: Path) -> None:
    """The dashboard of the alert, from before the outage until now, with the outage marked."""
    uid, _ = board_of(recording.outage.alert)
    dashboard: dict[str, Any] = json.loads((FOLDER / f"{uid}.json").read_text("utf-8"))
    until = time.time()
    drawn = board(here.prometheus, dashboard, instants(recording.began - BEFORE, until))
    drawn["marks"] = [
        {"from": recording.began, "to": recording.began + recording.mended_at, "colour": "#c7443b"},
    ]
    drawn["legend"] = [{"name": "Outage", "colour": "#c7443b"}]
    with chromium.browser(chromium.path()) as browser:
        shoot(browser, drawn, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
