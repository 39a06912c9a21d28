"""A process that serves the inboxes in a database: `python -m tests.support.app_inbox_process URL PORT SECRET`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from pydantic import SecretStr

from schemas.service_api import AddressLift, ProviderEntry
from services.kit.db.database import Database
from services.kit.http.server import create_server
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import SystemClock
from services.orchestrator.delivery.adapters.app_inbox.api import create_routes
from services.orchestrator.delivery.adapters.app_inbox.declaration import AppInboxSettings
from services.orchestrator.delivery.adapters.definition import AdapterApiContext
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from tests.support.http_apps import app_of


class NoEntries:
    """What customers do in their inboxes forbids nothing."""

    async def add_entries(self, entries: Sequence[ProviderEntry], added_by: str) -> None:
        raise AssertionError(entries)

    async def lift_entries(
        self, lifts: Sequence[AddressLift], reason: str, added_by: str, only_then: bool = False
    ) -> None:
        raise AssertionError(lifts)


async def probe_forever(database: Database) -> None:
    """As a service does: the connection of the probes listens for notifications."""
    while True:
        await database.probe()
        await asyncio.sleep(1)


async def serve(url: str, port: int, secret: str) -> None:
    """Serve until a signal arrives."""
    database, clock, health = Database.open(url, pool=4), SystemClock(), Health()
    intake = ReceiptIntake(database, NoEntries(), clock, ReceiptMetrics(Registry(), ["app_inbox"]))

    def stop() -> None:
        health.stopping = True

    context = AdapterApiContext(
        lambda: AppInboxSettings(secret=SecretStr(secret)),
        database,
        clock,
        lambda statements: intake.take("app_inbox", statements),
        lambda: health.stopping,
    )
    app = app_of(create_routes(context), health=health)
    health.started = True
    probing = asyncio.create_task(probe_forever(database))
    await create_server(app, host="127.0.0.1", port=port, drain=5, on_shutdown=stop).serve()
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
