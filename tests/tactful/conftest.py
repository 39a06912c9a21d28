"""Fixtures: one `tactful dev` for all tests of this folder. Each test uses customers and campaigns of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import NOON, RunningProduct, fill, product


@pytest.fixture(scope="package")
def tactful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProduct]:
    """`tactful dev` at noon on 2 March 2026 with the policy, campaigns and customers of examples/, all applied."""
    directory = tmp_path_factory.mktemp("tactful") / "data"
    with product(directory, "--clock", NOON) as running:
        fill(running)
        yield running


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """Settings of an address at which no server listens."""
    return {"TACTFUL_DATA_DIR": str(tmp_path), "TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9"}
