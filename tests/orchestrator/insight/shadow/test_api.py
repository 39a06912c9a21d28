"""Versions in shadow over HTTP: their life, who may start one, and what is shown of them."""

from typing import Any

import httpx
import pytest

from schemas.vocabulary import CampaignStatus as Status
from services.orchestrator.campaigns import store as catalogue
from services.orchestrator.explain import as_of
from services.orchestrator.insight.shadow import store
from services.orchestrator.insight.shadow.observations import ShadowObservation, ShadowObservations, ShadowVersion
from services.orchestrator.policy.match import Catalogue
from tests.support import decision_records
from tests.support.orchestrator_app import NOON, World, campaign, policy_document

pytestmark = pytest.mark.wired

PATH = "/v1/campaigns/referral-ask"


async def lead(here: World, path: str, *steps: str) -> httpx.Response:
    for step in steps:
        answer = await here.call("approver" if step != "submit" else "marketer", "POST", f"{path}/{step}")
        assert answer.status_code == 200, answer.text
    return answer


async def campaign_in_shadow(here: World, **changes: Any) -> httpx.Response:
    await here.call("marketer", "PUT", PATH, json=campaign(**changes))
    return await lead(here, PATH, "submit", "approve", "shadow")


async def policy_in_shadow(here: World, **changes: Any) -> str:
    number = (await here.call("marketer", "PUT", "/v1/policy", json=policy_document(**changes))).json()["version"]
    path = f"/v1/policy/versions/{number}"
    await lead(here, path, "submit", "approve", "shadow")
    return path


async def seen(here: World) -> Catalogue:
    async with here.database.read() as tx:
        return await here.snapshot.get_catalogue(tx)


async def counted(here: World, of: ShadowVersion, *outcomes: str, live: str = "suppress") -> None:
    found = [
        ShadowObservation(
            of,
            decision_records.decision(event, outcome=outcome),
            decision_records.decision(event, outcome=live),
            bool(live),
        )
        for number, outcome in enumerate(outcomes)
        for event in [decision_records.event(f"e-{number}")]
    ]
    async with here.database.write() as tx:
        await store.save_observations(tx, ShadowObservations(NOON, len(found), found))


async def test_a_campaign_goes_into_shadow_beside_its_active_version(here: World) -> None:
    await here.launch(campaign())
    body = (await campaign_in_shadow(here, priority=70)).json()
    assert (body["version"], body["status"]) == (2, "shadow")
    assert (body["active_version"], body["active_status"]) == (1, "active")
    assert {each["code"] for each in body["findings"]} == {"may_fail"}, "its text reads a trait"
    found = await seen(here)
    assert found.campaigns["referral-ask"].version == 1
    assert found.shadows is not None and found.shadows.policy is None
    watched = found.shadows.campaigns["referral-ask"]
    assert (watched.version, watched.active) == (2, True)
    assert here.snapshot.get_content("referral-ask", 2) is not here.snapshot.get_content("referral-ask", 1)


async def test_a_campaign_becomes_active_from_shadow(here: World) -> None:
    await campaign_in_shadow(here)
    assert (await seen(here)).campaigns == {}
    body = (await lead(here, PATH, "activate")).json()
    assert (body["status"], body["active_version"]) == ("active", 1)
    found = await seen(here)
    assert found.shadows is None and found.campaigns["referral-ask"].active


async def test_a_rejected_shadow_is_a_draft_again_and_judged_no_more(here: World) -> None:
    await campaign_in_shadow(here)
    body = (await lead(here, PATH, "reject")).json()
    assert (body["status"], body["approved_by"]) == ("draft", None)
    assert (await seen(here)).shadows is None


async def test_the_next_draft_ends_the_shadow(here: World) -> None:
    await campaign_in_shadow(here)
    assert (await here.call("marketer", "PUT", PATH, json=campaign(priority=1))).json()["version"] == 2
    assert (await here.call("viewer", "GET", f"{PATH}/versions/1")).json()["status"] == "replaced"
    assert (await seen(here)).shadows is None
    shown = (await here.call("viewer", "GET", f"{PATH}/shadow?version=1")).json()
    assert (shown["from"], shown["until"]) == ("2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z")


async def test_stop_ends_what_runs_first_and_a_shadow_where_nothing_runs(here: World) -> None:
    await here.launch(campaign())
    await campaign_in_shadow(here, priority=70)
    first = await here.call("operator", "POST", f"{PATH}/stop")
    assert (first.json()["version"], first.json()["status"]) == (1, "stopped")
    assert (await seen(here)).shadows is not None
    second = await here.call("operator", "POST", f"{PATH}/stop")
    assert (second.json()["version"], second.json()["status"]) == (2, "stopped")
    assert (await seen(here)).shadows is None
    async with here.database.read() as tx:
        assert [each.version for each in await as_of.list_status_changes(tx, "referral-ask")] == [1, 1, 1], (
            "version 2 never ran"
        )
        head = await catalogue.get_head(tx, "referral-ask")
    assert head is not None and (head.active_version, head.status) == (1, Status.STOPPED)


async def test_pause_concerns_what_runs_and_activate_the_shadow(here: World) -> None:
    await here.launch(campaign())
    await campaign_in_shadow(here, priority=70)
    assert (await lead(here, PATH, "pause")).json()["version"] == 1
    assert (await lead(here, PATH, "activate")).json()["version"] == 2


@pytest.mark.parametrize("steps", [(), ("submit",), ("submit", "approve", "activate")])
async def test_only_what_is_approved_goes_into_shadow(here: World, steps: tuple[str, ...]) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    if steps:
        await lead(here, PATH, *steps)
    answer = await here.call("approver", "POST", f"{PATH}/shadow")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


