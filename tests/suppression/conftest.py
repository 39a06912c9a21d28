"""A running suppression service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.suppression_service import Running, running


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    """The service at work, once on each database."""
    async with running(database_url, tmp_path) as service:
        yield service
