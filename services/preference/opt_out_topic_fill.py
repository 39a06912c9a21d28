"""Fills the topic `tactful.optouts` with what customers had opted out of before it was switched on."""

import asyncio
from typing import Final

from schemas.topics import OPT_OUTS
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.opt_out_topic import keep_present

PAGE_SIZE: Final = 500
SETTLED_NAME: Final = "opt_out_topic"
SWITCHED_OFF: Final = "off"
"""What is noted once the topic has been switched off: what changes meanwhile is not in it."""


class OptOutTopicFill:
    """The job that publishes what customers had opted out of before the topic was switched on. `region`: the
    organisation's country.

    Under the locks of the states, a page at a time, while the service works: what changes meanwhile comes after it.
    """

    def __init__(self, database: Database, clock: Clock, region: str | None, erased: ErasedCustomers) -> None:
        self._database = database
        self._clock = clock
        self._region = region
        self._erased = erased

    async def fill(self, stopping: asyncio.Event) -> None:
        """Publish the present opt-outs, unless the topic has them. After a time without the topic, those of everybody,
        because they may have been withdrawn meanwhile.
        """
        topic = self._database.out_topics.get(OPT_OUTS.name)
        async with self._database.read() as tx:
            settled = await store.get_settled(tx, SETTLED_NAME)
        if topic is None:
            if settled is not None:
                async with self._database.write() as tx:
                    await store.set_settled(tx, SETTLED_NAME, SWITCHED_OFF)
            return
        if settled == topic:
            return
        last, count = "", 0
        while not stopping.is_set():
            async with self._database.write() as tx:
                page = [customer for customer, _ in await store.list_packed_states(tx, last, PAGE_SIZE)]
                if page:
                    states = await store.lock_states(tx, page, self._region, self._erased)
                    found, even_none = [each.preference for each in states.values()], settled is not None
                    count += await keep_present(tx, found, self._clock.now(), even_none=even_none)
                else:
                    await store.set_settled(tx, SETTLED_NAME, topic)
            if not page:
                log("opt_out_topic_filled", count=count)
                return
            last = page[-1]