@pytest.mark.parametrize("role, may", [("marketer", True), ("approver", True), ("operator", False), ("viewer", False)])
async def test_who_may_activate_a_campaign_may_watch_it(here: World, role: str, may: bool) -> None:
    await here.call("marketer", "PUT", PATH, json=campaign())
    await lead(here, PATH, "submit", "approve")
    assert (await here.call(role, "POST", f"{PATH}/shadow")).status_code == (200 if may else 403)


async def test_one_policy_is_in_shadow_beside_the_active_one(here: World) -> None:
    active = await here.enact(policy_document())
    path = await policy_in_shadow(here, zone="Europe/Lisbon")
    handed = len(here.others.handed)
    found = await seen(here)
    assert found.policy.version == active
    assert found.shadows is not None and found.shadows.policy is not None
    assert (found.shadows.policy.version, found.shadows.policy.zone.name) == (active + 1, "Europe/Lisbon")
    other = (await here.call("marketer", "PUT", "/v1/policy", json=policy_document(zone="Europe/Rome"))).json()
    third = f"/v1/policy/versions/{other['version']}"
    await lead(here, third, "submit", "approve")
    refused = await here.call("approver", "POST", f"{third}/shadow")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert f"version {active + 1} of the policy is in shadow" in refused.json()["detail"]
    assert len(here.others.handed) == handed, "a shadow hands nothing over"
    await lead(here, path, "reject")
    assert (await seen(here)).shadows is None
    assert (await lead(here, third, "shadow")).json()["findings"] == []


async def test_a_policy_becomes_active_from_shadow(here: World) -> None:
    path = await policy_in_shadow(here)
    assert (await lead(here, path, "activate")).json()["status"] == "active"
    found = await seen(here)
    assert (found.policy.version, found.shadows) == (1, None)


async def test_marketers_do_not_put_a_policy_in_shadow(here: World) -> None:
    await here.call("marketer", "PUT", "/v1/policy", json=policy_document())
    await lead(here, "/v1/policy/versions/1", "submit", "approve")
    assert (await here.call("marketer", "POST", "/v1/policy/versions/1/shadow")).status_code == 403


async def test_a_shadow_that_cannot_be_read_any_more_stops_nobody(here: World) -> None:
    await here.launch(campaign(key="other"))
    await campaign_in_shadow(here)
    await policy_in_shadow(here)
    async with here.database.write() as tx:
        for table in ("campaign_version", "policy_version"):
            await tx.execute(f"UPDATE {table} SET document = '{{}}' WHERE status = 'shadow'")
    found = await seen(here)
    assert list(found.campaigns) == ["other"] and found.shadows is None


async def test_totals_agreement_and_table(here: World) -> None:
    await campaign_in_shadow(here)
    await counted(here, ShadowVersion("campaign", "referral-ask", 1), "send", "suppress", "suppress")
    await counted(here, ShadowVersion("campaign", "referral-ask", 1), "send", live="")
    shown = (await here.call("viewer", "GET", f"{PATH}/shadow")).json()
    assert (shown["key"], shown["version"], shown["status"]) == ("referral-ask", 1, "shadow")
    assert (shown["decisions"], shown["compared"], shown["agreed"], shown["agreement"]) == (4, 3, 2, 0.666667)
    assert [(row["outcome"], row["live"], row["count"]) for row in shown["table"]] == [
        ("send", None, 1),
        ("send", "suppress", 1),
        ("suppress", "suppress", 2),
    ]


async def test_samples_come_in_pages_and_by_kind(here: World) -> None:
    await campaign_in_shadow(here)
    of = ShadowVersion("campaign", "referral-ask", 1)
    await counted(here, of, *(["send"] * 5), "suppress")
    first = (await here.call("viewer", "GET", f"{PATH}/shadow?limit=4")).json()
    rest = (await here.call("viewer", "GET", f"{PATH}/shadow?limit=4&after={first['next']}")).json()
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (4, 2, None)
    agreeing = (await here.call("viewer", "GET", f"{PATH}/shadow?agrees=yes")).json()["items"]
    assert [item["agrees"] for item in agreeing] == [True]
    assert agreeing[0]["shadow"]["verdicts"][0]["rule"] == "campaign", "the full trace"
    assert (await here.call("viewer", "GET", f"{PATH}/shadow?agrees=unknown")).json()["items"] == []


async def test_what_was_never_in_shadow_is_not_found_or_empty(here: World) -> None:
    assert (await here.call("viewer", "GET", f"{PATH}/shadow")).status_code == 404
    await here.launch(campaign())
    assert (await here.call("viewer", "GET", f"{PATH}/shadow")).status_code == 404
    assert (await here.call("viewer", "GET", "/v1/policy/versions/1/shadow")).status_code == 404
    number = await here.enact(policy_document())
    empty = (await here.call("viewer", "GET", f"/v1/policy/versions/{number}/shadow")).json()
    assert (empty["decisions"], empty["agreement"], empty["from"], empty["items"]) == (0, None, None, [])
    assert (await here.call("publisher", "GET", f"/v1/policy/versions/{number}/shadow")).status_code == 403


async def test_the_newest_shadow_is_shown_and_older_ones_by_their_version(here: World) -> None:
    await campaign_in_shadow(here)
    await counted(here, ShadowVersion("campaign", "referral-ask", 1), "send")
    await here.call("marketer", "PUT", PATH, json=campaign(priority=1))
    assert (await here.call("viewer", "GET", f"{PATH}/shadow")).json()["version"] == 1
    await lead(here, PATH, "submit", "approve", "shadow")
    shown = (await here.call("viewer", "GET", f"{PATH}/shadow")).json()
    assert (shown["version"], shown["decisions"]) == (2, 0)
    assert (await here.call("viewer", "GET", f"{PATH}/shadow?version=1")).json()["decisions"] == 1
