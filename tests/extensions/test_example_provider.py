"""An adapter outside the source tree that talks to a provider: its own tests, and the contract of adapters."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGISTER = ["-p", "tests.extensions.register", "-p", "no:cacheprovider"]
IN_CONTRACT = ["-k", "pager or print_shop", "tests/contracts/test_adapters.py"]


@pytest.mark.wired
@pytest.mark.parametrize("tests", [["tests/extensions/texts_by_pager.py"], IN_CONTRACT])
def test_the_example_adapter_of_a_provider_works(tests: list[str]) -> None:
    command = [sys.executable, "-m", "pytest", *REGISTER, *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout and "skipped" not in done.stdout
