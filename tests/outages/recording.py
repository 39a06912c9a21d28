"""What was seen of one outage: when its alert fired and ended, what else fired, what the runbook's questions answered.

Raises AssertionError where the alert does not fire or does not end, and where an event that was taken is not acted on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import httpx

from tests.outages.outage import Outage
from tests.outages.watched_installation import WatchedInstallation
from tests.support.command_line import run

UNREADY: Final = 30.0
"""Seconds; processes are not ready 15 seconds after a loss."""
LATEST_END: Final = 420.0
"""Seconds after it was mended."""


class Recording(NamedTuple):
    """Seconds count from the beginning of the outage, `ended_after` from its mending. `began`: since 1970."""

    outage: Outage
    began: float
    pending_after: float
    fired_after: float
    mended_at: float
    ended_after: float
    others: tuple[str, ...]
    """Alerts that fired as well, those apart that an earlier outage had left: error budgets look back for hours."""
    readiness: str
    said: str
    taken: int
    refused: int
    caught_up_after: float
    """When the provider had a message for every event that was taken until the alert ended."""


def record(here: WatchedInstallation, outage: Outage, latest: float) -> Recording:
    """Break it, wait `latest` seconds at most for the alert, ask what the runbook asks, mend it, wait for the end."""
    _seconds_until(lambda: bool(here.load.taken - here.unanswered()), LATEST_END, "a message of the load")
    before = set(here.prometheus.alerts())
    assert outage.alert not in before, "it is wrong before"
    taken, refused = len(here.load.taken), here.load.refused
    others: set[str] = set()
    began = time.time()
    outage.begin(here)

    def state() -> str | None:
        alerts = here.prometheus.alerts()
        others.update(name for name, each in alerts.items() if each == "firing")
        return alerts.get(outage.alert)

    pending = _seconds_until(lambda: state() is not None, latest, f"{outage.alert} pending")
    fired = pending + _seconds_until(lambda: state() == "firing", latest, f"{outage.alert} firing")
    readiness = _readiness(here, outage)
    said = run(*outage.command, given={**here.command_settings(), "COLUMNS": "110"}).screen if outage.command else ""
    mended = time.time()
    outage.mend(here)
    ended = _seconds_until(lambda: state() != "firing", LATEST_END, f"the end of {outage.alert}")
    before_the_end = set(here.load.taken)
    caught_up = ended + _seconds_until(
        lambda: not before_the_end & here.unanswered(), LATEST_END, "a message for every event that was taken"
    )
    return Recording(
        outage,
        began,
        pending,
        fired,
        mended - began,
        ended,
        tuple(sorted(others - before - {outage.alert})),
        readiness,
        said,
        len(here.load.taken) - taken,
        here.load.refused - refused,
        caught_up,
    )


def _seconds_until(seen: Callable[[], bool], latest: float, what: str) -> float:
    began = time.monotonic()
    while not seen():
        assert time.monotonic() - began < latest, f"not seen within {latest:.0f} s: {what}"
        time.sleep(0.5)
    return time.monotonic() - began


def _readiness(here: WatchedInstallation, outage: Outage) -> str:
    """What the process of the outage answers to `/readyz`."""
    if outage.asked is None:
        return ""
    url = f"{here.cluster[outage.asked].url}/readyz"
    _seconds_until(lambda: _get(url).status_code == 503, UNREADY, f"{outage.asked} not ready")
    return json.dumps(_get(url).json(), ensure_ascii=False)


def _get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=10, trust_env=False)
