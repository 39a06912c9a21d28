"""Campaigns over HTTP: versions, life cycle, four eyes, ETags, and what is refused."""

import asyncio
from typing import Any

import httpx
import pytest

from services.orchestrator.campaigns import store
from tests.support.orchestrator_app import World, campaign, policy_document

pytestmark = pytest.mark.wired

PATH = "/v1/campaigns/referral-ask"


def codes(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {item["pointer"]: item["code"] for item in answer.json()["errors"]}


async def lead(here: World, *steps: str) -> httpx.Response:
    answer: httpx.Response | None = None
    for step in steps:
        role, action = step.split()
        answer = await here.call(role, "POST", f"{PATH}/{action}")
        assert answer.status_code == 200, answer.text
    assert answer is not None
    return answer


async def version_seen_by_deciding(here: World) -> int:
    async with here.database.read() as tx:
        return (await store.get_catalogue_state(tx)).version


async def test_a_new_campaign_is_a_draft_and_shows_its_document_with_defaults(here: World) -> None:
    answer = await here.call("marketer", "PUT", PATH, json=campaign(ttl="72h"))
    assert answer.status_code == 201
    body = answer.json()
    assert (body["key"], body["version"], body["status"]) == ("referral-ask", 1, "draft")
    assert (body["ttl"], body["priority"], body["strategy"]) == ("72h", 50, "first")
    assert (body["editor"], body["active_version"]) == ("person-marketer", None)
    read = await here.call("viewer", "GET", PATH)
    assert {**read.json(), "findings": body["findings"]} == body
    assert read.headers["etag"] == answer.headers["etag"]


async def test_what_never_can_be_sent_is_refused_and_what_may_fail_is_a_warning(here: World) -> None:
    text = "{{ event.data.total | times: 2 }} {{ customer.traits.name | default: 'you' }}"
    refused = await here.call(
        "marketer", "PUT", PATH, json=campaign(content={"sms": {"en": {"text": "x" * 1700 + text}}})
    )
    assert codes(refused) == {"/content/sms/en/text": "too_long"}
    [error] = refused.json()["errors"]
    assert (error["line"], error["column"], error["suggestion"]) == (1, 1601, "shorten the text")
    saved = await here.call("marketer", "PUT", PATH, json=campaign(content={"sms": {"en": {"text": text}}}))
    assert saved.status_code == 201, saved.text
    found = [each for each in saved.json()["findings"] if each["code"] == "may_fail"]
    assert [(each["pointer"], each["variable"], each["severity"]) for each in found] == [
        ("/content/sms/en/text", "event.data.total", "warning"),
        ("/content/sms/en/text", "customer.traits.name", "warning"),
    ]
    assert (found[0]["line"], found[0]["column"]) == (1, 4)
    assert "`event.data.total` is missing" in found[0]["detail"]
    again = (await here.call("marketer", "POST", f"{PATH}/submit")).json()
    assert again["findings"] == saved.json()["findings"]


async def test_a_campaign_that_has_ended_is_neither_saved_nor_led_on(here: World) -> None:
    over = campaign(end="2026-03-02T12:00:00Z")
    assert codes(await here.call("marketer", "PUT", PATH, json=over)) == {"/end": "already_over"}
    preview = {"campaign": over, "customer": "c-1", "sample": {}, "event": {"type": "shop.order.delivered", "data": {}}}
    assert codes(await here.call("marketer", "POST", "/v1/preview", json=preview)) == {"/campaign/end": "already_over"}
    later = campaign(end="2026-03-02T12:00:01Z")
    assert (await here.call("marketer", "PUT", PATH, json=later)).status_code == 201
    here.clock.advance(1_000_000)
    assert codes(await here.call("marketer", "POST", f"{PATH}/submit")) == {"/end": "already_over"}


@pytest.mark.parametrize("event", ["shop.offer\x85", "shop\x1b.offer", "\u202eshop.offer", "\n", "ä" * 200])
async def test_a_type_that_no_event_can_have_is_refused(here: World, event: str) -> None:
    document = campaign(trigger={"event": event})
    assert codes(await here.call("marketer", "PUT", PATH, json=document)) == {"/trigger/event": "unknown_type"}


async def test_an_audience_that_no_event_of_the_trigger_is_in_is_refused(here: World) -> None:
    other = campaign(audience="event.type == 'shop.order.deliverd'")
    assert codes(await here.call("marketer", "PUT", PATH, json=other)) == {"/audience": "bad_condition"}


async def test_the_whole_life_of_a_campaign(here: World) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    assert (await lead(here, "marketer submit")).json()["submitted_by"] == "person-marketer"
    approved = (await lead(here, "approver approve")).json()
    assert (approved["status"], approved["approved_by"]) == ("approved", "person-approver")
    assert approved["approved_at"] == "2026-03-02T12:00:00Z"
    active = (await lead(here, "marketer activate")).json()
    assert (active["status"], active["active_version"], active["active_status"]) == ("active", 1, "active")
    assert (await lead(here, "operator pause")).json()["status"] == "paused"
    assert (await lead(here, "marketer activate")).json()["status"] == "active"
    assert (await lead(here, "operator stop")).json()["status"] == "stopped"
    again = await here.call("approver", "POST", f"{PATH}/activate")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    assert "stopped" in again.json()["detail"]


async def test_every_step_is_logged_with_who_and_why(here: World) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    await lead(here, "marketer submit")
    await here.call("approver", "POST", f"{PATH}/reject", json={"reason": "The tone is too loud"})
    async with here.database.read() as tx:
        log = await store.list_log_entries(tx, "campaign", "referral-ask")
    assert [(c.action, c.before, c.after, c.by) for c in log] == [
        ("put", None, "draft", "person-marketer"),
        ("submit", "draft", "submitted", "person-marketer"),
        ("reject", "submitted", "draft", "person-approver"),
    ]
    assert log[-1].reason == "The tone is too loud"
    assert (await here.call("viewer", "GET", PATH)).json()["note"] == "The tone is too loud"


async def test_deciding_is_told_of_what_it_must_see_and_of_nothing_else(here: World) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    await lead(here, "marketer submit", "approver approve")
    assert await version_seen_by_deciding(here) == 0
    for number, step in enumerate(("marketer activate", "marketer pause", "marketer activate", "operator stop"), 1):
        await lead(here, step)
        assert await version_seen_by_deciding(here) == number


async def test_a_put_on_an_active_campaign_makes_the_next_draft_while_it_goes_on(here: World) -> None:
    await here.launch(campaign())
    answer = await here.call("marketer", "PUT", PATH, json=campaign(priority=70))
    body = answer.json()
    assert (answer.status_code, body["version"], body["status"]) == (200, 2, "draft")
    assert (body["active_version"], body["active_status"]) == (1, "active")
    paused = (await lead(here, "marketer pause")).json()
    assert (paused["version"], paused["status"]) == (1, "paused")
    await lead(here, "marketer submit", "approver approve")
    active = (await lead(here, "approver activate")).json()
    assert (active["version"], active["active_version"], active["active_status"]) == (2, 2, "active")
    former = (await here.call("viewer", "GET", f"{PATH}/versions/1")).json()
    assert (former["status"], former["priority"]) == ("replaced", 50)


async def test_a_paused_campaign_resumes_while_a_draft_is_in_the_making(here: World) -> None:
    await here.launch(campaign())
    await here.call("marketer", "PUT", PATH, json=campaign(priority=70))
    await lead(here, "marketer pause")
    resumed = (await lead(here, "marketer activate")).json()
    assert (resumed["version"], resumed["status"]) == (1, "active")


async def test_the_same_draft_again_changes_nothing_and_another_one_replaces_it(here: World) -> None:
    first = await here.call("marketer", "PUT", PATH, json=campaign())
    again = await here.call("marketer", "PUT", PATH, json=campaign())
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert again.headers["etag"] == first.headers["etag"]
    other = await here.call("marketer", "PUT", PATH, json=campaign(priority=1))
    assert other.json()["version"] == 2
    assert (await here.call("viewer", "GET", f"{PATH}/versions/1")).json()["status"] == "replaced"


async def test_nobody_approves_their_own_last_edit(here: World) -> None:
    await here.call("admin", "PUT", PATH, name="ada", json=campaign())
    await here.call("admin", "POST", f"{PATH}/submit", name="ada")
    own = await here.call("admin", "POST", f"{PATH}/approve", name="ada")
    assert (own.status_code, own.json()["code"]) == (403, "own_edit")
    for spelling in ("Ada", "ad\u0430", "a d\u200ba"):  # keys of earlier versions may have such names
        async with here.database.write() as tx:
            await tx.execute("UPDATE api_key SET name = :name WHERE role = 'admin'", name=spelling)
        same_person = await here.call("admin", "POST", f"{PATH}/approve", name="ada")
        assert same_person.json()["code"] == "own_edit"
    async with here.database.write() as tx:
        await tx.execute("UPDATE api_key SET name = 'ada' WHERE role = 'admin'")
    await here.call("admin", "PUT", PATH, name="grace", json=campaign(priority=51))
    await here.call("admin", "POST", f"{PATH}/submit", name="grace")
    assert (await here.call("admin", "POST", f"{PATH}/approve", name="ada")).status_code == 200


async def test_an_admin_does_not_approve_with_a_key_of_their_making(here: World) -> None:
    made = await here.call("admin", "POST", "/v1/keys", name="ada", json={"name": "puppet", "role": "approver"})
    here.keys["puppet"] = made.json()["key"]
    await here.call("admin", "PUT", PATH, name="ada", json=campaign())
    await here.call("admin", "POST", f"{PATH}/submit", name="ada")
    refused = await here.call("approver", "POST", f"{PATH}/approve", name="puppet")
    assert (refused.status_code, refused.json()["code"]) == (403, "own_edit")
    assert "`ada`, who made a key of yours" in refused.json()["detail"]
    assert (await here.call("approver", "POST", f"{PATH}/approve")).status_code == 200


async def make_key(here: World, maker: str, name: str, role: str, **fields: str) -> None:
    """Have an admin make a key, with which `name` acts here from now on."""
    body = {"name": name, "role": role, **fields}
    made = await here.call("admin", "POST", "/v1/keys", name=maker, json=body)
    assert made.status_code == 201, made.text
    here.keys[name] = made.json()["key"]


async def submit_as(here: World, role: str, name: str) -> None:
    assert (await here.call(role, "PUT", PATH, name=name, json=campaign())).status_code == 201
    assert (await here.call(role, "POST", f"{PATH}/submit", name=name)).status_code == 200


async def approval_code(here: World, name: str, role: str = "approver") -> str:
    answer = await here.call(role, "POST", f"{PATH}/approve", name=name)
    return "approved" if answer.status_code == 200 else str(answer.json()["code"])


async def test_another_key_of_the_same_person_is_no_second_pair_of_eyes(here: World) -> None:
    await make_key(here, "root", "desk", "marketer", person="ada")
    await make_key(here, "root", "phone", "approver", person="ada")
    await make_key(here, "root", "ada", "approver")  # a program's key with the person's name
    await make_key(here, "root", "grace-1", "approver", person="grace")
    await submit_as(here, "marketer", "desk")
    assert await approval_code(here, "phone") == "own_edit"
    assert await approval_code(here, "ada") == "own_edit"
    assert await approval_code(here, "grace-1") == "approved"


async def test_a_key_made_by_another_key_of_the_editor_is_refused(here: World) -> None:
    await make_key(here, "root", "ada-admin", "admin", person="ada")
    await make_key(here, "root", "desk", "marketer", person="ada")
    await make_key(here, "ada-admin", "helper", "admin", person="zoe")
    await make_key(here, "helper", "puppet", "approver", person="eve")
    await submit_as(here, "marketer", "desk")
    assert await approval_code(here, "puppet") == "own_edit"
    assert await approval_code(here, "helper", "admin") == "own_edit"


async def test_a_rotated_key_is_that_of_its_holder_and_of_whoever_rotated_it(here: World) -> None:
    await make_key(here, "root", "desk", "marketer", person="ada")
    await make_key(here, "root", "phone", "approver", person="ada")
    await make_key(here, "root", "eve", "approver", person="eve")
    for name, maker in (("phone", "root"), ("eve", "mallory")):
        listed = (await here.call("admin", "GET", "/v1/keys", name="root")).json()["items"]
        id = next(item["id"] for item in listed if item["name"] == name)
        new = (await here.call("admin", "POST", f"/v1/keys/{id}/rotate", name=maker, json={})).json()
        here.keys[name] = new["key"]
    assert new["person"] == "eve"
    await submit_as(here, "marketer", "desk")
    assert await approval_code(here, "phone") == "own_edit"
    await here.call("admin", "PUT", PATH, name="mallory", json=campaign(priority=3))
    await here.call("admin", "POST", f"{PATH}/submit", name="mallory")
    assert await approval_code(here, "eve") == "own_edit"


async def test_a_key_that_is_renamed_is_known_by_its_id(here: World) -> None:
    await make_key(here, "root", "desk", "admin", person="ada")
    await submit_as(here, "admin", "desk")
    async with here.database.write() as tx:
        await tx.execute("UPDATE api_key SET name = 'someone', person = 'else' WHERE name = 'desk'")
    assert await approval_code(here, "desk", "admin") == "own_edit"
    await make_key(here, "desk", "puppet", "approver", person="eve")
    assert await approval_code(here, "puppet") == "own_edit"


async def test_a_change_of_something_that_has_changed_is_refused(here: World) -> None:
    first = await here.call("marketer", "PUT", PATH, json=campaign())
    tag = first.headers["etag"]
    changed = await here.call("marketer", "PUT", PATH, json=campaign(priority=1), headers={"If-Match": tag})
    assert changed.status_code == 200
    for method, path in (("PUT", PATH), ("POST", f"{PATH}/submit")):
        body = campaign(priority=2) if method == "PUT" else None
        stale = await here.call("marketer", method, path, json=body, headers={"If-Match": tag})
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    fresh = {"If-Match": f'"x", {changed.headers["etag"]}'}
    assert (await here.call("marketer", "POST", f"{PATH}/submit", headers=fresh)).status_code == 200


async def test_if_match_on_nothing_and_if_none_match_on_something_are_refused(here: World) -> None:
    absent = await here.call("marketer", "PUT", PATH, json=campaign(), headers={"If-Match": "*"})
    assert absent.status_code == 412
    assert (await here.call("viewer", "GET", PATH)).status_code == 404
    only_new = {"If-None-Match": "*"}
    assert (await here.call("marketer", "PUT", PATH, json=campaign(), headers=only_new)).status_code == 201
    assert (await here.call("marketer", "PUT", PATH, json=campaign(priority=3), headers=only_new)).status_code == 412


CONTROL = "control_character"
NAMED = {"channels": ["push"], "content": {"push": {"en": {"title": "{{ campaign.name }}", "body": "x"}}}}
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"priorty": 3}, "/priorty", "unknown_field"),
    ({"approved_by": "me"}, "/approved_by", "unknown_field"),
    ({"key": "other"}, "/key", "wrong_key"),
    ({"audience": "customer.traits.vip =="}, "/audience", "bad_condition"),
    ({"audience": "customers.traits.vip"}, "/audience", "bad_condition"),
    ({"trigger": {"event": "x", "when": "event.dat.total > 1"}}, "/trigger/when", "bad_condition"),
    ({"content": {"sms": {"en": {"text": "{{ oops"}}}}, "/content/sms/en/text", "template_syntax"),
    ({"channels": []}, "/channels", "too_short"),
    ({"strategy": "fallback"}, "/fallback_after", "value_error"),
    ({"strategy": "fallback", "fallback_after": "59s"}, "/fallback_after", "value_error"),
    ({"strategy": "fallback", "fallback_after": "8d"}, "/fallback_after", "value_error"),
    ({"strategy": "first", "fallback_after": "30m"}, "/fallback_after", "value_error"),
    ({"strategy": "fallbck"}, "/strategy", "value_error"),
    ({"holdout": "5"}, "/holdout", "float_type"),
    ({"trigger": {"event": "tactful.customer.identifed"}}, "/trigger/event", "unknown_type"),
    ({"trigger": {"event": "Tactful.Customer.Erased"}}, "/trigger/event", "unknown_type"),
    ({"audience": "customer.zone.city == 'Berlin'"}, "/audience", "bad_condition"),
    ({"audience": "customer.country == 'de'"}, "/audience", "bad_condition"),
    ({"audience": "event.data.total / 0 > 1"}, "/audience", "bad_condition"),
    ({"name": "News\nfor you", **NAMED}, "/content/push/en/title", CONTROL),
    ({"name": "x" * 101, **NAMED}, "/content/push/en/title", "too_long"),
    ({"content": {"sms": {"english": {"text": "x"}}}}, "/content/sms/english", "value_error"),
]


