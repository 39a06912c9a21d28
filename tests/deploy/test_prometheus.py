"""Prometheus itself reads our configuration, our rules and our metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from services.kit.observability.metrics import MetricFamily
from tests.support.command_line import RunningProduct
from tests.support.metrics_table import registry
from tests.support.scraped_product import FOLDER, scraped_product
from tests.support.servers import ROOT, absent, wait_for

pytestmark = pytest.mark.wired

RUNBOOKS = ROOT / "deploy/runbooks"
PARTS = ("## Meaning", "## Impact", "## Diagnosis", "## Mitigation")
_SERIES = re.compile(r"\b(?:tactful|http_server)_[a-z_]+\b")
_OF_HISTOGRAMS = ("_bucket", "_count", "_sum")


def rules() -> list[dict[str, Any]]:
    files = sorted((FOLDER / "rules").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]


def promtool(*arguments: str | Path) -> str:
    """Run it; fails with what it says."""
    if shutil.which("promtool") is None:
        absent("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(text: str, known: dict[str, str]) -> list[str]:
    """The names of series in a text that no process of ours has."""
    wrong = []
    for name in _SERIES.findall(text):
        base = next((name.removesuffix(end) for end in _OF_HISTOGRAMS if name.endswith(end)), name)
        if name not in known and known.get(base) != "histogram":
            wrong.append(name)
    return wrong


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Our metrics: name -> type."""
    families = registry(tmp_path_factory.mktemp("metrics")).families
    return {name: family.metric._type for name, family in families.items() if isinstance(family, MetricFamily)}


@pytest.mark.integration
def test_prometheus_can_read_configuration_and_rules() -> None:
    promtool("check", "config", FOLDER / "prometheus.yml")
    promtool("check", "rules", *sorted((FOLDER / "rules").glob("*.yml")))


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_alerts_fire_when_they_should_and_not_otherwise() -> None:
    promtool("test", "rules", *sorted((FOLDER / "tests").glob("*.yml")))


def test_every_alert_has_a_test() -> None:
    tests = "".join(file.read_text() for file in (FOLDER / "tests").glob("*.yml"))
    assert [rule["alert"] for rule in ALERTS if f'"{rule["alert"]}"' not in tests] == []


def test_rules_name_only_metrics_that_exist(known: dict[str, str]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert names(re.sub(r"slo:\w+:\w+", "", rule["expr"]), known) == [], rule
        assert set(re.findall(r"slo:\w+:\w+", rule["expr"])) <= recorded, rule


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_what_it_means_and_what_to_do(rule: dict[str, Any], known: dict[str, str]) -> None:
    assert rule["alert"].startswith("Tactful")
    assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    name = f"{rule['alert'].lower()}.md"
    assert rule["annotations"]["runbook_url"] == f"http://localhost:8000/runbooks/{name}"
    text = (RUNBOOKS / name).read_text()
    assert text.startswith(f"# {rule['alert']}\n")
    assert [part for part in PARTS if part not in text] == []
    assert names(text, known) == []


def test_every_runbook_has_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {rule["alert"].lower() for rule in ALERTS}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[RunningProduct, str]]:
    """A running product, and the address of a Prometheus that scrapes it with our rules."""
    with scraped_product(tmp_path) as found:
        yield found.running, f"{found.address}/api/v1"


@pytest.mark.integration
@pytest.mark.timeout(240)
def test_a_real_prometheus_scrapes_the_product(watched: tuple[RunningProduct, str]) -> None:
    running, address = watched

    def ask(path: str, **params: str) -> Any:
        try:
            answer = httpx.get(f"{address}/{path}", params=params, trust_env=False)
        except httpx.TransportError:
            return {}
        return answer.json()["data"] if answer.status_code == 200 else {}

    def answered(query: str) -> bool:
        return bool(ask("query", query=query).get("result"))

    wait_for(lambda: answered("up == 1"), "the target")
    (target,) = ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    running.ask("GET", "/v1/campaigns")
    wait_for(lambda: answered('http_server_request_duration_seconds_count{http_route="/v1/campaigns"} > 0'), "a count")
    wait_for(lambda: answered("tactful_build_info == 1"), "the build")
    wait_for(lambda: answered('tactful_rules_loaded_timestamp_seconds{kind="campaign"} > 0'), "the rules")
    wait_for(lambda: answered('ALERTS{alertname="TactfulWatchdog", alertstate="firing"}'), "the watchdog")
    evaluated = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    assert [rule["lastError"] for rule in evaluated if rule.get("lastError")] == []
