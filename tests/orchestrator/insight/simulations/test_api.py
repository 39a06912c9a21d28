"""Simulations over HTTP: who may ask, what is refused, what is kept."""

from typing import Any

import pytest

from schemas.times import HOUR, format_instant
from services.orchestrator.insight.simulations import store
from tests.support.orchestrator_app import NOON, World, campaign, policy_document

pytestmark = pytest.mark.wired

SPAN = {"from": format_instant(NOON - HOUR), "to": format_instant(NOON)}


async def ask(here: World, role: str = "marketer", **asked: Any) -> Any:
    return await here.call(role, "POST", "/v1/simulations", json={**SPAN, **asked})


async def test_a_request_is_queued_and_can_be_followed(here: World) -> None:
    made = await ask(here, policy=policy_document())
    assert made.status_code == 202
    assert made.headers["location"] == f"/v1/simulations/{made.json()['id']}"
    found = (await here.call("viewer", "GET", made.headers["location"])).json()
    assert (found["state"], found["progress"], found["requested_by"]) == ("queued", 0.0, "person-marketer")
    assert found["request"]["policy"] == policy_document() and found["result"] is None
    listed = (await here.call("viewer", "GET", "/v1/simulations?limit=1")).json()
    assert [each["id"] for each in listed["items"]] == [found["id"]] and listed["next"] is None


async def test_pages_go_from_the_newest_to_the_oldest(here: World) -> None:
    ids = []
    for _ in range(3):
        ids.append((await ask(here)).json()["id"])
        here.clock.advance(1)
    first = (await here.call("viewer", "GET", "/v1/simulations?limit=2")).json()
    rest = (await here.call("viewer", "GET", f"/v1/simulations?limit=2&after={first['next']}")).json()
    assert [each["id"] for each in (*first["items"], *rest["items"])] == ids[::-1]


@pytest.mark.parametrize(("role", "status"), [("marketer", 202), ("admin", 202), ("viewer", 403), ("publisher", 403)])
async def test_who_edits_policies_may_ask(here: World, role: str, status: int) -> None:
    assert (await ask(here, role)).status_code == status


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"to": SPAN["from"]}, ""),
    ({"to": format_instant(NOON + 1)}, "/to"),
    ({"from": "yesterday"}, "/from"),
    ({"customers": []}, "/customers"),
    ({"customers": {"percent": 0}}, "/customers"),
    ({"until": "2020-01-01T00:00:00Z"}, ""),
    ({"polcy": 1}, "/polcy"),
    ({"policy": {"zone": "Mars/Olympus"}}, "/policy/zone"),
    ({"campaigns": [campaign(), campaign(priority=400)]}, "/campaigns/1/priority"),
    ({"campaigns": [campaign(), campaign()]}, "/campaigns"),
    ({"against": {"campaigns": [campaign(audience="(")]}}, "/against/campaigns/0/audience"),
]


@pytest.mark.parametrize(("asked", "pointer"), WRONG)
async def test_what_is_wrong_is_named(here: World, asked: dict[str, Any], pointer: str) -> None:
    answer = await ask(here, **asked)
    assert answer.status_code == 422
    assert any(error["pointer"].startswith(pointer) for error in answer.json()["errors"]), answer.text


@pytest.mark.parametrize("asked", [{"policy": 7}, {"campaigns": ["nobody-knows"]}])
async def test_versions_and_campaigns_that_are_not_there_are_404(here: World, asked: dict[str, Any]) -> None:
    assert (await ask(here, **asked)).status_code == 404


async def test_the_queue_is_bounded(here: World) -> None:
    for _ in range(store.MAX_QUEUED):
        assert (await ask(here)).status_code == 202
    answer = await ask(here)
    assert answer.status_code == 429 and "retry-after" in answer.headers


async def test_an_unknown_one_is_404_and_a_picture_comes_when_it_is_done(here: World) -> None:
    for path in ("/v1/simulations/sim_0", "/v1/simulations/sim_0/picture"):
        assert (await here.call("viewer", "GET", path)).status_code == 404
    made = (await ask(here)).json()["id"]
    answer = await here.call("viewer", "GET", f"/v1/simulations/{made}/picture")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_done")
