"""For tests/contracts/test_adapters.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.orchestrator.delivery.adapters.definition import Adapter


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """The adapter, in front of a server that plays Pager."""
    from tests.extensions.texts_by_pager import ACCOUNT  # reads the registries, so `register` must have been first
    from tests.support.mail_api_fake import contract_adapter

    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter
