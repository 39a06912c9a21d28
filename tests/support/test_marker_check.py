"""Tests without a marker that start a server or open a database are found, and only these."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.marker_check import started_by
from tests.support.servers import ROOT

EXAMPLE = """
import sqlite3
import pytest

@pytest.fixture(scope="module")
def shared():
    return sqlite3.connect(":memory:")

def test_opens(): sqlite3.connect(":memory:").close()
@pytest.mark.wired
def test_opens_and_is_marked(): sqlite3.connect(":memory:").close()
@pytest.mark.wired
def test_first_user(shared): pass
def test_second_user(shared): pass
@pytest.mark.integration
def test_third_user(shared): pass
def test_pure(): pass
"""


def test_a_test_without_its_marker_fails(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(EXAMPLE)
    options = ["-p", "tests.support.marker_check", "-c", str(ROOT / "pyproject.toml"), "-rE", "-W", "ignore"]
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = {line.split("::")[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("ERROR ")}
    assert failed == {"test_opens", "test_second_user"}, done.stdout
    assert "6 passed, 2 errors" in done.stdout


@pytest.mark.parametrize(
    ("command", "is_server"),
    [
        (["/venv/bin/python", "-m", "services.preference", "--port", "1"], True),
        (["/venv/bin/python", "-m", "tactful", "dev"], True),
        (["/usr/lib/postgresql/15/bin/pg_ctl", "start"], True),
        (["deploy/kafka/run.sh", "data"], True),
        (["/venv/bin/python", "-c", "print()"], False),
        (["/sbin/ldconfig", "-p"], False),
    ],
)
def test_which_commands_start_a_server(command: list[str], is_server: bool) -> None:
    assert (started_by("subprocess.Popen", (command[0], command, None, None)) is not None) == is_server
