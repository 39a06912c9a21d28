"""I13: once an opt-out is answered with 200, no handover in its scope starts."""

import asyncio
import random

import pytest

from schemas.facts import AttemptScope
from tests.support.preference_service import Running

pytestmark = pytest.mark.wired

ROUNDS = 30
DISPATCHERS = 4


async def dispatch(at_work: Running, customer: str, number: int, started: list[float]) -> None:
    """The gate's protocol: mark, then read fresh facts, then hand over or not, then close."""
    loop = asyncio.get_running_loop()
    for attempt in range(number * 1000, number * 1000 + 50):
        await asyncio.sleep(random.uniform(0, 0.004))
        at_work.orchestrator.attempts[attempt] = AttemptScope(
            customer=customer, channels=("email",), topics=("news",), classes=("marketing",)
        )
        facts = (await at_work.doors.get_facts([customer], {}))[customer]
        await asyncio.sleep(random.uniform(0, 0.01))
        if facts.opt_outs:
            del at_work.orchestrator.attempts[attempt]
            return
        started.append(loop.time())
        await asyncio.sleep(random.uniform(0, 0.004))
        del at_work.orchestrator.attempts[attempt]


async def test_after_a_200_no_handover_starts(at_work: Running) -> None:
    for turn in range(ROUNDS):
        customer, started = f"c-{turn}", list[float]()
        at_work.orchestrator.attempts.clear()
        running = [asyncio.create_task(dispatch(at_work, customer, number, started)) for number in range(DISPATCHERS)]
        await asyncio.sleep(random.uniform(0, 0.05))
        answer = await at_work.http.post(f"/v1/preferences/{customer}/optout", json={"topic": "news"})
        answered = asyncio.get_running_loop().time()
        assert answer.status_code == 200
        await asyncio.gather(*running)
        assert all(start <= answered for start in started)
