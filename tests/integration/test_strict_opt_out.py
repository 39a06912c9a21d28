"""F16, I13, I15, I16: after a 200 no handover starts, whichever way the customer or the operator took."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.support.audit_check import broken_promises
from tests.support.installation import Installation
from tests.support.opt_out_race import OPT_OUT_WAYS, races, started_after, told

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TRIALS = int(os.environ.get("TRIALS", "250"))
AT_ONCE = 12
REST = 120.0


@pytest.fixture
def slow_provider(installation: Installation) -> Iterator[Installation]:
    """A provider that takes its time, so that opt-outs meet handovers under way."""
    installation.cluster.behave(delay=0.1)
    yield installation
    installation.cluster.behave()


@pytest.mark.timeout(600 + TRIALS)
async def test_after_a_200_no_handover_starts(slow_provider: Installation) -> None:
    world, dice = slow_provider, random.Random(16)
    async with world.shop() as shop:
        names = await world.customers(shop, TRIALS, "race")
        answers = await races(world, shop, names, AT_ONCE, dice)
        await world.evidence.rest(REST)
    assert started_after(world, answers) == []
    found = told(world, answers)
    assert len(found) == 2 * len(OPT_OUT_WAYS), f"the races were no races: {found}"
    assert await broken_promises(world) == []
