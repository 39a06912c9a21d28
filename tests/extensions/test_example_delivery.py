"""A channel and an adapter that live in one folder each work end to end: no file outside their folders knows them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.wired
@pytest.mark.parametrize("tests", ["tests/extensions/flyer_by_print_shop.py", "tests/contracts/test_channels.py"])
def test_the_example_channel_and_adapter_work_end_to_end(tests: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.extensions.register", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, tests], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
