"""Edits are enforced: once an opt-out is answered with 200, no handover in its scope starts (invariant I13)."""

import asyncio
import random

import pytest

from schemas.service_api import AttemptScope
from services.clients.opt_out_barrier import MAX_SCOPES
from tests.support.preference_service import Running

pytestmark = pytest.mark.wired

ROUNDS = 30
DISPATCHERS = 4


async def dispatch(at_work: Running, customer: str, number: int, started: list[float]) -> None:
    """A dispatcher's order of steps: claim, then read fresh facts, then hand over or not, then close the attempt."""
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


async def test_many_opt_outs_are_asked_about_at_once(at_work: Running) -> None:
    opt_outs = [{"topic": f"topic-{number}"} for number in range(MAX_SCOPES)]
    await at_work.http.patch("/v1/preferences/c-1", json={"opt_outs": opt_outs})
    assert len(at_work.orchestrator.asked) == MAX_SCOPES
    at_work.orchestrator.asked.clear()
    await at_work.http.patch("/v1/preferences/c-1", json={"opt_outs": [*opt_outs, {"channel": "email"}]})
    assert at_work.orchestrator.asked == [AttemptScope(customer="c-1", classes=("service", "marketing"))]
