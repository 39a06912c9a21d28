"""Deletes messages that have been in an inbox for longer than `keep_days`."""

import asyncio
from typing import Final

from schemas.times import DAY
from services.orchestrator.delivery.adapters.app_inbox import store
from services.orchestrator.delivery.adapters.definition import RetentionContext

PAUSE_SECONDS: Final = 0.05
"""Between two transactions, so that a first run over many messages leaves room for everything else."""


async def expire_kept(context: RetentionContext) -> None:
    """Delete until nothing is left to delete. Raises Transient."""
    before = context.clock.now() - context.settings.keep_days * DAY
    deleted = store.EXPIRED_AT_ONCE
    while deleted == store.EXPIRED_AT_ONCE:
        async with context.database.write() as tx:
            deleted = await store.delete_old_messages(tx, before)
        await asyncio.sleep(PAUSE_SECONDS)
