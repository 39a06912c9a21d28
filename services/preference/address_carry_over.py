"""Makes the canonical addresses of stored states anew, after an upgrade or when TACTFUL_REGION has changed.

States are right whenever they are read (`preference_state.unpack`). Stored so, they need not be read and parsed anew
for every decision; this job stores them so, a page at a time, while the service works.
"""

from __future__ import annotations

import asyncio

from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.kit.observability.logs import log
from services.preference import store
from services.preference.preference_state import is_read_in

PAGE_SIZE = 100
_SETTLED_NAME = "addresses"
_FORM = 1
"""Increment it when a new version makes other canonical forms, so that all states are read anew."""


class AddressCarryOver:
    """The job. `region`: the organisation's country."""

    def __init__(self, database: Database, region: str | None, erased: ErasedCustomers) -> None:
        self._erased = erased
        self._database = database
        self._region = region

    async def carry_over(self, stopping: asyncio.Event) -> None:
        """Store all states with the addresses of this region, unless that has been done."""
        settled = f"{_FORM} {self._region or '-'}"
        async with self._database.read() as tx:
            if await store.get_settled(tx, _SETTLED_NAME) == settled:
                return
        last, count = "", 0
        while not stopping.is_set():
            async with self._database.write() as tx:
                page = await store.list_packed_states(tx, last, PAGE_SIZE)
                stale = [customer for customer, packed in page if not is_read_in(packed, self._region)]
                states = await store.lock_states(tx, stale, self._region, self._erased)
                await store.write_states(tx, states.values())
                if not page:
                    await store.set_settled(tx, _SETTLED_NAME, settled)
            if not page:
                log("addresses_carried_over", count=count)
                return
            last, count = page[-1][0], count + len(stale)
