"""Makes the report about addresses every few hours, a page of customers at a time: nobody who asks for it waits.

Of several processes one makes it. Counts are as of the pages that were read, over minutes in a large installation.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from schemas.times import HOUR, Instant
from schemas.vocabulary import CHANNELS
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry, gauge
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.preference import store
from services.preference.addresses import hygiene_store
from services.preference.addresses.hygiene import FINDINGS, ON_CHANNEL, find_faults, lookup_value
from services.preference.addresses.hygiene_store import AddressReport, Place
from services.preference.preference_state import unpack

CHECK_SECONDS: Final = 60.0
PERIOD: Final = 6 * HOUR
MAX_EXAMPLES: Final = 20
_PAGE: Final = 200
_BEGUN: Final = "address_report_begun"
MADE: Final = "address_report_made"
"""Under this name stands when the last report was made."""


class HygieneMetrics:
    """`findings`: customers by channel and finding, as of the last report."""

    def __init__(self, registry: Registry) -> None:
        self.findings = gauge(
            registry,
            "address_findings",
            "Customers with something wrong about their addresses; `all`: with any address on the channel",
            {"channel": CHANNELS, "finding": FINDINGS},
        )


class AddressHygiene:
    """The job. `region`: the organisation's country."""

    def __init__(
        self, database: Database, clock: Clock, region: str | None, erased: ErasedCustomers, metrics: HygieneMetrics
    ) -> None:
        self._database = database
        self._clock = clock
        self._region = region
        self._erased = erased
        self._metrics = metrics
        self._loop_share = LoopShare()

    async def make_if_due(self) -> None:
        """Make the report if it is due, and show the last one as metrics. Raises Transient."""
        if await self._claim():
            await self.make()
        async with self._database.read() as tx:
            report = await hygiene_store.read_report(tx)
        for channel in CHANNELS:
            for finding in FINDINGS:
                self._metrics.findings(channel, finding).set(report.counts.get((channel, finding), 0))

    async def _claim(self) -> bool:
        now = self._clock.now()
        async with self._database.write() as tx:
            begun = await store.get_settled(tx, _BEGUN)
            if begun is not None and 0 <= now - int(begun) < PERIOD:
                return False
            await store.set_settled(tx, _BEGUN, str(now))
        return True

    async def make(self) -> None:
        """Read all customers, and store what was found. Raises Transient."""
        counts, examples = Counter[Place](), dict[Place, list[str]]()
        last, more = "", True
        while more:
            last, more = await self._read_customers(last, counts, examples)
        async with self._database.write() as tx:
            named = sorted({customer for found in examples.values() for customer in found})
            erased = await self._erased.among(tx, named)
            kept = {place: [each for each in found if each not in erased] for place, found in examples.items()}
            await hygiene_store.replace_report(tx, AddressReport(counts, kept))
            await store.set_settled(tx, MADE, str(self._clock.now()))

    async def _read_customers(
        self, after: str, counts: Counter[Place], examples: dict[Place, list[str]]
    ) -> tuple[str, bool]:
        now: Instant = self._clock.now()
        async with self._database.read() as tx:
            page = await store.list_packed_states(tx, after, _PAGE)
            states = [unpack(packed, self._region) for _, packed in page]
            values = {lookup_value(each) for state in states for each in state.preference.addresses}
            shared = await hygiene_store.count_sharing(tx, values)
        for state in states:
            await self._loop_share.give_turn_if_due()
            for place in find_faults(state, shared, now):
                counts[place] += 1
                found = examples.setdefault(place, [])
                if place[1] != ON_CHANNEL and len(found) < MAX_EXAMPLES:
                    found.append(state.customer)
        return (page[-1][0], True) if page else (after, False)
