"""How the orchestrator learns that holds have ended."""

import pytest

from schemas.service_api import DEFAULT_RELEASE_RATE, HoldEnd
from schemas.times import HOUR, MINUTE
from tests.support.suppression_service import NOW, Running

pytestmark = pytest.mark.wired

HOLD = {"mode": "defer", "scope": {}, "reason": "r"}


async def place(service: Running, key: str, **change: object) -> None:
    assert (await service.http.post("/v1/holds", json={**HOLD, "key": key, **change})).status_code == 201


async def test_a_lifted_hold_tells_its_rate_and_one_that_ran_out_the_usual_one(service: Running) -> None:
    await place(service, "stands")
    await place(service, "lifted")
    await place(service, "quiet", until="2026-03-02T10:30:00Z")
    await service.http.post("/v1/holds/lifted/lift", json={"rate": 7})
    keys = ["stands", "lifted", "quiet", "unknown"]
    assert await service.client.get_hold_ends(keys, NOW) == (HoldEnd("lifted", True, 7),)
    assert set(await service.client.get_hold_ends(keys, NOW + HOUR)) == {
        HoldEnd("lifted", True, 7),
        HoldEnd("quiet", False, DEFAULT_RELEASE_RATE),
    }


async def test_the_newest_end_of_a_key_counts(service: Running) -> None:
    for rate in (3, 9):
        await place(service, "twice")
        service.clock.advance(MINUTE)
        await service.http.post("/v1/holds/twice/lift", json={"rate": rate})
    await place(service, "twice")
    assert await service.client.get_hold_ends(["twice"], NOW) == (HoldEnd("twice", True, 9),)


async def test_who_and_why_travel_with_a_hold(service: Running) -> None:
    await place(service, "told", reason="INC-482")
    (fact,) = await service.client.get_holds()
    assert (fact.reason, fact.placed_by) == ("INC-482", "admin")
