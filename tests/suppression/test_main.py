"""The suppression service as a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support import servers
from tests.support.suppression_service import ADDRESS_KEY, ADMIN, SERVICE

pytestmark = pytest.mark.wired


def environment(directory: Path, **change: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TACTFUL_")}
    return kept | {
        "TACTFUL_DATABASE__URL": f"sqlite+aiosqlite:///{directory / 'suppression.db'}",
        "TACTFUL_DATA_DIR": str(directory),
        "TACTFUL_ADMIN_KEY": ADMIN,
        "TACTFUL_SERVICE_KEY": SERVICE,
        "TACTFUL_ADDRESS_KEY": ADDRESS_KEY,
        "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9",
        "TACTFUL_KAFKA__BOOTSTRAP": "127.0.0.1:9",
        "TACTFUL_KAFKA__EVENTS_TOPIC": "suppression.alone",
        **change,
    }


def process(port: int, variables: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.suppression", "--port", str(port)]
    return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)


@pytest.mark.integration
def test_the_service_starts_alone_keeps_what_it_was_told_and_ends_cleanly(tmp_path: Path, kafka_bootstrap: str) -> None:
    variables = environment(tmp_path, TACTFUL_KAFKA__BOOTSTRAP=kafka_bootstrap)
    headers = {"Authorization": f"Bearer {ADMIN}"}
    port = servers.free_port()
    base = f"http://127.0.0.1:{port}"
    first = process(port, variables)
    servers.wait_for(lambda: servers.answers(port) and httpx.get(f"{base}/readyz").status_code == 200, "suppression")
    entry = {"customer": "c-1", "reason": "manual"}
    answer = httpx.post(f"{base}/v1/suppressions", json=entry, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["in_flight"]) == (202, None)  # no orchestrator runs
    first.kill()
    first.communicate()
    second = process(port, variables)
    servers.wait_for(lambda: servers.answers(port), "suppression")
    refused = httpx.get(f"{base}/v1/suppressions", headers=headers, timeout=20)
    assert (refused.status_code, refused.json()["code"]) == (503, "not_audited")  # the orchestrator has the audit log
    assert 'tactful_suppression_entries{list="manual"} 1.0' in httpx.get(f"{base}/metrics").text
    second.send_signal(signal.SIGTERM)
    began = time.monotonic()
    second.communicate(timeout=30)
    assert second.returncode == 0 and time.monotonic() - began < 20
    third = process(port, {**variables, "TACTFUL_ADDRESS_KEY": "another-key-than-before"})
    _, said = third.communicate(timeout=60)
    assert third.returncode == 1 and "TACTFUL_ADDRESS_KEY is not the key" in said


@pytest.mark.parametrize(
    "missing",
    [
        "TACTFUL_DATABASE__URL",
        "TACTFUL_KAFKA__BOOTSTRAP",
        "TACTFUL_SERVICE_KEY",
        "TACTFUL_ADDRESS_KEY",
        "TACTFUL_SERVICES__ORCHESTRATOR_URL",
    ],
)
def test_without_a_setting_that_it_needs_it_says_so_in_one_line(tmp_path: Path, missing: str) -> None:
    variables = environment(tmp_path)
    del variables[missing]
    done = process(0, variables)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 1
    assert said == f"suppression: {missing} is not set, and this process needs it: see deploy/.env.example\n"
