"""Dispatcher and scheduler are woken by what other processes write, and look by themselves when nothing wakes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.times import HOUR, SECOND
from services.kit.db.notifications import FALLBACK_INTERVAL
from tests.integration.test_one_customer_race import CAP
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, crew, record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

QUICK = 0.2
"""Seconds within which a notification has its effect on a machine that is not busy. The wake-up takes milliseconds."""


@pytest.fixture
def never_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a notification wakes anybody."""
    for module in ("delivery.dispatcher", "decisions.scheduler"):
        monkeypatch.setattr(f"services.orchestrator.{module}.FALLBACK_INTERVAL", 600.0)


@pytest.fixture
async def us(pg_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """Two workers under a cap of one an hour: the first decides, the second hands over."""
    migrate(pg_url, "services.orchestrator")
    async with crew(pg_url, tmp_path, CAP, size=2) as made:
        yield made


@asynccontextmanager
async def at_work(run: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    """A job that has begun, and has found nothing to do."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(run(stop))
    await asyncio.sleep(0.5)
    try:
        yield
    finally:
        stop.set()
        await running


async def seconds_until(reached: Callable[[], Awaitable[bool]]) -> float:
    began = time.monotonic()
    async with asyncio.timeout(30):
        while not await reached():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def shortest(measure: Callable[[int], Awaitable[float]]) -> float:
    """Of several tries, by number: the machine may be busy."""
    return min([await measure(number) for number in range(5)])


async def decide(us: Crew, customer: str, event: str) -> None:
    await us.workers[0].decide(record(customer, f"{customer}-{event}", "low", us.clock.now()))


@pytest.mark.usefixtures("never_look")
async def test_the_outbox_of_another_process_is_handed_over_at_once(us: Crew) -> None:
    async def handover(number: int) -> float:
        await decide(us, f"c-{number}", "first")
        return await seconds_until(lambda: taken(us, f"c-{number}"))

    await us.workers[1].database.probe()
    async with at_work(us.workers[1].dispatcher.run_until_stopped):
        assert await shortest(handover) < QUICK


async def test_without_notifications_the_outbox_is_found_a_little_later(us: Crew) -> None:
    async with at_work(us.workers[1].dispatcher.run_until_stopped):  # no probe: its process does not listen
        await decide(us, "c", "first")
        assert await seconds_until(lambda: taken(us, "c")) < 10 * FALLBACK_INTERVAL


async def taken(us: Crew, customer: str) -> bool:
    return customer in us.provider.taken


async def waits(us: Crew, customer: str) -> bool:
    async with us.database.read() as tx:
        return await tx.row("SELECT 1 AS found FROM timer WHERE customer = :customer", customer=customer) is not None


async def gone(us: Crew, customer: str) -> bool:
    return not await waits(us, customer)


@pytest.mark.usefixtures("never_look")
async def test_a_timer_that_another_process_writes_is_met_when_it_is_due(us: Crew) -> None:
    """One that is due within the time of a sleep wakes the scheduler, which then sleeps until it is due."""

    async def lateness(number: int) -> float:
        await decide(us, f"c-{number}", "first")
        us.clock.advance(HOUR - SECOND // 5)
        await decide(us, f"c-{number}", "second")
        assert await waits(us, f"c-{number}")
        await asyncio.sleep(0.1)  # the scheduler sleeps again: the clock stands still
        us.clock.advance(SECOND // 5)
        return await seconds_until(lambda: gone(us, f"c-{number}"))

    await us.workers[1].database.probe()
    async with at_work(us.workers[1].scheduler.run_until_stopped):
        assert await shortest(lateness) < QUICK


async def test_without_notifications_a_timer_is_found_a_little_later(us: Crew) -> None:
    async with at_work(us.workers[1].scheduler.run_until_stopped):
        await decide(us, "c", "first")
        await decide(us, "c", "second")
        us.clock.advance(2 * HOUR)
        assert await seconds_until(lambda: gone(us, "c")) < 10 * FALLBACK_INTERVAL
