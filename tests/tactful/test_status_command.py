"""`tactful status`, and what `tactful doctor` says of lag, certificates and alerts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.command_line import RunningProduct, environment, heed_interrupts, run
from tests.support.servers import free_port

pytestmark = pytest.mark.wired

WATCHDOG = {"alertname": "TactfulWatchdog", "severity": "none"}


@contextmanager
def answering(bodies: Mapping[str, str]) -> Iterator[str]:
    """A server that answers these paths so, and all others with 404; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def firing(*labels: Mapping[str, str], state: str = "firing") -> dict[str, str]:
    """What a Prometheus answers in which these alerts fire."""
    alerts = [{"labels": each, "state": state} for each in labels]
    return {"/api/v1/alerts": json.dumps({"status": "success", "data": {"alerts": alerts}})}


def found(given: Mapping[str, str], command: str = "status", *more: str) -> dict[str, dict[str, Any]]:
    done = run(command, *more, "-o", "json", given=dict(given))
    red = any(each["state"] == "red" for each in done.data)
    assert done.code == int(red), done.screen
    return {each["check"]: each for each in done.data}


def test_a_running_product_is_green_and_its_consumers_have_caught_up(tactful: RunningProduct) -> None:
    with answering(firing(WATCHDOG)) as prometheus:
        given = {"TACTFUL_DATA_DIR": str(tactful.directory)}
        checks = found(given, "status", "--prometheus", prometheus)
        assert {each["state"] for each in checks.values()} == {"green"}, checks
        groups = {f"lag tactful-{name}" for name in ("orchestrator", "preference", "suppression")}
        assert set(checks) >= {"services", "alerts", "dead letters orchestrator", "adapter sandbox", *groups}
        assert re.fullmatch(
            r"\S+( \(\w+\))?, schema orchestrator-\d+, preference-\d+, suppression-\d+",
            checks["version services"]["detail"],
        )
        examined = found(given, "doctor", "--prometheus", prometheus)
        assert set(examined) >= {"alerts", *groups}
    table = run("status", given=given)
    assert table.code == 0 and max(map(len, table.out.splitlines())) <= 80


@pytest.mark.parametrize(("behind", "state"), [(10, "green"), (120, "amber"), (900, "red")])
def test_a_consumer_that_is_behind_is_seen(nothing: dict[str, str], behind: int, state: str) -> None:
    name = "tactful_consumer_next_record_timestamp_seconds"
    lines = [f"# TYPE {name} gauge", f'{name}{{group="g",topic="t"}} {time.time() - behind}']
    lines.append(f'{name}{{group="g",topic="u"}} 0')
    with answering({"/metrics": "\n".join(lines) + "\n"}) as address:
        checks = found({**nothing, "TACTFUL_SERVICES__PREFERENCE_URL": address})
    assert checks["lag g"]["state"] == state
    assert checks["lag orchestrator"]["state"] == "amber" and "unknown" in checks["lag orchestrator"]["detail"]
    assert checks["orchestrator"]["state"] == "red"


def test_services_of_different_versions_are_seen(nothing: dict[str, str]) -> None:
    def build(version: str) -> dict[str, str]:
        return {"/metrics": f'tactful_build_info{{version="{version}",commit="unknown",schema_revision="0014"}} 1\n'}

    def named(service: str) -> str:
        return f"TACTFUL_SERVICES__{service.upper()}_URL"

    with answering(build("1.0")) as first, answering(build("1.1")) as second:
        same = found({**nothing, named("preference"): first, named("suppression"): first})
        mixed = found({**nothing, named("preference"): first, named("suppression"): second})
    assert [same[f"version {name}"]["state"] for name in ("orchestrator", "preference")] == ["amber", "green"]
    assert same["version preference"]["detail"] == "1.0, schema 0014"
    assert mixed["version suppression"]["state"] == "amber" and "one version" in mixed["version suppression"]["mend"]


@pytest.mark.parametrize(
    ("state", "waiting", "seen"),
    [
        *(("serving", 3, "green"), ("no_dispatcher", 0, "green"), ("no_dispatcher", 1, "red")),
        *(("throttled", 1, "amber"), ("stalled", 0, "red"), ("failing", 1, "red"), ("account", 0, "red")),
    ],
)
def test_an_adapter_that_gets_nothing_is_seen(nothing: dict[str, str], state: str, waiting: int, seen: str) -> None:
    adapter = {"name": "mails", "kind": "smtp", "state": state, "waiting": waiting, "until": None}
    with answering({"/v1/adapters": json.dumps({"items": [adapter]})}) as address:
        given = {
            **nothing,
            "TACTFUL_SERVICES__ORCHESTRATOR_URL": address,
            "TACTFUL_ADMIN_KEY": "a-key-of-this-test-0123",
        }
        check = found(given)["adapter mails"]
    assert check["state"] == seen and f"{waiting} waiting" in check["detail"]
    assert (check["mend"] is None) == (seen == "green")


def test_a_certificate_says_how_many_days_it_lasts(nothing: dict[str, str], tmp_path: Path) -> None:
    signed = Authority(tmp_path / "authority").sign("server")
    web = {"TACTFUL_WEB__CERTIFICATE_FILE": str(signed.certificate), "TACTFUL_WEB__KEY_FILE": str(signed.key)}
    check = found({**nothing, **web})["certificate web"]
    assert check["state"] == "amber" and check["detail"].endswith("lasts 2 days") and "renew" in check["mend"]
    signed.certificate.write_text("no certificate")
    assert found({**nothing, **web})["certificate web"]["state"] == "red"
    assert "certificate web" not in found(nothing)


@pytest.mark.parametrize(
    ("alerts", "state", "detail"),
    [
        ([WATCHDOG], "green", "none fires"),
        ([WATCHDOG, {"alertname": "Other", "severity": "critical"}], "green", "none fires"),
        ([WATCHDOG, {"alertname": "TactfulRulesStale", "severity": "warning"}], "amber", "TactfulRulesStale"),
        ([WATCHDOG, {"alertname": "TactfulTargetDown", "severity": "critical"}], "red", "TactfulTargetDown"),
        ([], "red", "the rules are not evaluated"),
    ],
    ids=["none", "of others", "warning", "critical", "no rules"],
)
def test_alerts_that_fire_are_told(
    nothing: dict[str, str], alerts: list[dict[str, str]], state: str, detail: str
) -> None:
    with answering(firing(*alerts)) as prometheus:
        check = found(nothing, "status", "--prometheus", prometheus)["alerts"]
    assert check["state"] == state and detail in check["detail"]


def test_an_address_that_is_no_prometheus_is_red(nothing: dict[str, str]) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with answering({"/api/v1/alerts": "[]"}) as other:
        for address in (nobody, other, "no address"):
            check = found(nothing, "status", "--prometheus", address)["alerts"]
            assert check["state"] == "red" and address in check["detail"]


def test_watch_asks_again_until_it_is_interrupted(nothing: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tactful", "status", "--watch", "1"]
    given = environment(**nothing)
    with subprocess.Popen(
        command, env=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.startswith("state ")
            if seen == 2:
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        assert process.wait(timeout=60) == 130
