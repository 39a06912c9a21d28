"""Races between an event and an opt-out: after a 200 no handover in its scope starts, whichever API was called.

The provider notes when a request reached it, the test when the answer reached us, both on the machine's one clock.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Sent, Shop
from tests.support.seed_documents import NEWS
from tests.support.service_processes import ADMIN_KEY

OPT_OUT_PATHS = ("preference", "pause", "suppression", "address", "hold")
FAR = "2099-01-01T00:00:00Z"


@dataclass(frozen=True)
class Answer:
    """What an opt-out was told, and when (nanoseconds of the machine's monotonic clock)."""

    door: str
    customer: str
    status: int
    at: int


@dataclass(frozen=True)
class OptOutClients:
    """The ways to say no: an opt-out, an agent's pause, an entry for the customer or the address, a hold that drops."""

    preference: httpx.AsyncClient
    suppression: httpx.AsyncClient

    async def ask(self, door: str, name: str) -> Answer:
        """Opt out; 200 and 201 say that it is enforced, 202 that something may still be under way."""
        if door == "preference":
            answer = await self.preference.post(f"/v1/preferences/{name}/optout", json={"class": "marketing"})
        elif door == "pause":
            answer = await self.preference.patch(f"/v1/preferences/{name}", json={"paused_until": FAR})
        elif door == "suppression":
            answer = await self.suppression.post("/v1/suppressions", json={"customer": name, "reason": "manual"})
        elif door == "address":
            entry = {"address": f"device-of-{name}", "scope": {"channel": "push"}, "reason": "manual"}
            answer = await self.suppression.post("/v1/suppressions", json=entry)
        else:
            hold = {"key": f"hold-{name}", "mode": "drop", "scope": {"trait": {"name": name}}, "reason": "tests"}
            answer = await self.suppression.post("/v1/holds", json=hold)
        at = time.monotonic_ns()
        assert answer.status_code in (200, 201, 202), answer.text
        return Answer(door, name, answer.status_code, at)


async def races(
    world: Installation, shop: Shop, names: Sequence[str], at_once: int, dice: random.Random
) -> list[Answer]:
    """Run one race for each customer, `at_once` at a time, over the five ways to opt out in turn."""
    pace = Pace(world, dice)
    key, some = {"Authorization": f"Bearer {ADMIN_KEY}"}, asyncio.Semaphore(at_once)
    async with (
        httpx.AsyncClient(base_url=world.cluster["preference"].url, headers=key, timeout=60) as preference,
        httpx.AsyncClient(base_url=world.cluster["suppression"].url, headers=key, timeout=60) as suppression,
    ):
        doors = OptOutClients(preference, suppression)

        async def one(number: int, name: str) -> Answer:
            async with some:
                answer = await _race(shop, doors, OPT_OUT_PATHS[number % len(OPT_OUT_PATHS)], name, pace.draw())
                pace.learn(answer)
                return answer

        return list(await asyncio.gather(*(one(number, name) for number, name in enumerate(names))))


class Pace:
    """How long a race waits with its opt-out: so that about every second message has gone by then, on a quiet machine
    and on a busy one.
    """

    def __init__(self, world: Installation, dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self._mean = 0.75

    def draw(self) -> float:
        """Seconds."""
        return 2 * self._dice.random() * self._mean

    def learn(self, answer: Answer) -> None:
        """Wait for less from now on if the message had gone, else for longer."""
        change = 0.9 if told(self._world, [answer])[answer.door, True] else 1.1
        self._mean = min(max(self._mean * change, 0.02), 5.0)


async def _race(shop: Shop, doors: OptOutClients, door: str, name: str, wait: float) -> Answer:
    sending = asyncio.create_task(shop.send(Sent(f"news-{name}", NEWS, name, {"n": 1})))
    await asyncio.sleep(wait)
    answer = await doors.ask(door, name)
    await sending
    return answer


def started_after(world: Installation, answers: Sequence[Answer]) -> list[str]:
    """Receipts that a 200 had ruled out."""
    enforced = {answer.customer: answer for answer in answers if answer.status != 202}
    return [
        f"{receipt.id} reached the provider {(receipt.started - answer.at) / 1e9:.3f} s after {answer}"
        for receipt in receipts(world.cluster.receipts)
        if (answer := enforced.get(receipt.customer)) and receipt.started > answer.at
    ]


def told(world: Installation, answers: Sequence[Answer]) -> Counter[tuple[str, bool]]:
    """How many races of each door were lost and won: (door, whether the message had gone)."""
    sent = {receipt.customer for receipt in receipts(world.cluster.receipts)}
    return Counter((answer.door, answer.customer in sent) for answer in answers)
