"""Marketers whose keys are bounded by topic or owner: what they may change, and that nothing leads around it."""

from typing import Any

import pytest

from schemas.campaign_scope import CampaignScope
from tests.orchestrator.campaigns.test_api import PATH
from tests.support.orchestrator_app import World, campaign, policy_document

pytestmark = pytest.mark.wired


async def make_marketer(here: World, name: str, **scope: list[str]) -> None:
    body = {"name": name, "person": name, "role": "marketer", **scope}
    made = await here.call("admin", "POST", "/v1/keys", name="root", json=body)
    assert made.status_code == 201, made.text
    assert {field: made.json()[field] for field in scope} == scope
    here.keys[name] = made.json()["key"]


async def code_of(here: World, name: str, method: str, path: str, document: Any = None) -> str:
    answer = await here.call("marketer", method, path, name=name, json=document)
    return "done" if answer.is_success else str(answer.json()["code"])


def test_a_scope_covers_what_fits_all_that_it_names() -> None:
    document = {"topic": "news", "owner": "shop"}
    covering = [CampaignScope(), CampaignScope(("news", "x")), CampaignScope((), ("shop",))]
    covering += [CampaignScope(("news",), ("shop",))]
    assert all(scope.covers_document(document) for scope in covering)
    others = [CampaignScope(("x",)), CampaignScope((), ("Shop",)), CampaignScope(("news",), ("x",))]
    assert not any(scope.covers_document(document) for scope in others)
    odd_documents: list[Any] = [{}, {"owner": "shop"}, {"topic": None}, [], None, "news", {"topic": ["news"]}]
    for odd in odd_documents:
        assert not CampaignScope(("news",)).covers_document(odd)


def test_a_scope_is_told_in_words_and_not_at_length() -> None:
    assert CampaignScope().in_words() == "all campaigns"
    assert CampaignScope(("a", "b"), ("c",)).in_words() == "campaigns of the topics a, b and the owner c"
    assert CampaignScope((), tuple("abcdefgh")).in_words() == "campaigns of the owners a, b, c, d, e and 3 more"


async def test_a_marketer_changes_what_is_inside_and_reads_all(here: World) -> None:
    await make_marketer(here, "inside", topics=["referrals"])
    await make_marketer(here, "outside", topics=["account"], owners=["shop"])
    refused = await here.call("marketer", "PUT", PATH, name="outside", json=campaign())
    assert (refused.status_code, refused.json()["code"]) == (403, "out_of_scope")
    assert "you may change campaigns of the topic account and the owner shop." in refused.json()["detail"]
    assert (await here.call("viewer", "GET", PATH)).status_code == 404, "nothing was stored"
    assert await code_of(here, "inside", "PUT", PATH, campaign()) == "done"
    assert (await here.call("marketer", "GET", PATH, name="outside")).status_code == 200
    assert await code_of(here, "outside", "POST", f"{PATH}/submit") == "out_of_scope"
    assert await code_of(here, "inside", "POST", f"{PATH}/submit") == "done"
    await here.call("approver", "POST", f"{PATH}/approve")
    for action in ("activate", "shadow"):
        assert await code_of(here, "outside", "POST", f"{PATH}/{action}") == "out_of_scope"
    assert await code_of(here, "inside", "POST", f"{PATH}/activate") == "done"
    assert await code_of(here, "outside", "POST", f"{PATH}/pause") == "out_of_scope"
    assert await code_of(here, "inside", "POST", f"{PATH}/pause") == "done"


async def test_a_campaign_is_neither_taken_over_nor_given_away(here: World) -> None:
    """Its own words about topic and owner do not move it into a scope, nor out of one."""
    await make_marketer(here, "shop-only", owners=["shop"])
    await make_marketer(here, "crm-only", owners=["crm"])
    mine, theirs = campaign(owner="shop"), campaign(owner="crm")
    assert await code_of(here, "shop-only", "PUT", PATH, mine) == "done"
    assert await code_of(here, "crm-only", "PUT", PATH, theirs) == "out_of_scope"
    assert await code_of(here, "shop-only", "PUT", PATH, theirs) == "out_of_scope"
    await here.launch(mine)
    assert (await here.call("marketer", "PUT", PATH, json=theirs)).status_code == 200  # by somebody without a scope
    for name in ("shop-only", "crm-only"):  # the draft is of one, what decides of the other
        assert await code_of(here, name, "PUT", PATH, theirs if name == "crm-only" else mine) == "out_of_scope"
        assert await code_of(here, name, "POST", f"{PATH}/submit") == "out_of_scope"
        assert await code_of(here, name, "POST", f"{PATH}/pause") == "out_of_scope"


async def test_a_campaign_without_a_topic_is_in_no_scope_of_topics(here: World) -> None:
    await make_marketer(here, "news-only", topics=["referrals"])
    service = {**campaign(**{"class": "transactional", "intent": "inform"})}
    service.pop("topic", None)
    assert await code_of(here, "news-only", "PUT", PATH, service) == "out_of_scope"


async def test_the_policy_is_for_all_and_changed_by_nobody_with_a_scope(here: World) -> None:
    await make_marketer(here, "shop-only", owners=["shop"])
    assert await code_of(here, "shop-only", "PUT", "/v1/policy", policy_document()) == "out_of_scope"
    version = (await here.call("marketer", "PUT", "/v1/policy", json=policy_document())).json()["version"]
    assert await code_of(here, "shop-only", "POST", f"/v1/policy/versions/{version}/submit") == "out_of_scope"


async def test_a_rotated_key_has_the_scope_of_the_one_before(here: World) -> None:
    await make_marketer(here, "shop-only", owners=["shop"])
    (listed,) = [
        item
        for item in (await here.call("admin", "GET", "/v1/keys", name="root")).json()["items"]
        if item["name"] == "shop-only"
    ]
    assert (listed["owners"], listed["topics"]) == (["shop"], [])
    new = (await here.call("admin", "POST", f"/v1/keys/{listed['id']}/rotate", name="root", json={})).json()
    assert new["owners"] == ["shop"]
    here.keys["shop-only"] = new["key"]
    assert await code_of(here, "shop-only", "PUT", PATH, campaign(owner="crm")) == "out_of_scope"
