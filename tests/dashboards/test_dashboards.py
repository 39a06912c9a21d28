"""The dashboards: their files are current, and every panel says what a reader needs to know."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import FOLDER
from deploy.grafana.board import Board, Panel
from deploy.grafana.boards import boards
from deploy.grafana.grafana_json import NO_ALERT, WIDTH, dashboards
from deploy.grafana.metric_labels import UnknownMetric, metric_labels, scope
from tests.support.servers import ROOT

BOARDS = boards()
FILES = dashboards()
PANELS = [(board, panel) for board in BOARDS for panel in board.panels()]
TITLES = {
    "tactful-overview": "Overview",
    "tactful-pipeline": "Pipeline",
    "tactful-decisions": "Decisions",
    "tactful-channels": "Channels and adapters",
    "tactful-kafka": "Kafka and dead letters",
    "tactful-promises": "Promises",
}
"""uid -> title. Bookmarks and links of alerts hold the uid, so it stays."""
VARIABLES = ["datasource", "cluster", "namespace", "job", "channel", "class"]
CONSOLE_PAGES = {"adapters", "customers", "dead-letters", "decisions", "find", "holds", "replies", "suppressions"}


def alerts() -> set[str]:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules/alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those in collapsed rows as well, the rows themselves apart."""
    found = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]
    return [panel for panel in found if panel["type"] != "row"]


def name(value: object) -> str:
    return value.uid if isinstance(value, Board) else str(getattr(value, "title", ""))


def test_the_files_are_current() -> None:
    assert {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")} == FILES, (
        "run: python -m deploy.grafana"
    )


def test_the_dashboards_keep_their_addresses() -> None:
    assert {board.uid: board.title for board in BOARDS} == TITLES


@pytest.mark.parametrize("uid", TITLES)
def test_a_dashboard_has_its_variables_annotations_and_a_grid_without_overlaps(uid: str) -> None:
    dashboard = json.loads(FILES[f"{uid}.json"])
    names = [each["name"] for each in dashboard["templating"]["list"]]
    assert names[: len(VARIABLES)] == VARIABLES and names[-2:] == ["runbooks", "console"]
    assert [each["name"] for each in dashboard["annotations"]["list"]] == ["Deployments", "Holds", "Policy activations"]
    assert dashboard["schemaVersion"] >= 41
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= WIDTH and not cells & taken, panel["title"]
        taken |= cells
    identities = [panel["id"] for panel in panels_of(dashboard)]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name)
def test_a_panel_says_what_bad_looks_like_and_leads_on(board: Board, panel: Panel) -> None:
    assert panel.shows.endswith(".") and panel.bad.endswith(".") and panel.details
    assert set(panel.alerts) <= alerts()
    assert not panel.empty or (panel.empty.endswith(".") and panel.empty.count(". ") == 0), "one sentence"
    written = next(each for each in panels_of(json.loads(FILES[f"{board.uid}.json"])) if each["title"] == panel.title)
    assert f"Bad: {panel.bad}" in written["description"]
    assert (NO_ALERT in written["description"]) == (not panel.alerts)
    urls = [link["url"] for link in written["links"]]
    for alert in panel.alerts:
        assert f"/alerting/list?search=rule:{alert}" in urls
        assert f"${{runbooks:raw}}/{alert.lower()}.md" in urls
        assert (ROOT / f"deploy/runbooks/{alert.lower()}.md").exists()
    assert len(urls) > 2 * len(panel.alerts), "it leads nowhere"
    for url in urls:
        if found := re.match(r"/d/([\w-]+)\?", url):
            assert found[1] in TITLES and found[1] != board.uid
        if found := re.match(r"\$\{console:raw\}/([\w-]+)$", url):
            assert found[1] in CONSOLE_PAGES


def test_titles_are_unique_on_a_dashboard() -> None:
    for board in BOARDS:
        titles = [panel.title for panel in board.panels()]
        assert len(set(titles)) == len(titles), board.uid


def test_every_alert_is_on_a_panel() -> None:
    shown = {alert for _, panel in PANELS for alert in panel.alerts}
    assert alerts() - shown == {"TactfulWatchdog"}


def test_queries_are_narrowed_to_the_chosen_labels_that_a_metric_has() -> None:
    targets = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"'
    assert scope('sum(tactful_approvals_pending{kind="policy"})') == (
        f'sum(tactful_approvals_pending{{kind="policy", {targets}}})'
    )
    assert scope("rate(tactful_cap_hits_total[1m])") == (
        f'rate(tactful_cap_hits_total{{{targets}, channel=~"$channel"}}[1m])'
    )
    assert scope("tactful_adapter_circuit_open", ["adapter"]).endswith(', adapter=~"$adapter"}')
    assert scope('up{a="{b}"}') == f'up{{a="{{b}}", {targets}}}'
    assert scope("slo:tactful_bad:ratio_rate1h") == "slo:tactful_bad:ratio_rate1h"
    with pytest.raises(UnknownMetric, match="tactful_wishes_total"):
        scope("rate(tactful_wishes_total[1m])")


def test_the_labels_are_those_of_the_table() -> None:
    assert metric_labels()["tactful_decisions_total"] == {"channel", "class", "outcome", "reason"}
    assert metric_labels()["tactful_render_duration_seconds_bucket"] == {"channel"}
    assert "tactful_render_duration_seconds" not in metric_labels()
