"""Grafana in compose.yml finds the dashboards, and the Prometheus that has their numbers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import FOLDER
from deploy.grafana.variables import CONSOLE, RUNBOOKS
from tests.support.servers import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))
GRAFANA = COMPOSE["services"]["grafana"]
PROVISIONING = DEPLOY / "grafana/provisioning"


def read(name: str) -> Any:
    return yaml.safe_load((PROVISIONING / name).read_text("utf-8"))


@pytest.fixture
def mounts() -> dict[str, str]:
    """Path in the container -> path beside compose.yml."""
    volumes = [volume.split(":") for volume in GRAFANA["volumes"]]
    return {volume[1]: volume[0] for volume in volumes}


def test_the_dashboards_are_where_their_provider_looks(mounts: dict[str, str]) -> None:
    (provider,) = read("dashboards/tactful.yml")["providers"]
    assert (DEPLOY / mounts[provider["options"]["path"]]).resolve() == FOLDER.resolve()
    assert (DEPLOY / mounts["/etc/grafana/provisioning"]).resolve() == PROVISIONING.resolve()
    home = GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (FOLDER / home.removeprefix(provider["options"]["path"] + "/")).exists()


def test_the_data_source_is_the_prometheus_beside_it() -> None:
    (source,) = read("datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["isDefault"] is True
    scraping = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    assert source["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"]


def test_links_lead_to_where_compose_publishes_the_orchestrator() -> None:
    assert COMPOSE["services"]["orchestrator"]["ports"] == ["127.0.0.1:8000:8000"]
    assert (RUNBOOKS, CONSOLE) == ("http://localhost:8000/runbooks", "http://localhost:8000/console")


def test_the_password_is_a_secret_of_grafana_alone() -> None:
    assert GRAFANA["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana-password"
    assert COMPOSE["secrets"]["grafana-password"] == {"file": "./secrets/grafana-password"}
    assert [name for name, each in COMPOSE["services"].items() if "grafana-password" in each.get("secrets", [])] == [
        "grafana"
    ]
