"""The preference service as a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from services.clients.preference import PreferenceClient
from tests.support.servers import ROOT, free_port

pytestmark = pytest.mark.wired

KEYS = {
    "TACTFUL_ADMIN_KEY": "admin-key-for-the-tests",
    "TACTFUL_SERVICE_KEY": "service-key-for-tests",
    "TACTFUL_ADDRESS_KEY": "address-key-for-tests",
    "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9",
    "TACTFUL_KAFKA__BOOTSTRAP": "127.0.0.1:9",
}


def environment(directory: Path, url: str, **more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TACTFUL_")}
    return {**ours, **KEYS, "TACTFUL_DATABASE__URL": url, "TACTFUL_DATA_DIR": str(directory), **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "services.preference", *arguments]


@contextmanager
def process(directory: Path, port: int, bootstrap: str) -> Iterator[subprocess.Popen[bytes]]:
    url = f"sqlite+aiosqlite:///{directory / 'preference.db'}"
    env = environment(
        directory, url, TACTFUL_KAFKA__BOOTSTRAP=bootstrap, TACTFUL_KAFKA__EVENTS_TOPIC="preference.alone"
    )
    started = subprocess.Popen(command("--port", str(port)), env=env, cwd=ROOT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_ready(port: int) -> None:
    deadline = time.monotonic() + 120
    while not ready(port):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.integration
async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, kafka_bootstrap: str) -> None:
    """No orchestrator runs, so that nothing can be audited: opt-outs are taken all the same, other changes are not."""
    port = free_port()
    headers = {"Authorization": f"Bearer {KEYS['TACTFUL_ADMIN_KEY']}"}
    base = f"http://127.0.0.1:{port}"
    where = f"{base}/v1/preferences/c-1"
    with process(tmp_path, port, kafka_bootstrap) as first:
        wait_ready(port)
        refused = httpx.patch(where, json={"locale": "de"}, headers=headers, timeout=20)
        assert (refused.status_code, refused.json()["code"]) == (503, "not_audited")
        taken = httpx.post(f"{where}/optout", json={"channel": "sms"}, headers=headers, timeout=20)
        assert taken.status_code == 202, "in force; whether a message is being handed over, the orchestrator would know"
        first.kill()
        first.wait()
    with process(tmp_path, port, kafka_bootstrap) as second:
        wait_ready(port)
        async with httpx.AsyncClient(base_url=base) as http:
            kept = (await PreferenceClient(http, KEYS["TACTFUL_SERVICE_KEY"]).get_facts(["c-1"], {}))["c-1"]
        assert [each.channel for each in kept.opt_outs] == ["sms"]
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=20) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TACTFUL_SERVICE_KEY": ""}, "TACTFUL_SERVICE_KEY is not set"),
        ({"TACTFUL_ADDRESS_KEY": ""}, "TACTFUL_ADDRESS_KEY is not set"),
        ({"TACTFUL_DATABASE__URL": ""}, "TACTFUL_DATABASE__URL is not set"),
        ({"TACTFUL_KAFKA__BOOTSTRAP": ""}, "TACTFUL_KAFKA__BOOTSTRAP is not set"),
        ({"TACTFUL_SERVICES__ORCHESTRATOR_URL": ""}, "TACTFUL_SERVICES__ORCHESTRATOR_URL is not set"),
        ({"TACTFUL_SERVICE_KEYS": "x"}, "did you mean `TACTFUL_SERVICE_KEY`"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(tmp_path: Path, more: dict[str, str], words: str) -> None:
    env = environment(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'p.db'}", **more)
    done = subprocess.run(command("--port", "0"), env=env, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.integration
def test_a_server_whose_schema_is_not_at_its_newest_step_is_refused(tmp_path: Path, pg_url: str) -> None:
    env = environment(tmp_path, pg_url)
    done = subprocess.run(command("--port", "0"), env=env, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "tactful db upgrade" in done.stderr
