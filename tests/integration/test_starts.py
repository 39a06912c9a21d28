"""What prevents the start of a service is one line that says what is wrong, where, and how to mend it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.kit.observability.build_info import VERSION
from tests.support import servers
from tests.support.fresh_databases import migrate

pytestmark = [pytest.mark.wired, pytest.mark.integration, pytest.mark.timeout(300)]

Start = Callable[..., str]
EVERYTHING = {
    "TACTFUL_KAFKA__EVENTS_TOPIC": "starts",
    "TACTFUL_ADMIN_KEY": "an-admin-key-of-the-tests",
    "TACTFUL_SERVICE_KEY": "a-service-key-of-the-tests",
    "TACTFUL_ADDRESS_KEY": "an-address-key-of-the-tests",
    "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:8000",
    "TACTFUL_SERVICES__PREFERENCE_URL": "http://127.0.0.1:8001",
    "TACTFUL_SERVICES__SUPPRESSION_URL": "http://127.0.0.1:8002",
    "TACTFUL_WEB__PUBLIC_URL": "https://tactful.example",
    "TACTFUL_WEB__PORT": "0",
}
NEEDED = {
    "orchestrator": {
        "DATABASE__URL",
        "KAFKA__BOOTSTRAP",
        "ADMIN_KEY",
        "SERVICE_KEY",
        "ADDRESS_KEY",
        "SERVICES__PREFERENCE_URL",
        "SERVICES__SUPPRESSION_URL",
        "WEB__PUBLIC_URL",
    },
    "preference": {"DATABASE__URL", "KAFKA__BOOTSTRAP", "SERVICE_KEY", "ADDRESS_KEY", "SERVICES__ORCHESTRATOR_URL"},
    "suppression": {"DATABASE__URL", "KAFKA__BOOTSTRAP", "SERVICE_KEY", "ADDRESS_KEY", "SERVICES__ORCHESTRATOR_URL"},
}


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Start]:
    """Starts a service in this process, which must refuse; returns all that it wrote, which must be one line."""
    level, handlers = logging.getLogger().level, list(logging.getLogger().handlers)
    for name in [name for name in os.environ if name.startswith("TACTFUL_")]:
        monkeypatch.delenv(name)

    def start(service: str = "orchestrator", **variables: str) -> str:
        for name, value in {**EVERYTHING, **variables}.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        assert import_module(f"services.{service}.__main__").main([]) == 1
        out, err = capfd.readouterr()
        assert out == "" and err.endswith("\n") and err.count("\n") == 1, err
        assert err.startswith(f"{service}: ") and "Traceback" not in err
        return err

    yield start
    logging.getLogger().setLevel(level)
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def database(pg_url: str) -> str:
    """An orchestrator's database at its newest step."""
    migrate(pg_url, "services.orchestrator")
    return pg_url


@pytest.mark.parametrize(("service", "name"), [(s, n) for s, names in NEEDED.items() for n in sorted(names)])
def test_each_missing_setting_is_named(refusal: Start, service: str, name: str) -> None:
    complete = {"TACTFUL_DATABASE__URL": "postgresql+asyncpg://db/t", "TACTFUL_KAFKA__BOOTSTRAP": "kafka:9092"}
    said = refusal(service, **{**complete, f"TACTFUL_{name}": ""})
    expected = f"{service}: TACTFUL_{name} is not set, and this process needs it: see deploy/.env.example\n"
    assert said == expected


