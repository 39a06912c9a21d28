"""The policy over HTTP: versions, approval, and what activation hands to the other services."""

import asyncio
from typing import Any

import pytest

from services.orchestrator.campaigns import store
from tests.support.orchestrator_app import World, campaign, policy_document

pytestmark = pytest.mark.wired

SITUATIONS = "/internal/suppression/situations"
TOPICS = "/internal/preference/topics"


async def put(here: World, document: dict[str, Any], **options: Any) -> Any:
    return await here.call("marketer", "PUT", "/v1/policy", json=document, **options)


async def approved(here: World, document: dict[str, Any]) -> int:
    number = int((await put(here, document)).json()["version"])
    for role, action in (("marketer", "submit"), ("approver", "approve")):
        answer = await here.call(role, "POST", f"/v1/policy/versions/{number}/{action}")
        assert answer.status_code == 200, answer.text
    return number


async def test_the_first_put_is_201_and_later_ones_make_further_drafts(here: World) -> None:
    assert (await here.call("viewer", "GET", "/v1/policy")).status_code == 404
    first = await put(here, policy_document())
    assert (first.status_code, first.json()["version"], first.json()["status"]) == (201, 1, "draft")
    assert first.json()["week_start"] == "monday"
    again = await put(here, policy_document())
    assert (again.status_code, again.json()["version"]) == (200, 1)
    second = await put(here, policy_document(zone="Europe/Paris"))
    assert (second.status_code, second.json()["version"]) == (200, 2)
    assert (await here.call("viewer", "GET", "/v1/policy")).json()["version"] == 2


async def test_activation_hands_over_situations_and_topics_before_it_counts(here: World) -> None:
    number = await approved(here, policy_document())
    answer = await here.call("approver", "POST", f"/v1/policy/versions/{number}/activate")
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    assert [path for path, _ in here.others.handed] == [SITUATIONS, TOPICS]
    handed = dict(here.others.handed)
    assert handed[SITUATIONS]["policy_version"] == number
    assert handed[SITUATIONS]["situations"][0]["kind"] == "complaint"
    assert handed[SITUATIONS]["situations"][0]["lapses"] == "180d"
    assert [topic["key"] for topic in handed[TOPICS]["topics"]] == ["referrals", "account"]
    async with here.database.read() as tx:
        assert (await store.get_catalogue_state(tx)).active_policy == number


@pytest.mark.parametrize("broken", [SITUATIONS, TOPICS])
async def test_while_another_service_is_away_it_stays_approved_and_can_be_repeated(here: World, broken: str) -> None:
    number = await approved(here, policy_document())
    here.others.broken.add(broken)
    answer = await here.call("approver", "POST", f"/v1/policy/versions/{number}/activate")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert (await here.call("viewer", "GET", f"/v1/policy/versions/{number}")).json()["status"] == "approved"
    async with here.database.read() as tx:
        assert (await store.get_catalogue_state(tx)).active_policy is None
    here.others.broken.clear()
    assert (await here.call("approver", "POST", f"/v1/policy/versions/{number}/activate")).status_code == 200


async def test_a_new_active_version_replaces_the_former_and_an_older_one_cannot_come_back(here: World) -> None:
    older = await approved(here, policy_document(zone="Europe/Paris"))
    first = await here.enact(policy_document())
    second = await here.enact(policy_document(zone="Europe/Lisbon"))
    statuses = {
        item["version"]: item["status"]
        for item in (await here.call("viewer", "GET", "/v1/policy/versions")).json()["items"]
    }
    assert statuses == {older: "approved", first: "replaced", second: "active"}
    assert (await here.call("viewer", "GET", "/v1/policy")).json()["version"] == second
    back = await here.call("approver", "POST", f"/v1/policy/versions/{older}/activate")
    assert (back.status_code, back.json()["code"]) == (409, "wrong_state")
    assert here.others.handed[-1][1]["policy_version"] == second


