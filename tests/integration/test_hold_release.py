"""A release on PostgreSQL: several schedulers share it, and its pace stays one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.times import MINUTE, SECOND
from services.development.all_services import SERVICE_NAMES
from services.kit.observability.metrics import Registry
from services.orchestrator.holds.release import HoldMetrics, HoldReleaser
from tests.support.document_builders import MONDAY
from tests.support.hold_actions import after, hold, lift, offers, plan, sent, shop
from tests.support.live_product import live
from tests.support.servers import Postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def test_schedulers_that_release_at_once_keep_one_pace(postgres_server: Postgres, tmp_path: Path) -> None:
    urls = {name: postgres_server.database() for name in SERVICE_NAMES}
    async with live(tmp_path, MONDAY, urls) as product:
        await shop(product)
        await hold(product)
        await offers(product, 12)
        assert (await plan(product))["after_caps"]["send"] == 12
        await lift(product, rate=2)
        parts = product.together.orchestrator.components
        suppression = parts.facts_reader._suppression
        several = [
            HoldReleaser(product.database, suppression, product.clock, HoldMetrics(Registry()))  # type: ignore[arg-type]
            for _ in range(4)
        ]
        await asyncio.gather(*(each.release_ended_holds() for each in several))
        async with product.database.read() as tx:
            due = [row.due for row in await tx.rows("SELECT due FROM timer ORDER BY due")]
            left = await tx.rows("SELECT 1 FROM parked")
        assert [(each - MONDAY) / SECOND for each in due] == [0, 0, *(place / 2 for place in range(1, 11))]
        assert not left
        await product.at(MONDAY + MINUTE)
        assert await sent(product) == after(0, 0, *(place / 2 for place in range(1, 11)))
