"""A real Prometheus answers every query of every panel, and evaluates every rule, of a running product under load.

A query without series is a mistake in the query, unless its panel says in one sentence why it may have none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import yaml

from deploy.grafana.board import Board
from deploy.grafana.boards import boards
from deploy.grafana.metric_labels import scope
from deploy.grafana.variables import ANNOTATIONS, MAY_HAVE_NONE, OF_LABELS
from tests.support.prometheus_server import FOLDER
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
from tests.support.servers import wait_for

pytestmark = [pytest.mark.wired, pytest.mark.integration, pytest.mark.timeout(600)]
LOADED_SECONDS = 20.0
"""How long the load goes on after everything has happened: more than the window of rates, 15 s."""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScrapedProduct]:
    """A product on which a hold, an activation, visits and dead letters have happened."""
    with scraped_product(tmp_path_factory.mktemp("scraped")) as found, load(found.running):
        wait_for(lambda: bool(found.series('tactful_decisions_total{outcome="send"} > 0')), "a decision", timeout=200)
        hold_back(found.running)
        activate_policy(found.running)
        visit_preferences(found.running, "bruno")
        found.running.ask("POST", "/v1/preferences/bruno/optout", {"topic": "news"})
        bury(found.running, 3)
        time.sleep(LOADED_SECONDS)
        visit_preferences(found.running, "bruno")
        lift_hold(found.running)
        time.sleep(LOADED_SECONDS)
        yield found


@pytest.mark.parametrize("board", boards(), ids=lambda board: board.uid)
def test_every_query_has_series_or_its_panel_says_why_not(scraped: ScrapedProduct, board: Board) -> None:
    wrong = []
    for panel in board.panels():
        for query in panel.queries:
            expression = scraped.fill(scope(query.expr, board.variables))
            if not scraped.series(expression) and not panel.empty:
                wrong.append(f"{panel.title}: {expression}")
    assert wrong == []


@pytest.mark.parametrize("name", [name for name, *_ in ANNOTATIONS])
def test_every_annotation_has_happened(scraped: ScrapedProduct, name: str) -> None:
    (query,) = [each[1] for each in ANNOTATIONS if each[0] == name]
    assert name in MAY_HAVE_NONE
    assert scraped.series(scraped.fill(query)) != []


def test_every_rule_can_be_evaluated(scraped: ScrapedProduct) -> None:
    for path in sorted((FOLDER / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                scraped.series(rule["expr"])  # raises for a query that Prometheus refuses
    evaluated = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
    assert [rule["lastError"] for rule in evaluated if rule.get("lastError")] == []
    assert len(evaluated) > 40


def test_every_variable_has_values(scraped: ScrapedProduct) -> None:
    for board in boards():
        for label, metric in ({"job": "up"} | OF_LABELS | dict(board.variables)).items():
            assert scraped.ask(f"label/{label}/values", **{"match[]": metric}), (board.uid, label)
