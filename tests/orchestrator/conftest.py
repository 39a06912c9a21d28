"""Fixtures of the orchestrator's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.orchestrator_app import World, world


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The orchestrator's API over a fresh database, once of each dialect."""
    async with world(database_url, tmp_path) as everything:
        yield everything
