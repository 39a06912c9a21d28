"""A running preference service, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.preference_service import Running, running


@pytest_asyncio.fixture
async def at_work(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(database_url, tmp_path) as service:
        yield service
