"""The plan: what lifting a hold would send, and what it then does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.times import MINUTE
from tests.support.document_builders import MONDAY, campaign, cap, customer, event
from tests.support.hold_actions import after, hold, lift, offers, plan, rows, shop
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await shop(running)
        yield running


async def test_the_plan_counts_what_lifting_would_send_now_and_after_caps(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product, frequency_caps=[cap()])
        await hold(product)
        await offers(product, 2)
        await product.send(event("shop.offer", "e-more", subject="c-0"))
        await product.send(event("shop.receipt", "e-receipt", subject="c-0"))
        planned = await plan(product, rate=1)
        shown = {
            name: planned[name] for name in ("waiting", "judged", "complete", "rate", "release_seconds", "expired")
        }
        assert shown == {
            "waiting": 4, "judged": 4, "complete": True, "rate": 1, "release_seconds": 3, "expired": 0,
        }  # fmt: skip
        assert planned["now"] == {
            "send": 4, "defer": 0, "suppress": 0, "fail": 0,
            "items": [
                {"campaign": "offer", "channel": "email", "outcome": "send", "reason": "eligible", "messages": 3},
                {"campaign": "receipt", "channel": "email", "outcome": "send", "reason": "eligible", "messages": 1},
            ],
        }  # fmt: skip
        assert rows(planned["after_caps"]) == [
            ("send", "eligible", 2), ("suppress", "frequency_cap", 1), ("send", "eligible", 1),
        ]  # fmt: skip
        assert [item["turn"] for item in planned["sample"]] == after(0, 1, 2, 3)
        assert [line["reason"] for line in await product.decisions()] == ["incident_hold"] * 4
        await lift(product, rate=1)
        await product.at(MONDAY + MINUTE)
        done = {
            line["message_id"]: line["reason"]
            for line in await product.decisions()
            if line["reason"] != "incident_hold"
        }
        assert done == {item["message_id"]: item["reason"] for item in planned["sample"]}


async def test_a_plan_takes_no_account_of_the_customers_own_wish_now_but_does_after_caps(product: Live) -> None:
    await hold(product)
    await product.customer(customer(frequency={"limit": 1, "per": "week"}))
    for number in range(2):
        await product.send(event("shop.offer", f"e-{number}"))
    planned = await plan(product)
    assert (planned["now"]["send"], planned["after_caps"]["send"], planned["after_caps"]["defer"]) == (2, 1, 1)


async def test_a_plan_that_is_too_large_says_so(product: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.orchestrator.holds.lift_plan.MAX_MESSAGES", 2)
    await hold(product)
    await offers(product, 3)
    planned = await plan(product)
    assert (planned["waiting"], planned["judged"], planned["complete"]) == (3, 2, False)
    assert planned["now"]["send"] == 2


async def test_of_a_choice_the_plan_names_the_channel_that_would_be_taken(product: Live) -> None:
    text = {"en": {"text": "Hello {{ links.unsubscribe }}"}}
    content = {**campaign()["content"], "sms": text}
    await product.campaign(campaign("both", channels=["sms", "email"], content=content))
    addresses = [{"channel": "sms", "address": "+491701234567", "verified": True}]
    consent = {"topic": "*", "status": "granted", "at": "2026-01-01T00:00:00Z", "source": "checkout"}
    known = customer()
    consents = [{**consent, "channel": channel, "wording": "w"} for channel in ("sms", "email")]
    await product.customer({**known, "addresses": addresses + known["addresses"], "consent": consents})
    await hold(product)
    await product.send(event("shop.both", "e-1"))
    await product.ask("POST", "/v1/preferences/c-1/optout", {"channel": "sms"})
    (item,) = (await plan(product))["after_caps"]["items"]
    assert (item["channel"], item["outcome"], item["messages"]) == ("email", "send", 1)


@pytest.mark.parametrize("state", ["nothing", "lifted"])
async def test_there_is_no_plan_for_a_hold_that_does_not_stand(product: Live, state: str) -> None:
    if state == "lifted":
        await hold(product)
        await lift(product)
    answer = await product.editor.get("/v1/holds/outage/plan")
    assert answer.status_code == (409 if state == "lifted" else 404)
