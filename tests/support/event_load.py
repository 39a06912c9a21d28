"""A steady stream of events during a fault, and the checks of its outcome."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from tests.support.audit_check import broken_promises
from tests.support.delivery_evidence import OffsetWatch
from tests.support.installation import Installation, triggers
from tests.support.kafka_event_producer import Sent, Shop
from tests.support.seed_documents import CAP, COMPLAINED, DELIVERED, NEWS, TRACKED

MIX = (TRACKED, TRACKED, NEWS, TRACKED, "shop.page.viewed", TRACKED)
EVERY = 0.025
"""Seconds between two events."""
REST = 240.0
"""Seconds after the last fault for everything to come to an end."""


async def stream(shop: Shop, customers: Sequence[str], stop: asyncio.Event) -> None:
    """Send until stopped; every seventh event is sent twice."""
    kinds = itertools.cycle(MIX)
    for number in itertools.count():
        if stop.is_set():
            return
        name = customers[number * 7 % len(customers)]
        event = Sent(f"{name}-{number}", next(kinds), name, {"n": number}, binary=number % 2 == 0)
        await shop.send(*([event, event] if number % 7 == 0 else [event]))
        await asyncio.sleep(EVERY)


@asynccontextmanager
async def under_load(world: Installation, customers: int, prefix: str) -> AsyncIterator[None]:
    """Events flow within; afterwards everything comes to rest, and every promise is checked."""
    watch = OffsetWatch(world.evidence)
    watching = asyncio.create_task(watch.run())
    stop = asyncio.Event()
    async with world.shop() as shop:
        names = await world.customers(shop, customers, prefix)
        sending = asyncio.create_task(stream(shop, names, stop))
        try:
            yield
        finally:
            stop.set()
            await sending
        await complain_and_buy(shop, names[:5])
        await world.evidence.rest(REST)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    evidence = world.evidence
    violations = await evidence.violations(triggers(world.sent))
    assert violations == [], violations[:5]
    broken = await broken_promises(world)
    assert broken == [], broken
    assert evidence.over_cap("news", CAP) == []
    assert evidence.over_cap("referral-ask", 0) == []
    assert watch.violations == []


async def complain_and_buy(shop: Shop, names: Sequence[str]) -> None:
    """The case that must never slip through, once more at the end."""
    for name in names:
        await shop.send(Sent(f"{name}-c", COMPLAINED, name, {}), Sent(f"{name}-d", DELIVERED, name, {"n": 0}))
