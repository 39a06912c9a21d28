"""F16: opt-outs race handovers while those who mark are killed, or stand still for longer than they may."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from tests.support.installation import Installation
from tests.support.opt_out_race import OPT_OUT_WAYS, races, started_after, told

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

TRIALS = max(int(os.environ.get("TRIALS", "0")), 500)
AT_ONCE = 40
KILLED = 0.3
"""Share of the disturbances that kill."""
LONGEST_SLEEP = 6.0
"""Seconds; deadline and slack are 4."""
REST = 300.0


async def disturb(world: Installation, dice: random.Random) -> None:
    """Until cancelled, now and then: one who marks is killed, or sleeps; whoever dies of it comes back."""
    while True:
        await asyncio.sleep(dice.uniform(1.0, 10.0))
        process = world.cluster[dice.choice(("decide", "dispatch"))]
        if dice.random() < KILLED:
            process.kill()
        else:
            process.freeze()
            await asyncio.sleep(dice.uniform(0.1, LONGEST_SLEEP))
            process.thaw()
            await asyncio.sleep(0.1)
        if not process.alive:
            process.start()
            await asyncio.to_thread(process.wait_ready)


async def recovered(world: Installation) -> None:
    """Both are awake and at work again."""
    for process in (world.cluster["decide"], world.cluster["dispatch"]):
        process.thaw()
        await asyncio.sleep(0.1)
        if not process.alive:
            process.start()
        await asyncio.to_thread(process.wait_ready)


@pytest.mark.timeout(900 + TRIALS)
async def test_after_a_200_no_handover_starts_whoever_dies_or_sleeps(installed: Installation) -> None:
    dice = random.Random(23)
    installed.cluster.behave(delay=0.1)
    async with installed.shop() as shop:
        names = await installed.customers(shop, TRIALS, "sleepy")
        disturbing = asyncio.create_task(disturb(installed, dice))
        try:
            answers = await races(installed, shop, names, AT_ONCE, dice)
            assert not disturbing.done(), disturbing
        finally:
            disturbing.cancel()
            await asyncio.wait([disturbing])
            await recovered(installed)
            installed.cluster.behave()
        await installed.evidence.rest(REST)
    assert started_after(installed, answers) == []
    found = told(installed, answers)
    assert len(found) == 2 * len(OPT_OUT_WAYS), f"the races were no races: {found}"
