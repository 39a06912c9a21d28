"""The commands of docs/operations.md that lead from nothing to the first event, run as they are written."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import servers
from tests.support.prometheus_server import require_prometheus

pytestmark = [pytest.mark.integration, pytest.mark.wired, pytest.mark.timeout(300)]
PAGE = servers.ROOT / "docs/operations.md"
PORTS = ("9092", "9093", "5432", "8000", "8001", "8002", "9090")
INSTALLED = "make setup && . .venv/bin/activate"
DATA = "DATA=$PWD/.data/installation"


def commands() -> str:
    """What the page says to type after the packages are installed."""
    section = re.search(r"(?s)^## From nothing.*?(?=^## )", PAGE.read_text("utf-8"), re.MULTILINE)
    assert section is not None
    _, *blocks = re.findall(r"(?s)```sh\n(.*?)```", section[0])
    return "".join(blocks)


@pytest.fixture
def directory(server_directory: Path) -> Iterator[Path]:
    """A directory that PostgreSQL's user may enter."""
    path = server_directory / "from-nothing"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def adapted(text: str, directory: Path, ports: dict[str, str]) -> str:
    """The commands for these ports, in this directory, with the environment of the tests."""
    assert INSTALLED in text and DATA in text and all(port in text for port in ports)
    text = text.replace(INSTALLED, "PATH=$PWD/.venv/bin:$PATH").replace(DATA, f"DATA={directory}")
    return re.sub(r"\b(?:" + "|".join(ports) + r")\b", lambda found: ports[found[0]], text)


def test_a_stranger_gets_from_nothing_to_the_first_event(directory: Path) -> None:
    require_prometheus()
    if servers.postgres_binaries() is None:
        servers.absent("PostgreSQL is not installed (Debian package postgresql)")
    if (lacking := servers.kafka_lacks()) is not None:
        servers.absent(lacking)
    ports = {port: str(servers.free_port()) for port in PORTS}
    script = f"set -e\n{adapted(commands(), directory, ports)}\necho everything was typed\nwait\n"
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=servers.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        said: list[str] = []
        try:
            for line in shell.stdout:
                said.append(line)
                if line == "everything was typed\n":
                    break
            words = "".join(said)
            assert said and said[-1] == "everything was typed\n", words
            alive = httpx.get(f"http://127.0.0.1:{ports['9090']}/-/ready", trust_env=False)
            targets = httpx.get(f"http://127.0.0.1:{ports['9090']}/api/v1/targets", trust_env=False).json()
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
    assert "send  order-shipped -> anna on email: eligible" in words
    assert re.search(r"order-shipped +email +send +eligible", words)
    states = dict.fromkeys(re.findall(r"(?m)^(green|amber|red) +(orchestrator|preference|suppression|alerts) ", words))
    assert list(states) == [("green", each) for each in ("orchestrator", "preference", "suppression", "alerts")]
    assert alive.status_code == 200
    found = {each["labels"]["instance"] for each in targets["data"]["activeTargets"]}
    assert found == {f"127.0.0.1:{port}" for port in (8000, 8001, 8002)}, "the configuration has the page's own ports"
