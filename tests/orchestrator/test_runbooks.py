"""Runbooks over HTTP: what an alert's `runbook_url` leads to."""

from pathlib import Path
from urllib.parse import urlsplit

import yaml

from services.orchestrator.runbooks import runbook_routes
from tests.support.http_apps import app_of, client_of
from tests.support.servers import ROOT

ALERTS = ROOT / "deploy/prometheus/rules/alerts.yml"


def runbook_addresses(path: Path) -> set[str]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}


async def test_every_alert_leads_to_its_runbook_without_a_key() -> None:
    async with client_of(app_of(runbook_routes())) as client:
        for address in runbook_addresses(ALERTS):
            answer = await client.get(urlsplit(address).path)
            assert answer.status_code == 200 and "## Mitigation" in answer.text, address


async def test_an_unknown_runbook_is_refused_and_the_others_are_named() -> None:
    async with client_of(app_of(runbook_routes())) as client:
        answer = await client.get("/runbooks/no-such.md")
    assert answer.status_code == 404 and "tactfuldeadlettersold.md" in answer.json()["detail"]


async def test_an_installation_without_the_files_says_so(tmp_path: Path) -> None:
    async with client_of(app_of(runbook_routes(tmp_path))) as client:
        answer = await client.get("/runbooks/any.md")
    assert "none in this installation" in answer.json()["detail"]
