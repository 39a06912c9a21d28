"""Warnings about names that no recent event has: from the record in the log to the answer when a campaign is saved."""

from collections import Counter

import pytest

from schemas.times import DAY
from services.orchestrator.seen_names.sampler import TRAITS, NameSampler
from services.orchestrator.seen_names.store import NameSaver, add_counts, load_counts
from tests.support.orchestrator_app import NOON, World, campaign

pytestmark = pytest.mark.wired

PATH = "/v1/campaigns/referral-ask"
TYPE = "shop.order.delivered"


async def test_counts_of_the_last_days_add_up_and_old_ones_go(here: World) -> None:
    async with here.database.write() as tx:
        for age in (8, 6, 0, 0):
            await add_counts(tx, {"a": Counter({"": 2, "x": 1})}, NOON - age * DAY)
        assert await load_counts(tx, "a", NOON) == {"": 6, "x": 3}
        assert await load_counts(tx, "b", NOON) == {}
        rows = await tx.rows("SELECT DISTINCT day FROM seen_name")
    assert len(rows) == 2


async def test_a_name_that_no_event_has_is_a_warning_with_the_share_and_a_suggestion(here: World) -> None:
    sampler = NameSampler()
    for number in range(4):
        data = {"amount": 1, "items": [{"name": "x"}]} | ({"voucher": "v"} if number == 0 else {})
        sampler.observe(TYPE, data)
        sampler.observe(TRAITS, {"name": "Ada"})
    await NameSaver(here.database, sampler, here.clock).save()
    text = (
        "{{ event.data.amout | default: 1 }} {{ event.data.voucher }} {{ event.data.items[0].nam | default: 'x' }}"
        " {{ customer.traits.nme | default: 'you' }} {{ event.data.amount | default: 1 }}"
    )
    document = campaign(content={"sms": {"en": {"text": text}}}, audience="customer.traits.vip == true")
    saved = (await here.call("marketer", "PUT", PATH, json=document)).json()
    unseen = {each["variable"]: each for each in saved["findings"] if each["code"] == "name_not_seen"}
    assert {(name, each["pointer"], each["suggestion"]) for name, each in unseen.items()} == {
        ("event.data.amout", "/content/sms/en/text", "did you mean `event.data.amount`?"),
        ("event.data.items.nam", "/content/sms/en/text", "did you mean `event.data.items.name`?"),
        ("customer.traits.nme", "/content/sms/en/text", "did you mean `customer.traits.name`?"),
        ("customer.traits.vip", "/audience", None),
    }
    assert (
        "0 of 4 events of the type `shop.order.delivered` seen in the last 7 days have it"
        in unseen["event.data.amout"]["detail"]
    )
    assert (unseen["event.data.amout"]["line"], unseen["event.data.amout"]["column"]) == (1, 4)
    [voucher] = [each for each in saved["findings"] if each.get("variable") == "event.data.voucher"]
    assert voucher["detail"].endswith(
        "3 of 4 events of the type `shop.order.delivered` seen in the last 7 days lack it"
    )


async def test_nothing_is_said_of_types_that_were_never_seen(here: World) -> None:
    saved = (await here.call("marketer", "PUT", PATH, json=campaign())).json()
    assert not any(each["code"] == "name_not_seen" for each in saved["findings"])
