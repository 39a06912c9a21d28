"""For tests/contracts/test_adapters.py."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.extensions.adapters.print_shop.adapter import PrintShopAdapter


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[PrintShopAdapter]:
    """The adapter, with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield PrintShopAdapter(Path(folder))
