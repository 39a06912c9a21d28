"""Prometheus itself reads our configuration, our rules and our metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main
import yaml

from deploy.grafana.metric_labels import metric_labels
from deploy.prometheus.__main__ import CHART_FOLDER, main
from deploy.prometheus.rule import RuleOptions
from deploy.prometheus.rule_files import CHART, rule_files
from services.kit.observability.metrics import MetricFamily
from tactful.__main__ import build_cli
from tests.support.command_line import RunningProduct
from tests.support.metrics_table import registry
from tests.support.prometheus_server import FOLDER
from tests.support.scraped_product import scraped_product
from tests.support.servers import ROOT, absent, wait_for

pytestmark = pytest.mark.wired

RUNBOOKS = ROOT / "deploy/runbooks"
PARTS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verified on"]
"""The headings of a runbook, in this order."""
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
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    name = f"{rule['alert'].lower()}.md"
    assert rule["annotations"]["runbook_url"] == f"http://localhost:8000/runbooks/{name}"
    text = (RUNBOOKS / name).read_text()
    assert text.startswith(f"# {rule['alert']}\n")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == PARTS
    assert names(text, known) == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_leads_to_a_panel_that_names_it(rule: dict[str, Any]) -> None:
    found = re.fullmatch(
        r"http://localhost:3000/d/([\w-]+)(?:\?viewPanel=(\d+))?", rule["annotations"]["dashboard_url"]
    )
    assert found is not None
    dashboard = json.loads((ROOT / f"deploy/grafana/dashboards/{found[1]}.json").read_text())
    assert dashboard["uid"] == found[1]
    if found[2] is None:
        assert rule["alert"] == "TactfulWatchdog"
        return
    panels = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]
    (panel,) = [each for each in panels if each["id"] == int(found[2])]
    assert rule["alert"] in panel["description"]


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_the_commands_of_a_runbook_exist(path: Path) -> None:
    program = typer.main.get_command(build_cli())
    for command in re.findall(r"(?:`|\$ )tactful ([a-z][a-z -]*)", path.read_text()):
        group: Any = program
        for word in command.split():
            if not hasattr(group, "commands"):
                break
            assert word in group.commands, f"tactful {command}"
            group = group.commands[word]


def test_the_files_are_those_of_their_description() -> None:
    for folder, options in ((FOLDER / "rules", RuleOptions()), (CHART_FOLDER, CHART)):
        assert {path.name: path.read_text("utf-8") for path in folder.glob("*.yml")} == rule_files(options), (
            "make rules"
        )


def test_an_installation_chooses_addresses_selectors_and_thresholds(tmp_path: Path) -> None:
    given = ["--runbooks", "https://one.example/runbooks/", "--dashboards", "https://grafana.example", "--job", "t-.*"]
    given += ["--namespace", "north", "--selector", 'cluster="a"', "--threshold", "dead_letter_hours=8", str(tmp_path)]
    assert main(given) == 0
    documents = [yaml.safe_load((tmp_path / name).read_text()) for name in ("alerts.yml", "objectives.yml")]
    written = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    assert all(rule["labels"]["namespace"] == "north" for rule in written)
    for rule in written:
        for name, matchers in re.findall(r"\b((?:tactful|http_server|up)\w*)(\{[^}]*\})?", rule["expr"]):
            if name in known_series() and not rule["expr"].count(f":{name}"):
                assert 'namespace="north", job=~"t-.*", cluster="a"' in matchers, (name, rule["expr"])
    (old,) = [rule for rule in written if rule.get("alert") == "TactfulDeadLettersOld"]
    assert "> 8 * 3600" in old["expr"]
    assert old["annotations"]["runbook_url"] == "https://one.example/runbooks/tactfuldeadlettersold.md"
    assert old["annotations"]["dashboard_url"].startswith("https://grafana.example/d/tactful-kafka?viewPanel=")
    promtool("check", "rules", tmp_path / "alerts.yml", tmp_path / "objectives.yml")


@pytest.mark.parametrize(
    "wrong", [["--threshold", "no_such=1"], ["--threshold", "dead_letter_hours"], ["--selector", "a"]]
)
def test_an_option_that_cannot_be_used_is_refused(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        main([*wrong, str(tmp_path / "rules")])
    assert refused.value.code == 2 and not (tmp_path / "rules").exists()


def known_series() -> set[str]:
    return set(metric_labels())


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
