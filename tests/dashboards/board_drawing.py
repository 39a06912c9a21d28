"""Draws a dashboard as its file says, with the numbers that Prometheus answers to its panels' own queries.

Grafana is no package that a test can install, so this draws the panels itself, with uPlot, in headless Chromium.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from deploy.grafana.variables import ANNOTATIONS
from tests.support import chromium
from tests.support.prometheus_server import Prometheus

HERE = Path(__file__).parent
POINTS = 180
COLOURS = {"Deployments": "#3b78c3", "Holds": "#d9822b", "Policy activations": "#8e5bb5"}


def instants(began: float, until: float) -> list[float]:
    """The instants of a picture, in seconds since 1970."""
    step = max(1.0, (until - began) / POINTS)
    return [began + number * step for number in range(POINTS + 1)]


def board(source: Prometheus, dashboard: dict[str, Any], times: list[float]) -> dict[str, Any]:
    """What `draw.js` draws."""
    return {
        "title": dashboard["title"],
        "about": dashboard["description"],
        "times": times,
        "marks": [mark for name, query, *_ in ANNOTATIONS for mark in marks(source, name, query, times)],
        "legend": [{"name": name, "colour": colour} for name, colour in COLOURS.items()],
        "panels": [drawn(source, panel, times) for panel in dashboard["panels"]],
    }


def drawn(source: Prometheus, panel: dict[str, Any], times: list[float]) -> dict[str, Any]:
    """A panel with the results of its queries."""
    found: dict[str, Any] = {"type": panel["type"], "title": panel["title"], "place": panel["gridPos"]}
    if panel["type"] == "row":
        return found | {"title": f"▸ {panel['title']}" if panel["collapsed"] else panel["title"]}
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    empty = re.search(r"May be empty: (.*)", panel["description"])
    return found | {
        "unit": defaults.get("unit", ""),
        "steps": defaults.get("thresholds", {}).get("steps", []),
        "stacked": custom.get("stacking", {}).get("mode") == "normal",
        "least": custom.get("axisSoftMax"),
        "empty": empty[1] if empty else "",
        "series": [line for target in panel["targets"] for line in lines(source, target, times)],
    }


def lines(source: Prometheus, target: dict[str, Any], times: list[float]) -> list[dict[str, Any]]:
    """Series with a value for each instant, null where there is none."""
    found = []
    legend = target.get("legendFormat", "").replace("__auto", "")
    for each in answers(source, target["expr"], times):
        labels = each["metric"]
        found.append({"name": name_series(legend, labels), "labels": labels, "values": aligned(each["values"], times)})
    return found


def name_series(legend: str, labels: Mapping[str, str]) -> str:
    """The legend with the values of the labels that it names."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)


def answers(source: Prometheus, query: str, times: list[float]) -> list[dict[str, Any]]:
    """The series of a query at these instants."""
    step = times[1] - times[0]
    given = {"start": f"{times[0]:.3f}", "end": f"{times[-1]:.3f}", "step": f"{step:.3f}"}
    result: list[dict[str, Any]] = source.ask("query_range", query=source.fill(query), **given)["result"]
    return result


def aligned(values: list[list[Any]], times: list[float]) -> list[float | None]:
    """The values at the instants."""
    step = times[1] - times[0]
    slots: list[float | None] = [None] * len(times)
    for instant, text in values:
        number = float(text)
        slots[min(len(times) - 1, round((instant - times[0]) / step))] = number if number == number else None
    return slots


def marks(source: Prometheus, name: str, query: str, times: list[float]) -> list[dict[str, Any]]:
    """An annotation: from where to where its query has a value. What began before the picture is left out."""
    found = []
    for each in answers(source, query, times):
        instants = [instant for instant, _ in each["values"]]
        if instants[0] > times[2]:
            end = instants[-1] if name == "Holds" else instants[0]
            found.append({"from": instants[0], "to": end, "colour": COLOURS[name]})
    return found


def shoot(browser: Browser, content: dict[str, Any], file: Path) -> None:
    """One picture."""
    scripts = [HERE / "vendor/uPlot.iife.min.js", HERE / "drawing/draw.js"]
    styles = [HERE / "vendor/uPlot.min.css", HERE / "drawing/page.css"]
    data = json.dumps(content).replace("</", "<\\/")
    style = "".join(each.read_text("utf-8") for each in styles)
    html = (
        f"<!doctype html><html lang=en><meta charset=utf-8><style>{style}</style>"
        '<header><div id="marks"></div><h1></h1><p></p></header><div id="board"></div>'
    )
    with chromium.context(browser, viewport={"width": 1440, "height": 900}, timezone_id="UTC") as context:
        page = context.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.set_content(html)
        for script in scripts:
            page.add_script_tag(content=script.read_text("utf-8"))
        page.add_script_tag(content=f"const BOARD = {data}")
        page.evaluate(
            "document.querySelector('h1').textContent = BOARD.title;"
            "document.querySelector('header p').textContent = BOARD.about; drawBoard(BOARD)"
        )
        page.wait_for_timeout(300)
        if failures:
            raise AssertionError(f"{file.name}: {failures}")
        page.screenshot(path=file, full_page=True)
