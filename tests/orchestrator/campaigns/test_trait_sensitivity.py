"""Traits that the policy declares sensitive: what is refused at save, at activation, and when the policy changes."""

import asyncio
from typing import Any

import pytest

from services.orchestrator.campaigns import campaign_workflow, policy_workflow
from services.orchestrator.campaigns.active_trait_uses import refuse_active_uses
from tests.support.orchestrator_app import World, campaign, policy_document

pytestmark = pytest.mark.wired

PATH = "/v1/campaigns/referral-ask"
SENSITIVE = [{"name": "health", "sensitivity": "sensitive"}]


def reading(text: str = "{{ customer.traits.health | default: 'none' }}", **changes: Any) -> dict[str, Any]:
    return campaign(content={"sms": {"en": {"text": f"Hi\n{text}"}}}, **changes)


async def approved_policy(here: World, document: dict[str, Any]) -> int:
    number = int((await here.call("marketer", "PUT", "/v1/policy", json=document)).json()["version"])
    for role, action in (("marketer", "submit"), ("approver", "approve")):
        assert (await here.call(role, "POST", f"/v1/policy/versions/{number}/{action}")).status_code == 200
    return number


async def test_a_template_that_uses_too_much_is_refused_with_the_trait_the_place_and_what_to_do(here: World) -> None:
    await here.enact(policy_document(traits=SENSITIVE))
    answer = await here.call("marketer", "PUT", PATH, json=reading())
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"], error["line"], error["column"]) == (
        "/content/sms/en/text",
        "sensitive_trait",
        2,
        4,
    )
    assert error["detail"] == (
        "line 2, column 4: `customer.traits.health` reads the trait `health`, which the policy declares sensitive; "
        "campaigns of the class marketing may use plain and behavioural traits only"
    )
    assert error["suggestion"].startswith("Take `customer.traits.health` out")
    assert (await here.call("viewer", "GET", PATH)).status_code == 404, "nothing was saved"


@pytest.mark.parametrize(
    ("pointer", "changes"),
    [
        ("/audience", {"audience": "customer.traits.health == 'ill'"}),
        ("/trigger/when", {"trigger": {"event": "shop.order", "when": "has(customer.traits.health)"}}),
    ],
    ids=["audience", "when"],
)
async def test_conditions_are_refused_as_templates_are(here: World, pointer: str, changes: dict[str, Any]) -> None:
    await here.enact(policy_document(traits=SENSITIVE))
    answer = await here.call("marketer", "PUT", PATH, json=campaign(**changes))
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, "sensitive_trait")]


async def test_service_messages_may_use_it_and_marketing_what_is_behavioural(here: World) -> None:
    await here.enact(policy_document(traits=[*SENSITIVE, {"name": "seen", "sensitivity": "behavioural"}]))
    await here.launch(reading("{{ customer.traits.seen | default: 'x' }}"))
    service = reading(key="service-one", **{"class": "service"})
    await here.launch(service)


async def test_a_policy_that_active_campaigns_are_against_is_not_activated_and_names_them(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(reading())
    number = await approved_policy(here, policy_document(traits=SENSITIVE))
    path = f"/v1/policy/versions/{number}/activate"
    handed = len(here.others.handed)
    refused = await here.call("approver", "POST", path)
    assert refused.status_code == 422
    assert "`referral-ask`" in refused.json()["detail"]
    (error,) = refused.json()["errors"]
    assert error["code"] == "used_by_active_campaign"
    assert error["detail"].startswith("`referral-ask`, /content/sms/en/text: line 2, column 4")
    assert len(here.others.handed) == handed, "no other service has heard of it"
    assert (await here.call("marketer", "POST", f"{PATH}/pause")).status_code == 200
    assert (await here.call("approver", "POST", path)).status_code == 200
    resumed = await here.call("approver", "POST", f"{PATH}/activate")
    assert resumed.status_code == 422, "what was paused meanwhile is checked when it is resumed"
    assert resumed.json()["errors"][0]["code"] == "sensitive_trait"


async def test_a_campaign_that_is_activated_while_the_policy_changes_is_checked_by_the_new_one(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy becomes active after the campaign was checked, and before it is written."""
    await here.enact(policy_document())
    number = await approved_policy(here, policy_document(traits=SENSITIVE))
    await here.call("marketer", "PUT", PATH, json=reading())
    for role, action in (("marketer", "submit"), ("approver", "approve")):
        assert (await here.call(role, "POST", f"{PATH}/{action}")).status_code == 200
    check = campaign_workflow._check_version

    async def check_and_be_overtaken(*given: Any) -> Any:
        found = await check(*given)
        answer = await here.call("approver", "POST", f"/v1/policy/versions/{number}/activate")
        assert answer.status_code == 200, answer.text
        return found

    monkeypatch.setattr(campaign_workflow, "_check_version", check_and_be_overtaken)
    assert (await here.call("approver", "POST", f"{PATH}/activate")).status_code == 412
    assert (await here.call("viewer", "GET", PATH)).json()["status"] == "approved"


async def test_a_policy_is_not_activated_past_a_campaign_that_became_active_meanwhile(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign becomes active after the policy looked at the active ones, and before the policy is."""
    await here.enact(policy_document())
    number = await approved_policy(here, policy_document(traits=SENSITIVE))
    loop = asyncio.get_running_loop()

    def look_and_be_overtaken(*given: Any) -> None:
        refuse_active_uses(*given)
        asyncio.run_coroutine_threadsafe(here.launch(reading()), loop).result(timeout=20)

    monkeypatch.setattr(policy_workflow, "refuse_active_uses", look_and_be_overtaken)
    path = f"/v1/policy/versions/{number}/activate"
    assert (await here.call("approver", "POST", path)).status_code == 412
    monkeypatch.undo()
    assert (await here.call("approver", "POST", path)).status_code == 422


@pytest.mark.parametrize(
    ("traits", "pointer"),
    [
        ([{"name": "a", "sensitivity": "secret"}], "/traits/0/sensitivity"),
        ([{"name": "a", "sensitivity": "plain"}, {"name": "a", "sensitivity": "sensitive"}], ""),
        ([{"name": "a"}], "/traits/0/sensitivity"),
    ],
    ids=["unknown", "twice", "missing"],
)
async def test_declarations_that_say_nothing_certain_are_refused(here: World, traits: Any, pointer: str) -> None:
    answer = await here.call("marketer", "PUT", "/v1/policy", json=policy_document(traits=traits))
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
