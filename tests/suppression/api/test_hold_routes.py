"""The HTTP API of holds."""

import asyncio

import pytest

from schemas.times import DAY, HOUR, MINUTE
from tests.support.suppression_service import NOW, Running

pytestmark = pytest.mark.wired

OUTAGE = {"key": "outage-7", "mode": "defer", "scope": {"channels": ["email"]}, "reason": "provider is down"}


async def place(service: Running, **change: object) -> dict[str, object]:
    answer = await service.http.post("/v1/holds", json=OUTAGE | change)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_a_hold_starts_now_and_is_placed_by_whoever_asks(service: Running) -> None:
    placed = await place(service)
    assert placed == OUTAGE | {
        "from": "2026-03-02T10:00:00Z",
        "placed_by": "admin",
        "placed_at": "2026-03-02T10:00:00Z",
        "state": "active",
        "enforced": True,
    }
    (fact,) = await service.client.get_holds()
    assert (fact.key, fact.mode, fact.start, fact.until) == ("outage-7", "defer", NOW, None)
    assert fact.scope.channels == frozenset({"email"}) and fact.scope.classes is None


async def test_region_and_trait_travel_as_they_are(service: Running) -> None:
    await place(service, scope={"region": "PT", "trait": {"vip": True, "tier": 1}, "classes": ["transactional"]})
    (fact,) = (await service.client.get_facts([], {})).holds
    assert (fact.region, fact.trait) == ("PT", {"vip": True, "tier": 1})
    assert fact.scope.classes == frozenset({"transactional"})


async def test_a_hold_to_come_is_told_and_shown_as_scheduled(service: Running) -> None:
    placed = await place(service, **{"from": "2026-03-02T11:00:00Z", "until": "2026-03-02T12:00:00Z"})
    assert placed["state"] == "scheduled"
    assert (await service.client.get_holds())[0].start == NOW + HOUR


async def test_the_same_key_again_is_refused_while_it_stands(service: Running) -> None:
    await place(service, until="2026-03-02T12:00:00Z")
    again = await service.http.post("/v1/holds", json=OUTAGE)
    assert (again.status_code, again.json()["code"]) == (409, "hold_stands")
    service.clock.set(NOW + 2 * HOUR)
    await place(service)
    shown = (await service.http.get("/v1/holds/outage-7")).json()
    assert (shown["state"], [hold["state"] for hold in shown["earlier"]]) == ("active", ["ended"])


async def test_of_two_at_once_one_is_placed(service: Running) -> None:
    answers = await asyncio.gather(*(service.http.post("/v1/holds", json=OUTAGE) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_a_lifted_hold_is_told_no_more_and_stays_on_record(service: Running) -> None:
    await place(service)
    service.clock.set(NOW + MINUTE)
    lifted = await service.http.post("/v1/holds/outage-7/lift", json={"reason": "provider is back"})
    assert lifted.status_code == 200
    shown = lifted.json()
    assert (shown["state"], shown["lifted_by"], shown["lift_reason"]) == ("lifted", "admin", "provider is back")
    assert shown["lifted_at"] == "2026-03-02T10:01:00Z"
    assert await service.client.get_holds() == ()
    again = await service.http.post("/v1/holds/outage-7/lift", json={"reason": "again"})
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    await place(service)


async def test_a_hold_that_ran_out_is_told_a_little_longer_and_cannot_be_lifted(service: Running) -> None:
    await place(service, until="2026-03-02T11:00:00Z")
    service.clock.set(NOW + HOUR)
    assert len(await service.client.get_holds()) == 1
    assert (await service.http.post("/v1/holds/outage-7/lift", json={"reason": "r"})).status_code == 409
    assert (await service.http.get("/v1/holds")).json()["items"] == []
    service.clock.set(NOW + DAY)
    assert await service.client.get_holds() == ()


async def test_what_was_never_placed_is_not_found(service: Running) -> None:
    assert (await service.http.get("/v1/holds/nothing")).status_code == 404
    assert (await service.http.post("/v1/holds/nothing/lift", json={"reason": "r"})).status_code == 404


async def test_holds_are_listed_in_pages_newest_first(service: Running) -> None:
    for n in range(5):
        await place(service, key=f"hold-{n}")
    await service.http.post("/v1/holds/hold-4/lift", json={"reason": "r"})
    first = (await service.http.get("/v1/holds", params={"limit": 2})).json()
    rest = (await service.http.get("/v1/holds", params={"limit": 2, "after": first["next"]})).json()
    assert [hold["key"] for hold in first["items"] + rest["items"]] == ["hold-3", "hold-2", "hold-1", "hold-0"]
    everything = (await service.http.get("/v1/holds", params={"state": "all"})).json()
    assert [hold["state"] for hold in everything["items"]] == ["lifted"] + ["active"] * 4


async def test_a_wrong_key_is_refused_in_words(service: Running) -> None:
    answer = await service.http.post("/v1/holds", json=OUTAGE | {"key": "INC 482"})
    (error,) = answer.json()["errors"]
    assert error["detail"] == "must be 1 to 63 of `a` to `z`, `0` to `9` and `-`, and not begin with `-`"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"mode": "stop"}, "/mode"),
        ({"scope": {"chanels": ["email"]}}, "/scope/chanels"),
        ({"scope": {"region": "Portugal"}}, "/scope/region"),
        ({"until": "2026-03-02T10:00:00Z"}, "/until"),
        ({"from": "2026-03-01T09:00:00Z", "until": "2026-03-01T10:00:00Z"}, "/until"),
        ({"reason": ""}, "/reason"),
        ({"reason": " \t "}, "/reason"),
        ({"scope": {"trait": {"name": "a\x00"}}}, "/scope/trait/name"),
    ],
)
async def test_a_wrong_hold_is_refused_with_a_pointer(
    service: Running, change: dict[str, object], pointer: str
) -> None:
    answer = await service.http.post("/v1/holds", json=OUTAGE | change)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("role", "read", "write"), [("viewer", 200, 403), ("marketer", 200, 403), ("operator", 200, 201)]
)
async def test_roles(service: Running, role: str, read: int, write: int) -> None:
    headers = service.handovers.key(role)
    assert (await service.http.get("/v1/holds", headers=headers)).status_code == read
    assert (await service.http.post("/v1/holds", json=OUTAGE, headers=headers)).status_code == write


async def test_holds_in_force_are_counted_by_mode(service: Running) -> None:
    await place(service)
    await place(service, key="kill", mode="drop")
    await place(service, key="later", mode="drop", **{"from": "2026-03-03T00:00:00Z"})
    await service.service.components.gauges.update_holds()
    assert (service.metric("holds_active", mode="defer"), service.metric("holds_active", mode="drop")) == (1, 1)
