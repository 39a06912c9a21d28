"""Alertmanager's webhook: real payloads, repeated, late, and in any order."""

import asyncio
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from schemas.times import DAY, HOUR, MINUTE, format_instant
from tests.support.suppression_service import NOW, Running

pytestmark = pytest.mark.wired

FOLDER = Path(__file__).parents[1] / "alertmanager"
FIRING, RESOLVED, GROUP = (
    json.loads((FOLDER / f"{name}.json").read_text()) for name in ("firing", "resolved", "group")
)
KEY = "alert-a3f1c07d5b2e9846"


async def post(service: Running, payload: object, status: int = 200, role: str = "operator") -> Any:
    answer = await service.http.post("/v1/holds/alertmanager", json=payload, headers=service.handovers.key(role))
    assert answer.status_code == status, answer.text
    return answer.json()


async def told(service: Running, payload: object) -> list[str]:
    return [item["result"] for item in (await post(service, payload))["items"]]


async def shown(service: Running, key: str = KEY) -> Any:
    return (await service.http.get(f"/v1/holds/{key}")).json()


def firing(changes: dict[str, Any] | None = None, **annotations: str | None) -> Any:
    """The alert with other fields, and with these annotations; None takes one away."""
    payload = deepcopy(FIRING)
    (alert,) = payload["alerts"]
    alert |= changes or {}
    for name, text in annotations.items():
        alert["annotations"].pop(name, None)
        alert["labels"].pop(name, None)
        if text is not None:
            alert["annotations"][name] = text
    return payload


def bare(**annotations: str) -> Any:
    """The alert with these words of ours alone."""
    nothing = dict.fromkeys(("tactful_mode", "tactful_channels", "tactful_classes"))
    return firing(None, **{**nothing, **annotations})


async def test_an_alert_that_fires_places_a_hold_and_tells_who_why_and_when(service: Running) -> None:
    assert await post(service, FIRING) == {
        "items": [{"fingerprint": KEY.removeprefix("alert-"), "key": KEY, "status": "firing", "result": "placed"}],
        "truncated": 0,
        "enforced": True,
    }
    hold = await shown(service)
    hold.pop("earlier")
    assert hold == {
        "key": KEY,
        "mode": "defer",
        "scope": {"channels": ["email", "sms"], "classes": ["marketing"]},
        "from": "2026-03-02T10:00:00Z",
        "reason": "CheckoutErrorsHigh: Checkout is failing",
        "placed_by": "operator",
        "placed_at": "2026-03-02T10:00:00Z",
        "state": "active",
    }
    (fact,) = await service.client.get_holds()
    assert (fact.key, fact.scope.channels) == (KEY, frozenset({"email", "sms"}))


async def test_names_that_nothing_has_are_noted_by_alert_and_asked_about_once(service: Running) -> None:
    service.handovers.missing = frozenset({"order-shiped", "nowhere"})
    first = bare(tactful_campaigns="order-shipped,order-shiped", tactful_topics="nowhere")
    (second,) = bare(tactful_campaigns="order-shiped")["alerts"]
    (third,) = bare(tactful_campaigns="order-shipped")["alerts"]
    first["alerts"] += [second | {"fingerprint": "b" * 16}, third | {"fingerprint": "c" * 16}]
    items = (await post(service, first))["items"]
    detail = "there is no campaign `order-shiped`"
    assert [item.get("notes") for item in items] == [
        [
            {"pointer": "/scope/campaigns/1", "code": "no_effect", "detail": detail},
            {"pointer": "/scope/topics/0", "code": "no_effect", "detail": "the active policy has no topic `nowhere`"},
        ],
        [{"pointer": "/scope/campaigns/0", "code": "no_effect", "detail": detail}],
        None,
    ]
    assert len(service.handovers.names_asked) == 1


async def test_resolved_it_lifts_the_hold(service: Running) -> None:
    await post(service, FIRING)
    service.clock.set(NOW + 5 * MINUTE)
    assert await told(service, RESOLVED) == ["lifted"]
    hold = await shown(service)
    assert (hold["state"], hold["lifted_by"]) == ("lifted", "operator")
    assert hold["lift_reason"] == "resolved: CheckoutErrorsHigh: Checkout is failing"
    assert await service.client.get_holds() == ()


async def test_a_group_has_alerts_of_both_kinds(service: Running) -> None:
    await post(service, FIRING)
    service.clock.set(NOW + 5 * MINUTE)
    results = {item["fingerprint"]: item["result"] for item in (await post(service, GROUP))["items"]}
    assert results == {"a3f1c07d5b2e9846": "lifted", "0c9b1f6e4d7a2358": "placed"}


