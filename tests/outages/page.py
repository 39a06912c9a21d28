"""Writes docs/outages.md and what runbooks say they were verified on, from recordings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.grafana.boards import boards
from tests.outages.recording import Recording
from tests.support.servers import ROOT

PAGE: Final = ROOT / "docs/outages.md"
RUNBOOKS: Final = ROOT / "deploy/runbooks"
_VERIFIED: Final = "## Verified on\n"
_HEAD: Final = (
    "# Recorded outages\n\n"
    "`make outages` runs the three services, each role in a process of its own, with Kafka, PostgreSQL and a provider "
    "on one machine, sends {rate:g} events a second over HTTP, and breaks one thing after the other. A Prometheus with "
    "the rules of `deploy/prometheus` looks every {interval:g} seconds. Each run ends when its alert has ended and "
    "the provider has a message for every event that was taken. This page is its output of {day}.\n\n"
    "| broken | alert | fired after | ended after mending | nothing waits after mending | events taken, refused |\n"
    "|---|---|---|---|---|---|\n"
)


def write_page(recordings: Sequence[Recording], interval: float, rate: float, path: Path = PAGE) -> None:
    """Write the page anew."""
    day = datetime.fromtimestamp(recordings[0].began, UTC).date().isoformat()
    rows = (
        f"| {each.outage.name} | [{each.outage.alert}](../deploy/runbooks/{each.outage.alert.lower()}.md) "
        f"| {each.fired_after:.0f} s | {each.ended_after:.0f} s | {each.caught_up_after:.0f} s "
        f"| {each.taken}, {each.refused} |\n"
        for each in recordings
    )
    text = _HEAD.format(interval=interval, rate=rate, day=day) + "".join(rows) + "\n"
    path.write_text(text + "\n".join(_section(each) for each in recordings), "utf-8")


def write_verified(recordings: Sequence[Recording], folder: Path = RUNBOOKS) -> None:
    """Say in the runbook of each alert when its steps were taken, and how long each took."""
    for each in recordings:
        path = folder / f"{each.outage.alert.lower()}.md"
        day = datetime.fromtimestamp(each.began, UTC).date().isoformat()
        words = (
            f"{day}, in a [recorded outage](../../docs/outages.md#{each.outage.name}): {each.outage.broken}. It fired "
            f"after {each.fired_after:.0f} seconds. Then {each.outage.mended}. It ended {each.ended_after:.0f} seconds "
            "later. promtool tests that the rule fires and stays quiet (`deploy/prometheus/tests`).\n"
        )
        head, heading, _ = path.read_text("utf-8").partition(_VERIFIED)
        path.write_text(head + heading + words, "utf-8")


def picture(recording: Recording) -> str:
    """The name of a recording's picture."""
    return f"outage-{recording.outage.name}.png"


def board_of(alert: str) -> tuple[str, str]:
    """The uid of the dashboard and the title of its panel on which an alert is seen."""
    return next((board.uid, panel.title) for board in boards() for panel in board.panels() if alert in panel.alerts)


def _section(recording: Recording) -> str:
    outage = recording.outage
    others = ", ".join(recording.others) or "none"
    uid, panel = board_of(outage.alert)
    asked = (
        f"\nWhat the process `{outage.asked}` answers to `/readyz` meanwhile:\n```\n{recording.readiness}\n```\n"
        if outage.asked
        else ""
    )
    said = (
        f"\n```\n$ tactful {' '.join(outage.command)}\n"
        + "\n".join(line.rstrip() for line in recording.said.strip().splitlines())
        + "\n```\n"
        if outage.command
        else ""
    )
    return (
        f"## {outage.name}\n"
        f"At 0 s {outage.broken}. {outage.alert} is pending after {recording.pending_after:.0f} s and fires after "
        f"{recording.fired_after:.0f} s. After {recording.mended_at:.0f} s {outage.mended}. "
        f"{recording.ended_after:.0f} s later the alert has ended, and after {recording.caught_up_after:.0f} s the "
        f"provider has a message for each of the events that were taken. Other alerts that fired: {others}.\n"
        f"{asked}{said}\n"
        f"The dashboard `{uid}`, with the panel *{panel}*, over the outage (marked) and what followed:\n\n"
        f"![{outage.name}](pictures/{picture(recording)})\n"
    )
