"""Makes requested exports, one at a time, page by page.

A page is a short read of one service and a short write here, with a pause after it, so that a customer of whom much is
known holds nothing up. Each write locks the export first: an erasure that has deleted it ends the work.
One that was under way when its process died is begun anew.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from schemas.subject_export import ExportPage, ExportPosition, ExportRequest
from services.kit.db.database import Database
from services.kit.errors import Permanent, Transient
from services.kit.observability.logs import log, log_error
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import wait_for_any
from services.orchestrator.subject_export import store
from services.orchestrator.subject_export.store import SubjectExport

IDLE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.02
MOST_PAGES: Final = 20_000
"""Pages of an export: 50 rows or about a megabyte each. What is more is no file that anybody could read."""

ReadPage = Callable[[ExportRequest], Awaitable[ExportPage]]
FindHashes = Callable[[str], Awaitable[tuple[str, ...]]]


class ExportRunner:
    """Takes exports from the queue. `services`: what reads a page of each; `find_hashes`: those of a customer's
    addresses.
    """

    def __init__(
        self, database: Database, clock: Clock, services: Mapping[str, ReadPage], find_hashes: FindHashes
    ) -> None:
        self._database = database
        self._clock = clock
        self._services = services
        self._find_hashes = find_hashes
        self._owner = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._requested = database.notifications.listen(store.EXPORT_REQUESTED)

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Make requested exports until stopped."""
        while not stop.is_set():
            requested = self._requested.next_event()
            try:
                done = await self.run_next()
            except Transient as error:
                log_error("export_waits", error, "warning")
                done = False
            if not done:
                await wait_for_any(IDLE_SECONDS, requested, stop)

    async def run_next(self) -> bool:
        """Make the next export; whether there was one. Raises Transient: it is begun anew after a minute."""
        async with self._database.write() as tx:
            export = await store.claim_next(tx, self._owner)
        if export is None:
            return False
        error = None
        try:
            if not await self._make(export):
                return True
        except Transient:
            raise
        except Permanent as failure:
            error = f"{failure.code}: {failure}"
        except Exception as failure:
            log_error("export_failed", failure, id=export.id)
            error = f"internal_error: {type(failure).__name__}"
        async with self._database.write() as tx:
            if await store.hold_claim(tx, export.id, self._owner):
                await store.finish(tx, export.id, self._clock.now(), error)
        log("export_ended", id=export.id, failed=error is not None)
        return True

    async def _make(self, export: SubjectExport) -> bool:
        """Write all pages; False if the export is gone. Raises Permanent and Transient."""
        hashes = await self._find_hashes(export.customer)
        number = 0
        for service, read_page in self._services.items():
            position: ExportPosition | None = ExportPosition()
            while position is not None:
                page = await read_page(ExportRequest(export.customer, hashes, position))
                if page.items or position.after == ():
                    if number >= MOST_PAGES:
                        raise Permanent(f"more than {MOST_PAGES} pages are known of this customer")
                    if not await self._store_page(export, number, service, page):
                        return False
                    number += 1
                position = page.next
                await asyncio.sleep(PAUSE_SECONDS)
        return True

    async def _store_page(self, export: SubjectExport, number: int, service: str, page: ExportPage) -> bool:
        async with self._database.write() as tx:
            if not await store.hold_claim(tx, export.id, self._owner):
                return False
            await store.insert_part(
                tx,
                export,
                number,
                self._clock.now(),
                service=service,
                section=page.section,
                title=page.title,
                rows=len(page.items),
                body=msgspec.json.encode(page.items),
            )
        return True