@pytest.mark.parametrize("service", NEEDED)
def test_all_that_is_missing_is_one_line(refusal: Start, service: str) -> None:
    said = refusal(service, **dict.fromkeys(EVERYTHING, ""))
    assert all(f"TACTFUL_{name}" in said for name in NEEDED[service]) and " are not set" in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TACTFUL_KAFKA__BOOTSTRAP", "kafka", "list brokers as host:port"),
        ("TACTFUL_KAFKA__BOOTSTRAP", "kafka:port", "list brokers as host:port"),
        ("TACTFUL_SERVICES__PREFERENCE_URL", "preference:8001", "write a whole address"),
        ("TACTFUL_WEB__PUBLIC_URL", "tactful.example", "write a whole address"),
        ("TACTFUL_WEB__PORT", "http", "TACTFUL_WEB__PORT"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(refusal: Start, name: str, value: str, words: str) -> None:
    said = refusal(TACTFUL_DATABASE__URL="postgresql+asyncpg://db/t", **{name: value})
    assert name in said and words in said


def test_a_refused_database_names_host_and_port_and_no_password(refusal: Start) -> None:
    port = servers.free_port()
    url = f"postgresql+asyncpg://me:secret-password@127.0.0.1:{port}/t"
    said = refusal(TACTFUL_DATABASE__URL=url, TACTFUL_KAFKA__BOOTSTRAP="127.0.0.1:9")
    assert f"127.0.0.1:{port} (connection refused)" in said and "TACTFUL_DATABASE__URL" in said
    assert "secret" not in said


def test_a_database_that_lets_us_not_in_says_why(refusal: Start, pg_url: str) -> None:
    kafka = {"TACTFUL_KAFKA__BOOTSTRAP": "127.0.0.1:9"}
    base = pg_url.rpartition("/")[0]
    place = base.rpartition("@")[2]
    assert f"there is no database `missing` at {place}" in refusal(TACTFUL_DATABASE__URL=f"{base}/missing", **kafka)
    stranger = pg_url.replace("tactful@", "stranger:secret-password@")
    said = refusal(TACTFUL_DATABASE__URL=stranger, **kafka)
    assert f"{place} does not let stranger in" in said and "secret" not in said
    assert "`tactful db upgrade --service orchestrator`" in refusal(TACTFUL_DATABASE__URL=pg_url, **kafka)
    assert "does not take: colour" in refusal(TACTFUL_DATABASE__URL=f"{pg_url}?colour=red", **kafka)
    unknown = "postgresql+asyncpg://me@nowhere.invalid/t"
    assert "nowhere.invalid:5432, is unknown" in refusal(TACTFUL_DATABASE__URL=unknown, **kafka)


def test_a_schema_of_a_newer_version_is_refused(refusal: Start, database: str) -> None:
    asyncio.run(_set_step(database, "9999"))
    said = refusal(TACTFUL_DATABASE__URL=database, TACTFUL_KAFKA__BOOTSTRAP="127.0.0.1:9")
    assert "at step 9999" in said and "start the newer version" in said


async def _set_step(url: str, step: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("UPDATE schema_version SET version_num = $1", step)
    await connection.close()


def test_a_broker_that_does_not_answer_is_named(refusal: Start, database: str) -> None:
    port = servers.free_port()
    said = refusal(TACTFUL_DATABASE__URL=database, TACTFUL_KAFKA__BOOTSTRAP=f"127.0.0.1:{port}")
    assert f"Kafka does not answer at 127.0.0.1:{port}" in said and "TACTFUL_KAFKA__BOOTSTRAP" in said


def test_a_port_in_use_is_refused_before_anything_is_started(refusal: Start, database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refusal(TACTFUL_DATABASE__URL=database, TACTFUL_KAFKA__BOOTSTRAP="kafka:9092", TACTFUL_WEB__PORT=port)
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in said


def test_an_address_that_is_not_of_this_machine_is_refused(refusal: Start) -> None:
    address = {"TACTFUL_DATABASE__URL": "postgresql+asyncpg://db/t", "TACTFUL_KAFKA__BOOTSTRAP": "kafka:9092"}
    said = refusal(**address, TACTFUL_WEB__HOST="999.1.1.1")
    assert "cannot listen on 999.1.1.1:0 (" in said and "TACTFUL_WEB__HOST must be an address of this machine" in said
    assert "stop the process" not in said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"TACTFUL_ADAPTERS__EMAIL": "pigeon"}, "TACTFUL_ADAPTERS__EMAIL: there is no adapter `pigeon`: use "),
        ({"TACTFUL_WEBHOOK__URL": "hooks"}, "TACTFUL_WEBHOOK__URL: a URL to call is absolute"),
        ({"TACTFUL_WEBHOOK__URL": "https://169.254.169.254/"}, "TACTFUL_WEBHOOK__URL: 169.254.169.254 is an address"),
        ({"TACTFUL_OUTBOUND__NETWORKS": "10.0.0.1/8"}, "TACTFUL_OUTBOUND__NETWORKS: `10.0.0.1/8` is no network"),
        ({"TACTFUL_WEBHOOK__SECRET": "no-secret-of-a-webhook"}, "TACTFUL_WEBHOOK__SECRET: a webhook secret is whsec_"),
    ],
)
def test_what_is_wrong_with_an_adapter_names_the_setting(
    refusal: Start, database: str, kafka_bootstrap: str, settings: dict[str, str], words: str
) -> None:
    servers_here = {"TACTFUL_DATABASE__URL": database, "TACTFUL_KAFKA__BOOTSTRAP": kafka_bootstrap}
    hook = {
        "TACTFUL_ADAPTERS__EMAIL": "webhook",
        "TACTFUL_WEBHOOK__URL": "https://hooks.example/m",
        "TACTFUL_WEBHOOK__SECRET": "whsec_" + "a" * 32,
    }
    said = refusal(**{**servers_here, **hook, **settings})
    assert words in said and "no-secret" not in said


def test_an_adapter_that_is_not_configured_is_refused(refusal: Start, database: str, kafka_bootstrap: str) -> None:
    adapter = {"TACTFUL_ADAPTERS__EMAIL": "webhook"}
    said = refusal(TACTFUL_DATABASE__URL=database, TACTFUL_KAFKA__BOOTSTRAP=kafka_bootstrap, **adapter)
    assert "TACTFUL_WEBHOOK__URL is not set" in said


def test_a_life_is_four_lines(database: str, kafka_bootstrap: str, tmp_path: Path) -> None:
    port = servers.free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TACTFUL_")}
    variables = {
        **plain,
        **EVERYTHING,
        "TACTFUL_DATABASE__URL": database,
        "TACTFUL_KAFKA__BOOTSTRAP": kafka_bootstrap,
        "TACTFUL_WEB__PORT": str(port),
    }
    command = [sys.executable, "-m", "services.orchestrator", "--role", "api"]
    process = subprocess.Popen(command, env=variables, cwd=servers.ROOT, stderr=subprocess.PIPE, text=True)

    def is_ready() -> bool:
        return servers.answers(port) and httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200

    servers.wait_for(is_ready, "the orchestrator", 120)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    _, written = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [json.loads(line) for line in written.splitlines()]
    ours = {line["action"]: line for line in lines if line["action"] not in ("library", "dependency_lost")}
    assert list(ours) == ["started", "ready", "stopping", "stopped"], written
    started = ours["started"]
    assert (started["version"], started["role"], started["port"]) == (VERSION, "api", port)
    assert started["database"] == database.rpartition("@")[2] and started["kafka"] == kafka_bootstrap
    assert started["schema"].isdigit()
    assert ours["stopping"]["reason"] == "signal SIGTERM"
    assert ours["stopped"]["jobs_cut_off"] == [] and ours["stopped"]["batch_dropped"] is False