async def test_what_is_told_again_changes_nothing(service: Running) -> None:
    assert await told(service, FIRING) == ["placed"]
    assert await told(service, FIRING) == ["ignored"]
    service.clock.set(NOW + 5 * MINUTE)
    assert await told(service, RESOLVED) == ["lifted"]
    assert await told(service, RESOLVED) == ["ignored"]
    assert len((await shown(service))["earlier"]) == 0


async def test_a_firing_that_is_told_after_its_end_places_nothing(service: Running) -> None:
    await post(service, FIRING)
    service.clock.set(NOW + 5 * MINUTE)
    await post(service, RESOLVED)
    assert await told(service, FIRING) == ["ignored"]
    assert (await shown(service))["state"] == "lifted"


async def test_an_end_that_is_told_before_its_firing_is_remembered(service: Running) -> None:
    service.clock.set(NOW + 5 * MINUTE)
    assert await told(service, RESOLVED) == ["ignored"]
    assert await told(service, FIRING) == ["ignored"]
    assert await service.client.get_holds() == ()


async def test_the_end_of_an_older_firing_does_not_lift_a_newer_one_s_hold(service: Running) -> None:
    again = firing({"startsAt": "2026-03-02T10:10:00.5Z"})
    service.clock.set(NOW + 11 * MINUTE)
    assert await told(service, again) == ["placed"]
    assert await told(service, RESOLVED) == ["ignored"]
    assert (await shown(service))["state"] == "active"


async def test_a_new_firing_of_the_same_alert_places_a_new_hold(service: Running) -> None:
    await post(service, FIRING)
    service.clock.set(NOW + 5 * MINUTE)
    await post(service, RESOLVED)
    service.clock.set(NOW + HOUR)
    assert await told(service, firing({"startsAt": "2026-03-02T10:59:00Z"})) == ["placed"]
    assert [hold["state"] for hold in (await shown(service))["earlier"]] == ["lifted"]


async def test_a_replica_that_saw_the_firing_begin_later_changes_nothing(service: Running) -> None:
    await post(service, FIRING)
    assert await told(service, firing({"startsAt": "2026-03-02T09:58:20Z"})) == ["stands"]
    service.clock.set(NOW + 5 * MINUTE)
    assert await told(service, RESOLVED) == ["lifted"]


async def test_a_hold_that_a_person_lifted_is_not_placed_again_for_the_same_firing(service: Running) -> None:
    await post(service, FIRING)
    await service.http.post(f"/v1/holds/{KEY}/lift", json={"reason": "a false alarm"})
    assert await told(service, FIRING) == ["ignored"]
    assert (await shown(service))["lift_reason"] == "a false alarm"


async def test_two_alertmanagers_at_once_place_one_hold(service: Running) -> None:
    results = await asyncio.gather(*(told(service, FIRING) for _ in range(5)))
    assert sorted(results) == [["ignored"]] * 4 + [["placed"]]


async def test_an_alert_that_says_nothing_holds_all_service_and_marketing(service: Running) -> None:
    await post(service, bare())
    hold = await shown(service)
    assert (hold["scope"], hold["mode"]) == ({}, "defer") and "until" not in hold


@pytest.mark.parametrize(
    ("annotations", "scope"),
    [
        (
            {"tactful_scope": '{"topics": ["news"], "trait": {"vip": true}}'},
            {"topics": ["news"], "trait": {"vip": True}},
        ),
        ({"tactful_region": "PT", "tactful_campaigns": "a,b"}, {"campaigns": ["a", "b"], "region": "PT"}),
        ({"tactful_intents": "advertise", "tactful_topics": "news"}, {"intents": ["advertise"], "topics": ["news"]}),
        ({"tactful_classes": "transactional"}, {"classes": ["transactional"]}),
    ],
)
async def test_a_scope_is_given_as_words_or_as_json(
    service: Running, annotations: dict[str, str], scope: dict[str, Any]
) -> None:
    (item,) = (await post(service, bare(**annotations)))["items"]
    assert "errors" not in item
    assert (await shown(service))["scope"] == scope


