"""Makes the keys of `customer_lookup` for states that were stored without them."""

import asyncio

from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.kit.observability.logs import log
from services.preference import store

PAGE_SIZE = 100
SETTLED_NAME = "customer_lookup"
_FORM = 1
"""Increment it when a new version makes other keys, so that all are made anew."""


class CustomerLookupBuild:
    """The job that makes the keys of states from before there were any, or from another region.

    Works a page at a time while the service works. `region`: the organisation's country.
    """

    def __init__(self, database: Database, region: str | None, erased: ErasedCustomers) -> None:
        self._erased = erased
        self._database = database
        self._region = region

    async def build(self, stopping: asyncio.Event) -> None:
        """Make all keys anew, unless that has been done."""
        async with self._database.read() as tx:
            if await store.get_settled(tx, SETTLED_NAME) == settled_form(self._region):
                return
        last, count = "", 0
        while not stopping.is_set():
            async with self._database.write() as tx:
                page = [customer for customer, _ in await store.list_packed_states(tx, last, PAGE_SIZE)]
                if page:
                    states = await store.lock_states(tx, page, self._region, self._erased)
                    await store.replace_lookup_keys(tx, [state.preference for state in states.values()])
                else:
                    await store.set_settled(tx, SETTLED_NAME, settled_form(self._region))
            if not page:
                log("customer_lookup_built", count=count)
                return
            last, count = page[-1], count + len(page)


def settled_form(region: str | None) -> str:
    """What is noted when all keys are there."""
    return f"{_FORM} {region or '-'}"
