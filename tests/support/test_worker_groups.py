"""Tests that share something stay in one worker, and are found again by their own ids."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import os
import pytest

@pytest.fixture(scope="module")
def server():
    with open({started!r}, "a") as file:
        file.write(os.environ.get("PYTEST_XDIST_WORKER", "alone") + chr(10))

@pytest.mark.parametrize("number", range(12))
def test_shares(server, number):
    assert number != 7

@pytest.mark.parametrize("number", range(12))
def test_shares_nothing(number):
    pass
"""

pytestmark = pytest.mark.wired


def run(directory: Path, *arguments: str) -> str:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.worker_groups",
        "-c",
        "pytest.ini",
        "-q",
        *arguments,
    ]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=100)
    return done.stdout + done.stderr


def test_a_group_stays_in_one_worker_and_what_failed_is_found_again(tmp_path: Path) -> None:
    started = tmp_path / "started"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_shared.py").write_text(TESTS.format(started=str(started)))
    said = run(tmp_path, "-n", "3", "--dist", "loadgroup")
    assert "1 failed, 23 passed" in said
    assert "FAILED test_shared.py::test_shares[7] " in said
    assert len(started.read_text().split()) == 1
    again = run(tmp_path, "--last-failed", "--last-failed-no-failures=none")
    assert "1 failed" in again and "passed" not in again