@pytest.mark.parametrize(
    ("annotations", "pointer", "detail"),
    [
        ({"tactful_channels": "email, smoke"}, "/tactful_scope", "`smoke` is none of"),
        ({"tactful_channel": "email"}, "/tactful_channel", "did you mean `tactful_channels`?"),
        ({"tactful_scope": "email"}, "/tactful_scope", "not JSON"),
        ({"tactful_scope": "[]"}, "/tactful_scope", "not a JSON object"),
        ({"tactful_scope": '{"chanels": ["sms"]}'}, "/tactful_scope", "did you mean `channels`?"),
        ({"tactful_scope": "{}", "tactful_region": "PT"}, "/tactful_scope", "one JSON object or in single words"),
    ],
)
async def test_a_scope_that_is_not_understood_holds_everything_and_is_told(
    service: Running, annotations: dict[str, str], pointer: str, detail: str
) -> None:
    (item,) = (await post(service, bare(**annotations)))["items"]
    assert item["result"] == "placed"
    assert any(error["pointer"] == pointer and detail in error["detail"] for error in item["errors"]), item
    hold = await shown(service)
    assert hold["scope"] == {}
    assert hold["reason"] == f"CheckoutErrorsHigh: Checkout is failing (not understood: {pointer[1:]})"


async def test_a_mode_that_is_not_understood_defers(service: Running) -> None:
    (item,) = (await post(service, bare(tactful_mode="stop", tactful_channels="sms")))["items"]
    assert [error["pointer"] for error in item["errors"]] == ["/tactful_mode"]
    hold = await shown(service)
    assert (hold["mode"], hold["scope"]) == ("defer", {"channels": ["sms"]})


async def test_a_hold_may_drop_and_last_for_so_long_at_most(service: Running) -> None:
    await post(service, firing(None, tactful_mode="drop", tactful_for="6h"))
    hold = await shown(service)
    assert (hold["mode"], hold["until"]) == ("drop", "2026-03-02T15:58:13.517000Z")
    service.clock.set(NOW + DAY)
    assert await told(service, firing(None, tactful_mode="drop", tactful_for="6h")) == ["ignored"]


async def test_an_alert_that_has_fired_for_longer_than_it_may_hold_places_nothing(service: Running) -> None:
    assert await told(service, firing(None, tactful_for="1m")) == ["lapsed"]
    assert await service.client.get_holds() == ()


async def test_a_length_that_is_not_understood_leaves_the_hold_without_an_end(service: Running) -> None:
    (item,) = (await post(service, firing(None, tactful_for="long")))["items"]
    assert item["result"] == "placed" and [error["pointer"] for error in item["errors"]] == ["/tactful_for"]
    assert "until" not in await shown(service)


async def test_it_answers_202_while_handovers_are_under_way(service: Running) -> None:
    service.handovers.under_way.add(1)
    assert (await post(service, FIRING, 202))["in_flight"] == 1
    (asked,) = service.handovers.asked
    assert (asked.channels, asked.classes) == (("email", "sms"), ("marketing",))


@pytest.mark.parametrize(
    ("role", "status"), [("operator", 200), ("viewer", 403), ("marketer", 403), ("publisher", 403)]
)
async def test_roles(service: Running, role: str, status: int) -> None:
    await post(service, FIRING, status, role)


async def test_a_stranger_is_turned_away(service: Running) -> None:
    headers = {"Authorization": "Bearer nobody"}
    assert (await service.http.post("/v1/holds/alertmanager", json=FIRING, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"version": "3"}, "/version"),
        ({"alerts": [{**FIRING["alerts"][0], "fingerprint": "../lift"}]}, "/alerts/0/fingerprint"),
        ({"alerts": [{**FIRING["alerts"][0], "startsAt": "yesterday"}]}, "/alerts/0/startsAt"),
        ({"alerts": [{**FIRING["alerts"][0], "status": "suppressed"}]}, "/alerts/0/status"),
        ({"alerts": FIRING["alerts"] * 201}, "/alerts"),
    ],
)
async def test_what_alertmanager_never_sends_is_refused_as_a_whole(
    service: Running, change: dict[str, Any], pointer: str
) -> None:
    answer = await post(service, {**FIRING, **change}, 422)
    assert [error["pointer"] for error in answer["errors"]] == [pointer]
    assert await service.client.get_holds() == ()


async def test_fields_of_later_releases_are_let_pass(service: Running) -> None:
    assert await told(service, {**FIRING, "notificationReason": "firing"}) == ["placed"]


async def test_alerts_are_counted_by_what_came_of_them(service: Running) -> None:
    await post(service, FIRING)
    await post(service, FIRING)
    assert (service.metric("alerts_total", result="placed"), service.metric("alerts_total", result="ignored")) == (1, 1)


async def test_alerts_of_long_ago_are_forgotten(service: Running) -> None:
    await post(service, FIRING)
    service.clock.set(NOW + 100 * DAY)
    other = firing({"fingerprint": "0" * 16, "startsAt": format_instant(NOW + 100 * DAY)})
    await post(service, other)
    async with service.database.read() as tx:
        rows = await tx.rows("SELECT fingerprint FROM alert")
    assert [row.fingerprint for row in rows] == ["0" * 16]
