"""Each outage makes its alert fire and end, with rules that wait a twentieth of their time; no event is lost by it.

What is seen with the rules as they are, every 15 seconds: `make outages`, docs/outages.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outages.outage import OUTAGES, Outage
from tests.outages.page import PAGE, RUNBOOKS, board_of
from tests.outages.recording import record
from tests.outages.watched_installation import WatchedInstallation, watched_installation
from tests.support.servers import ROOT

HURRY = 20.0
LATEST = 90.0

every_outage = pytest.mark.parametrize("outage", OUTAGES, ids=[each.name for each in OUTAGES])


@pytest.fixture(scope="module")
def watched(server_directory: Path) -> Iterator[WatchedInstallation]:
    with watched_installation(server_directory / "outages", 1.0, HURRY) as here:
        yield here


@pytest.mark.faults
@pytest.mark.timeout(600)
@every_outage
def test_the_alert_fires_and_ends_and_nothing_is_lost(watched: WatchedInstallation, outage: Outage) -> None:
    recording = record(watched, outage, LATEST)
    assert 0 < recording.fired_after <= recording.mended_at
    assert recording.taken, "there was no load"
    board, panel = board_of(outage.alert)
    assert board and panel


@every_outage
def test_the_page_shows_it_and_the_runbook_says_so(outage: Outage) -> None:
    text = PAGE.read_text("utf-8")
    assert f"## {outage.name}\n" in text and outage.broken in text and outage.mended in text
    assert f"outage-{outage.name}.png" in text and (ROOT / f"docs/pictures/outage-{outage.name}.png").exists()
    runbook = (RUNBOOKS / f"{outage.alert.lower()}.md").read_text("utf-8")
    assert f"docs/outages.md#{outage.name}" in runbook and outage.broken in runbook
