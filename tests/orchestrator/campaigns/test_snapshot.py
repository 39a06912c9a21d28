"""What deciding sees of the catalogue, and when."""

import pytest

from schemas.vocabulary import CampaignStatus as Status
from services.orchestrator.campaigns import store
from services.orchestrator.policy.match import Catalogue
from tests.support.orchestrator_app import World, campaign, policy_document

pytestmark = pytest.mark.wired


async def seen(here: World) -> Catalogue:
    async with here.database.read() as tx:
        return await here.snapshot.get_catalogue(tx)


async def act(here: World, action: str) -> None:
    assert (await here.call("admin", "POST", f"/v1/campaigns/referral-ask/{action}")).status_code == 200


async def test_without_a_policy_nothing_is_capped_and_the_version_is_0(here: World) -> None:
    catalogue = await seen(here)
    assert (catalogue.policy.version, catalogue.policy.zone.name, catalogue.campaigns) == (0, "Etc/UTC", {})
    assert catalogue.configured_channels == {"email", "sms"}


async def test_a_draft_is_not_seen_an_active_one_is_and_a_paused_one_is_not_active(here: World) -> None:
    await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign())
    assert not (await seen(here)).is_triggered_by("shop.order.delivered")
    await act(here, "submit")
    await here.call("approver", "POST", "/v1/campaigns/referral-ask/approve")
    assert not (await seen(here)).is_triggered_by("shop.order.delivered")
    await act(here, "activate")
    assert (await seen(here)).campaigns["referral-ask"].active
    await act(here, "pause")
    assert (await seen(here)).is_triggered_by("shop.order.delivered")
    assert not (await seen(here)).campaigns["referral-ask"].active
    await act(here, "stop")
    assert (await seen(here)).campaigns == {}
    stopped = here.snapshot.get_launched_campaign("referral-ask")
    assert stopped is not None and not stopped.active


async def test_it_is_compiled_again_only_when_something_changed(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign())
    first = await seen(here)
    assert await seen(here) is first
    await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign(priority=70))
    assert await seen(here) is first  # a draft is nothing that deciding must see
    await here.launch(campaign(key="other"))
    second = await seen(here)
    assert second is not first
    assert second.policy is first.policy
    assert second.campaigns["referral-ask"] is first.campaigns["referral-ask"]


async def test_a_new_version_takes_the_place_of_the_former_with_its_content(here: World) -> None:
    await here.launch(campaign())
    await seen(here)
    first = here.snapshot.get_content("referral-ask", 1)
    await here.launch(campaign(priority=70))
    catalogue = await seen(here)
    assert (catalogue.campaigns["referral-ask"].version, catalogue.campaigns["referral-ask"].priority) == (2, 70)
    assert here.snapshot.get_content("referral-ask", 2) is not first
    assert here.snapshot.get_content("referral-ask", 1) is first  # a batch under way was judged under it
    with pytest.raises(KeyError):
        here.snapshot.get_content("referral-ask", 3)


async def test_the_active_policy_is_compiled_with_its_version(here: World) -> None:
    await here.enact(policy_document())
    number = await here.enact(policy_document(zone="Europe/Lisbon"))
    catalogue = await seen(here)
    assert (catalogue.policy.version, catalogue.policy.zone.name) == (number, "Europe/Lisbon")


async def test_a_campaign_that_cannot_be_read_any_more_stops_nobody_else(here: World) -> None:
    await here.launch(campaign())
    await here.launch(campaign(key="other"))
    async with here.database.write() as tx:
        await tx.execute("UPDATE campaign_version SET document = '{}' WHERE key = 'other'")
    assert list((await seen(here)).campaigns) == ["referral-ask"]


async def test_no_version_ever_runs_without_an_approval(here: World) -> None:
    await here.launch(campaign())
    async with here.database.read() as tx:
        [version] = await store.list_launched_versions(tx)
    assert (version.status, version.editor, version.approved_by) == (
        Status.ACTIVE,
        "person-marketer",
        "person-approver",
    )
