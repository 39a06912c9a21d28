"""A service that is told for how long to keep decisions deletes older ones by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.times import DAY
from services.clients.retention_settings import RetentionSettings
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired


async def rows(product: Live) -> int:
    async with product.database.read() as tx:
        counts = [await tx.row(f"SELECT count(*) AS n FROM {table}") for table in ("decision", "message", "handover")]
    return sum(row.n for row in counts if row is not None)


@pytest.mark.parametrize(("days", "left"), [(None, 3), (30, 0)])
async def test_what_is_older_is_gone_after_the_next_start(tmp_path: Path, days: int | None, left: int) -> None:
    kept = RetentionSettings(decisions=days)
    async with live(tmp_path, MONDAY, retention=kept) as product:
        await product.policy(policy())
        await product.campaign(campaign())
        await product.customer(customer())
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        assert await rows(product) == 3
    async with live(tmp_path, MONDAY + 29 * DAY, retention=kept) as product:
        await asyncio.sleep(0.5)
        assert await rows(product) == 3
    async with live(tmp_path, MONDAY + 31 * DAY, retention=kept) as product:
        async with asyncio.timeout(10):
            while await rows(product) != left:
                await asyncio.sleep(0.05)
        again = await product.ask("GET", "/v1/decisions")
        assert len(again["items"]) == min(left, 1)