async def test_of_activations_at_once_the_highest_version_ends_up_active(here: World) -> None:
    numbers = [await approved(here, policy_document(zone=zone)) for zone in ("Europe/Paris", "Europe/Rome")]
    await here.key_of("approver")
    answers = await asyncio.gather(
        *(here.call("approver", "POST", f"/v1/policy/versions/{number}/activate") for number in numbers)
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    async with here.database.read() as tx:
        assert (await store.get_catalogue_state(tx)).active_policy == numbers[1]
        active = [version for version in await store.list_policy_versions(tx, 99, 10) if version.status == "active"]
    assert [version.version for version in active] == [numbers[1]]


async def test_a_policy_of_thousands_of_rules_is_refused(here: World) -> None:
    hours = [{"id": f"q{number}", "from": "21:00", "to": "08:00"} for number in range(2000)]
    answer = await here.call("admin", "PUT", "/v1/policy", json={"zone": "UTC", "quiet_hours": hours})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, "too_large")
    assert "at most 65536" in error["detail"]


async def test_nobody_approves_their_own_policy(here: World) -> None:
    await here.call("admin", "PUT", "/v1/policy", name="ada", json=policy_document())
    await here.call("admin", "POST", "/v1/policy/versions/1/submit", name="ada")
    own = await here.call("admin", "POST", "/v1/policy/versions/1/approve", name="ada")
    assert (own.status_code, own.json()["code"]) == (403, "own_edit")


async def test_a_wrong_state_and_a_missing_version_are_told_apart(here: World) -> None:
    await put(here, policy_document())
    early = await here.call("approver", "POST", "/v1/policy/versions/1/activate")
    assert (early.status_code, early.json()["code"]) == (409, "wrong_state")
    assert "submit" in early.json()["detail"]
    assert here.others.handed == []
    assert (await here.call("approver", "POST", "/v1/policy/versions/2/activate")).status_code == 404
    assert (await here.call("approver", "POST", "/v1/policy/versions/1/pause")).status_code == 404


async def test_a_stale_etag_is_refused(here: World) -> None:
    first = await put(here, policy_document())
    tag = {"If-Match": first.headers["etag"]}
    assert (await put(here, policy_document(zone="Europe/Paris"), headers=tag)).status_code == 200
    assert (await put(here, policy_document(zone="Europe/Rome"), headers=tag)).status_code == 412


BAD = [
    ({"zone": "Europe/Berlim"}, ""),
    ({"frequency_cap": []}, "/frequency_cap"),
    (
        {"situations": [{"kind": "low", "opens": [{"event": "x", "when": "event.data.score <="}]}]},
        "/situations/0/opens/0/when",
    ),
    (
        {"situations": [{"kind": "low", "opens": [{"event": "tactful.feedback.gven"}]}]},
        "/situations/0/opens/0/event",
    ),
    (
        {"situations": [{"kind": "low", "opens": [{"event": "x", "when": "customer.id == 'a'"}]}]},
        "/situations/0/opens/0/when",
    ),
    ({"shadow": ["no-such-rule"]}, ""),
]


@pytest.mark.parametrize("changes, pointer", BAD)
async def test_a_bad_policy_is_refused_with_a_pointer(here: World, changes: dict[str, Any], pointer: str) -> None:
    answer = await put(here, policy_document(**{"contact_history": [], **changes}))
    assert answer.status_code == 422
    assert any(item["pointer"].startswith(pointer) for item in answer.json()["errors"]), answer.text


async def test_only_transactional_campaigns_may_fail_open(here: World) -> None:
    await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign())
    answer = await put(here, policy_document(fail_open=["not-known-yet", "referral-ask"]))
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("/fail_open/1", "not_transactional")]
    assert (await put(here, policy_document(fail_open=["not-known-yet"]))).status_code == 201


async def test_another_key_of_the_editor_does_not_approve_a_policy(here: World) -> None:
    for name, role, person in (("desk", "marketer", "ada"), ("phone", "approver", "ada"), ("eve", "approver", "eve")):
        body = {"name": name, "role": role, "person": person}
        here.keys[name] = (await here.call("admin", "POST", "/v1/keys", name="root", json=body)).json()["key"]
    number = (await here.call("marketer", "PUT", "/v1/policy", name="desk", json=policy_document())).json()["version"]
    path = f"/v1/policy/versions/{number}"
    assert (await here.call("marketer", "POST", f"{path}/submit", name="desk")).status_code == 200
    own = await here.call("approver", "POST", f"{path}/approve", name="phone")
    assert (own.status_code, own.json()["code"]) == (403, "own_edit")
    assert (await here.call("approver", "POST", f"{path}/approve", name="eve")).status_code == 200
