"""A Prometheus with our rules, and what it answers."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.servers import ROOT, absent, free_port, start_on_free_ports, wait_until_started

FOLDER = ROOT / "deploy/prometheus"
_FOR = re.compile(r"(?m)^( +for: )(\d+)([mh])$")
_CHOSEN = ("cluster", "namespace", "job", "channel", "class", "adapter", "topic", "group")
_SHORTEST_RATE = 15.0
_SECONDS = {"m": 60, "h": 3600}


@dataclass(frozen=True)
class Prometheus:
    """Its address, how often it scrapes (seconds), and since when (seconds since 1970)."""

    address: str
    interval: float
    began: float = field(default_factory=time.time)

    def ask(self, path: str, **parameters: str) -> Any:
        """A request to its API. Raises AssertionError with what it says of a query that it refuses."""
        answer = httpx.get(f"{self.address}/api/v1/{path}", params=parameters, timeout=30, trust_env=False)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def fill(self, query: str) -> str:
        """A dashboard's query as Grafana sends it when everything is chosen."""
        rate = f"{max(_SHORTEST_RATE, 4 * self.interval):g}s"
        choices = {"$__rate_interval": rate, "$__range": "5m", "${datasource}": "prometheus"}
        for variable, value in choices.items():
            query = query.replace(variable, value)
        for label in _CHOSEN:
            query = query.replace(f'"${label}"', '".*"')
        return query

    def series(self, query: str, step: float = 2) -> list[dict[str, Any]]:
        """The series of a query since it has scraped, those without a number apart."""
        until = time.time()
        found = self.ask("query_range", query=query, start=str(self.began), end=str(until), step=str(step))["result"]
        return [each for each in found if any(math.isfinite(float(value)) for _, value in each["values"])]

    def alerts(self) -> dict[str, str]:
        """The state of each alert that is not quiet: `firing`, or `pending` for less long than its rule asks."""
        found: dict[str, str] = {}
        for each in self.ask("alerts")["alerts"]:
            name, state = each["labels"]["alertname"], each["state"]
            found[name] = "firing" if "firing" in (state, found.get(name)) else state
        return found


def require_prometheus() -> None:
    """Skips the test where it is not installed; with CI=true it fails."""
    if shutil.which("prometheus") is None:
        absent("Prometheus is not installed (Debian package prometheus)")


@contextlib.contextmanager
def prometheus(
    directory: Path, targets: Mapping[str, Sequence[str]], interval: float = 1.0, hurry: float = 1.0
) -> Iterator[Prometheus]:
    """Runs it with our rules on these targets by their jobs, scraping and evaluating every `interval` seconds. Alerts
    fire `hurry` times sooner than their rules say. See `require_prometheus`.
    """
    require_prometheus()
    directory.mkdir(parents=True, exist_ok=True)
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    seconds = f"{interval:g}s"
    configuration["global"] = {"scrape_interval": seconds, "evaluation_interval": seconds}
    configuration["alerting"] = {}  # its Alertmanager is a host of the composition
    configuration["rule_files"] = [str(directory / "rules-*.yml")]
    configuration["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in targets.items()
    ]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    for path in (FOLDER / "rules").glob("*.yml"):
        (directory / f"rules-{path.name}").write_text(_hurried(path.read_text(), hurry))
    process, address = start_on_free_ports(lambda: _start(directory))
    try:
        yield Prometheus(address, interval)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _hurried(rules: str, hurry: float) -> str:
    """The rules with each `for` so many times shorter, to the millisecond."""
    if hurry == 1.0:
        return rules
    return _FOR.sub(lambda found: f"{found[1]}{int(found[2]) * _SECONDS[found[3]] * 1000 / hurry:.0f}ms", rules)


def _start(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The server with the configuration in `directory`, once it is ready."""
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--web.listen-address={address}"]
    command.append(f"--storage.tsdb.path={directory / 'series'}")
    path = directory / "prometheus.log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready() -> bool:
        try:
            return httpx.get(f"http://{address}/-/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    wait_until_started("Prometheus", process, ready, path)
    return process, f"http://{address}"