@pytest.mark.parametrize("changes, pointer, code", BAD)
async def test_a_bad_document_is_refused_with_a_pointer(
    here: World, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await here.call("marketer", "PUT", PATH, json=campaign(**changes))
    assert codes(answer)[pointer] == code
    assert (await here.call("viewer", "GET", PATH)).status_code == 404


async def test_all_faults_are_told_at_once_with_hints_and_places(here: World) -> None:
    bad = campaign(audience="customer.trait.vip", content={"sms": {"en": {"text": "{{ custmer.id }}"}}})
    bad["trigger"] = {"event": "x", "when": "event.data.total >"}
    answer = await here.call("marketer", "PUT", PATH, json=bad)
    assert {"/audience", "/trigger/when", "/content/sms/en/text"} <= set(codes(answer))
    details = {item["pointer"]: item["detail"] for item in answer.json()["errors"]}
    assert details["/trigger/when"].startswith("line 1, column ")
    assert "`traits`" in details["/audience"]
    typo = await here.call("marketer", "PUT", PATH, json=campaign(priorty=3))
    assert typo.json()["errors"][0]["detail"] == "unknown field `priorty`, did you mean `priority`?"


async def test_the_topic_of_marketing_must_be_one_that_customers_can_switch_off(here: World) -> None:
    assert (await here.call("marketer", "PUT", PATH, json=campaign(topic="whatever"))).status_code == 201
    await here.enact(policy_document())
    unknown = await here.call("marketer", "PUT", PATH, json=campaign(topic="referal"))
    assert codes(unknown) == {"/topic": "unknown_topic"}
    assert "`referrals`" in unknown.json()["errors"][0]["detail"]
    required = await here.call("marketer", "PUT", PATH, json=campaign(topic="account"))
    assert codes(required) == {"/topic": "required_topic"}
    service = campaign(topic="account", **{"class": "service"})
    assert (await here.call("marketer", "PUT", PATH, json=service)).status_code == 200


async def test_campaigns_and_versions_are_listed_in_pages(here: World) -> None:
    for name in ("c", "a", "b"):
        await here.call("marketer", "PUT", f"/v1/campaigns/{name}", json=campaign(key=name))
    first = (await here.call("viewer", "GET", "/v1/campaigns?limit=2")).json()
    assert [item["key"] for item in first["items"]] == ["a", "b"]
    assert "content" not in first["items"][0]
    rest = (await here.call("viewer", "GET", f"/v1/campaigns?limit=2&after={first['next']}")).json()
    assert ([item["key"] for item in rest["items"]], rest["next"]) == (["c"], None)
    for priority in (1, 2):
        await here.call("marketer", "PUT", "/v1/campaigns/a", json=campaign(key="a", priority=priority))
    newest = (await here.call("viewer", "GET", "/v1/campaigns/a/versions?limit=2")).json()
    assert [item["version"] for item in newest["items"]] == [3, 2]
    oldest = (await here.call("viewer", "GET", f"/v1/campaigns/a/versions?after={newest['next']}")).json()
    assert [item["version"] for item in oldest["items"]] == [1]


@pytest.mark.parametrize(
    "path, status",
    [
        ("/v1/campaigns/nobody", 404),
        ("/v1/campaigns/nobody/versions", 404),
        ("/v1/campaigns/nobody/versions/1", 404),
        ("/v1/campaigns/NOT A KEY", 422),
        ("/v1/campaigns?limit=0", 422),
        ("/v1/campaigns?limit=201", 422),
        ("/v1/campaigns?after=nonsense", 422),
        ("/v1/campaigns?order=key", 422),
    ],
)
async def test_what_is_not_there_or_not_understood_is_told(here: World, path: str, status: int) -> None:
    answer = await here.call("viewer", "GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_an_action_takes_a_reason_and_nothing_else(here: World) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    answer = await here.call("marketer", "POST", f"{PATH}/submit", json={"approved_by": "me"})
    assert answer.status_code == 422
    assert (await here.call("viewer", "GET", PATH)).json()["status"] == "draft"


async def test_the_same_idempotency_key_is_one_effect_and_one_answer(here: World) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    once = {"Idempotency-Key": "k-1"}
    first = await here.call("marketer", "POST", f"{PATH}/submit", headers=once)
    again = await here.call("marketer", "POST", f"{PATH}/submit", headers=once)
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    other = await here.call("marketer", "POST", f"{PATH}/submit", headers=once, json={"reason": "other"})
    assert other.status_code == 422


async def test_edits_at_once_make_one_version_each_and_only_the_newest_is_open(here: World) -> None:
    await here.key_of("marketer")
    answers = await asyncio.gather(
        *(here.call("marketer", "PUT", PATH, json=campaign(priority=number)) for number in range(5))
    )
    assert sorted(answer.json()["version"] for answer in answers) == [1, 2, 3, 4, 5]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    items = (await here.call("viewer", "GET", f"{PATH}/versions")).json()["items"]
    assert [item["status"] for item in items] == ["draft"] + ["replaced"] * 4


async def test_of_two_approvals_at_once_one_is_a_wrong_state(here: World) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    await lead(here, "marketer submit")
    await here.key_of("approver")
    answers = await asyncio.gather(*(here.call("approver", "POST", f"{PATH}/approve") for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_campaign_may_be_called_policy(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign(key="policy"))
    assert (await here.call("viewer", "GET", "/v1/policy")).json()["zone"] == "Europe/Berlin"
    assert (await here.call("viewer", "GET", "/v1/campaigns/policy")).json()["status"] == "active"
