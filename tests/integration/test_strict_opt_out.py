"""F16, I13, I15, I16: after a 200 no handover starts, whichever door the customer or the operator came through.

The provider notes when a request reached it, the test when the answer reached us, both on the machine's one clock.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import pytest

from tests.faults.history import receipts
from tests.faults.processes import ADMIN_KEY
from tests.faults.producing import Sent, Shop
from tests.faults.seed import NEWS
from tests.faults.world import World

TRIALS = int(os.environ.get("TRIALS", "500"))
AT_ONCE = 12
LONGEST = 1.5
"""Seconds between an event and its opt-out, at most."""
REST = 120.0


@dataclass(frozen=True)
class Answer:
    """What an opt-out was told, and when (nanoseconds of the machine's monotonic clock)."""

    door: str
    customer: str
    status: int
    at: int


@dataclass(frozen=True)
class Doors:
    """The three ways to say no."""

    preference: httpx.AsyncClient
    suppression: httpx.AsyncClient

    async def ask(self, door: str, name: str) -> Answer:
        """Opt out; 200 and 201 say that it is enforced, 202 that something may still be under way."""
        if door == "preference":
            answer = await self.preference.post(f"/v1/preferences/{name}/optout", json={"class": "marketing"})
        elif door == "suppression":
            answer = await self.suppression.post("/v1/suppressions", json={"customer": name, "reason": "manual"})
        else:
            hold = {"key": f"hold-{name}", "mode": "drop", "scope": {"trait": {"name": name}}, "reason": "tests"}
            answer = await self.suppression.post("/v1/holds", json=hold)
        at = time.monotonic_ns()
        assert answer.status_code in (200, 201, 202), answer.text
        return Answer(door, name, answer.status_code, at)


async def trial(shop: Shop, doors: Doors, door: str, name: str, wait: float) -> Answer:
    """An event and its opt-out, so many seconds later."""
    sending = asyncio.create_task(shop.send(Sent(f"news-{name}", NEWS, name, {"n": 1})))
    await asyncio.sleep(wait)
    answer = await doors.ask(door, name)
    await sending
    return answer


def started_after(world: World, answers: Sequence[Answer]) -> list[str]:
    """Receipts that a 200 had ruled out."""
    enforced = {answer.customer: answer for answer in answers if answer.status != 202}
    return [
        f"{receipt.id} reached the provider {(receipt.started - answer.at) / 1e9:.3f} s after {answer}"
        for receipt in receipts(world.cluster.receipts)
        if (answer := enforced.get(receipt.customer)) and receipt.started > answer.at
    ]


@pytest.fixture
def slow_provider(installation: World) -> Iterator[World]:
    """A provider that takes its time, so that opt-outs meet handovers under way."""
    installation.cluster.behave(delay=0.1)
    yield installation
    installation.cluster.behave()


@pytest.mark.timeout(600)
async def test_after_a_200_no_handover_starts(slow_provider: World) -> None:
    world, dice = slow_provider, random.Random(16)
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    names = [f"race-{n}" for n in range(TRIALS)]
    at_once = asyncio.Semaphore(AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=world.cluster["preference"].url, headers=key, timeout=60) as preference,
        httpx.AsyncClient(base_url=world.cluster["suppression"].url, headers=key, timeout=60) as suppression,
        world.shop() as shop,
    ):
        doors = Doors(preference, suppression)
        await world.customers(shop, TRIALS, "race")

        async def one(number: int, name: str) -> Answer:
            door = ("preference", "suppression", "hold")[number % 3]
            async with at_once:
                return await trial(shop, doors, door, name, dice.uniform(0, LONGEST))

        answers = await asyncio.gather(*(one(number, name) for number, name in enumerate(names)))
        await world.evidence.rest(REST)
    assert started_after(world, answers) == []
    sent = {receipt.customer for receipt in receipts(world.cluster.receipts)} & set(names)
    told = Counter((answer.door, answer.customer in sent) for answer in answers)
    assert len(told) == 6, f"the races were no races: {told}"
