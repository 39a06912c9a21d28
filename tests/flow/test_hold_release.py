"""What a hold kept back is released at a bounded rate, and judged again in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.times import DAY, HOUR, MINUTE, SECOND, format_instant
from tests.support.document_builders import MONDAY, campaign, customer, event
from tests.support.hold_actions import after, hold, lift, offers, plan, rows, sent, shop
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await shop(running)
        yield running


async def test_what_a_lifted_hold_kept_back_goes_at_the_rate(product: Live) -> None:
    await hold(product)
    await offers(product, 5)
    await lift(product, rate=2)
    await product.at(MONDAY + MINUTE)
    assert await sent(product) == after(0, 0, 0.5, 1, 1.5)


async def test_without_a_rate_fifty_a_second_go(product: Live) -> None:
    await hold(product)
    await offers(product, 52)
    await lift(product)
    await product.at(MONDAY + MINUTE)
    assert await sent(product) == after(*[0] * 50, 0.02, 0.04)


async def test_class_and_priority_go_first_then_who_waited_longest(product: Live) -> None:
    await product.campaign(campaign("urgent", priority=90))
    await product.customer(customer())
    await hold(product)
    for number, kind in enumerate(("offer", "urgent", "receipt")):
        await product.at(MONDAY + number * SECOND)
        await product.send(event(f"shop.{kind}", f"e-{kind}", product.clock.now()))
    await product.at(MONDAY + 3 * SECOND)
    await product.send(event("shop.offer", "e-late", product.clock.now()))
    await lift(product, rate=1)
    await product.at(MONDAY + MINUTE)
    lines = await product.decisions(outcome="send")
    assert [line["event"]["id"] for line in lines] == ["e-receipt", "e-urgent", "e-offer", "e-late"]
    assert [line["time"] for line in lines] == after(3, 4, 5, 6)


async def test_each_is_judged_again_in_full(product: Live) -> None:
    await hold(product)
    await offers(product, 3)
    await product.ask("POST", "/v1/preferences/c-0/optout", {"topic": "news"})
    await lift(product)
    await product.at(MONDAY + MINUTE)
    ends = {line["customer"]: line["reason"] for line in await product.decisions() if line["reason"] != "incident_hold"}
    assert ends == {"c-0": "opted_out_topic", "c-1": "eligible", "c-2": "eligible"}


async def test_what_expires_before_its_turn_is_not_sent(product: Live) -> None:
    await product.campaign(campaign("brief", ttl="10s"))
    await hold(product)
    for number in range(3):
        await product.customer(customer(f"c-{number}"))
        await product.send(event("shop.brief", f"e-{number}", subject=f"c-{number}"))
    await product.at(MONDAY + 8 * SECOND)
    planned = await plan(product, rate=1)
    assert (planned["expired"], rows(planned["now"])) == (1, [("send", "eligible", 3)])
    await lift(product, rate=1)
    await product.at(MONDAY + MINUTE)
    assert await sent(product) == after(8, 9)
    assert [line["reason"] for line in await product.decisions(outcome="suppress")] == ["expired"]


async def test_what_another_hold_parks_as_well_stays_parked(product: Live) -> None:
    await hold(product)
    await hold(product, "other", scope={"region": "PT"})
    await product.customer(customer("c-pt", country="PT"))
    await product.send(event("shop.offer", "e-pt", subject="c-pt"))
    await offers(product, 1)
    planned = await plan(product)
    assert rows(planned["after_caps"]) == [("defer", "incident_hold", 1), ("send", "eligible", 1)]
    await lift(product)
    await product.at(MONDAY + MINUTE)
    assert [line["customer"] for line in await product.decisions(outcome="send")] == ["c-0"]
    assert (await plan(product, "other"))["waiting"] == 1
    await lift(product, "other")
    await product.at(MONDAY + 2 * MINUTE)
    assert [line["customer"] for line in await product.decisions(outcome="send")] == ["c-0", "c-pt"]


async def test_a_hold_with_an_end_that_is_lifted_releases_before_it(product: Live) -> None:
    await hold(product, until=format_instant(MONDAY + 2 * HOUR))
    await offers(product, 3)
    await product.at(MONDAY + HOUR)
    assert (await plan(product))["waiting"] == 3
    await lift(product, rate=1)
    await product.at(MONDAY + DAY)
    assert await sent(product) == after(3600, 3601, 3602)


async def test_a_hold_that_ends_by_itself_releases_at_the_same_pace(product: Live) -> None:
    await hold(product, until=format_instant(MONDAY + HOUR))
    await offers(product, 51)
    await product.at(MONDAY + DAY)
    assert await sent(product) == after(*[3600] * 50, 3600.02)


async def test_what_waits_for_something_after_the_end_waits_on_when_the_hold_ends_by_itself(tmp_path: Path) -> None:
    night = {"id": "night", "days": ["mon"], "from": "10:30", "to": "20:00"}
    async with live(tmp_path, MONDAY) as product:
        await shop(product, quiet_hours=[night])
        await hold(product, until=format_instant(MONDAY + HOUR))
        await offers(product, 1)
        await product.at(MONDAY + DAY)
        lines = [(line["time"], line["reason"]) for line in await product.decisions()]
    assert lines == [(after(0)[0], "quiet_hours"), (after(36000)[0], "eligible")]


async def test_lifted_it_lets_go_what_would_have_met_quiet_hours_at_its_end(tmp_path: Path) -> None:
    night = {"id": "night", "days": ["mon"], "from": "10:30", "to": "20:00"}
    async with live(tmp_path, MONDAY) as product:
        await shop(product, quiet_hours=[night])
        await hold(product, until=format_instant(MONDAY + HOUR))
        await offers(product, 1)
        await product.at(MONDAY + MINUTE)
        await lift(product)
        await product.at(MONDAY + 2 * MINUTE)
        assert await sent(product) == after(60)


async def test_a_hold_placed_again_stops_the_rest_of_the_release(product: Live) -> None:
    await hold(product)
    await offers(product, 14)
    await lift(product, rate=1)
    await product.at(MONDAY + SECOND)
    await hold(product)
    await product.at(MONDAY + HOUR)
    assert len(await sent(product)) == 1
    assert (await plan(product))["waiting"] == 13


async def test_a_release_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        await hold(product)
        await offers(product, 15)
        await lift(product, rate=1)
        await product.at(MONDAY + 2 * SECOND)
    async with live(tmp_path, MONDAY + 2 * SECOND) as product:
        await product.at(MONDAY + HOUR)
        assert await sent(product) == after(*range(15))


async def test_a_release_is_counted(product: Live) -> None:
    await hold(product)
    await offers(product, 2)
    await lift(product)
    await product.at(MONDAY + MINUTE)
    text = (await product.editor.get("/metrics")).text
    assert 'tactful_hold_released_total{way="lifted"} 2.0' in text
    assert 'tactful_hold_released_total{way="ended"} 0.0' in text
