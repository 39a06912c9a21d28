"""A rule that lives in one folder works end to end: no file outside the folder knows it."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "rules" / "working_days"
ROOT = Path(__file__).parents[2]


@pytest.mark.wired
def test_the_example_rule_works_end_to_end() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.extensions.register", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(FOLDER / "end_to_end.py")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
