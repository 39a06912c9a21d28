"""Holds, from the operator's hand to the decision: every scope, both modes, who, why and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.times import MINUTE
from tests.support.document_builders import MONDAY, customer, event
from tests.support.hold_actions import after, hold, lift, shop
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

SCOPES = {
    "class": ({"classes": ["marketing"]}, {"offer"}),
    "topic": ({"topics": ["account"]}, {"receipt"}),
    "intent": ({"intents": ["inform"]}, {"receipt"}),
    "channel": ({"channels": ["email"]}, {"offer", "receipt"}),
    "another channel": ({"channels": ["sms"]}, set()),
    "campaign": ({"campaigns": ["offer"]}, {"offer"}),
    "region": ({"region": "PT"}, {"offer", "receipt"}),
    "another region": ({"region": "DE"}, set()),
    "trait": ({"trait": {"vip": True}}, {"offer", "receipt"}),
    "another value": ({"trait": {"vip": 1}}, set()),
    "everything": ({}, {"offer", "receipt"}),
}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await shop(running)
        yield running


@pytest.mark.parametrize(
    ("mode", "outcome", "reason"), [("drop", "suppress", "hold_drop"), ("defer", "defer", "incident_hold")]
)
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_hold_stops_what_its_scope_covers_and_nothing_else(
    product: Live, scope: str, mode: str, outcome: str, reason: str
) -> None:
    fields, covered = SCOPES[scope]
    placed = await hold(product, scope=fields, mode=mode)
    assert placed["enforced"] is True
    await product.customer(customer(country="PT", traits={"name": "Ada", "vip": True}))
    for kind in ("offer", "receipt"):
        await product.send(event(f"shop.{kind}", f"e-{kind}"))
    decided = {
        line["campaign"]: (line["outcome"], line["reason"], line["rule_id"]) for line in await product.decisions()
    }
    stopped, free = (outcome, reason, "outage"), ("send", "eligible", None)
    assert decided == {kind: stopped if kind in covered else free for kind in ("offer", "receipt")}


async def test_the_list_tells_who_placed_it_why_and_when(product: Live) -> None:
    await hold(product)
    (shown,) = (await product.ask("GET", "/v1/holds"))["items"]
    assert (shown["placed_by"], shown["reason"], shown["placed_at"]) == ("admin", "the printer burns", after(0)[0])
    await product.at(MONDAY + MINUTE)
    lifted = await lift(product, rate=7)
    assert (lifted["lifted_by"], lifted["lift_reason"], lifted["lifted_at"]) == ("admin", "put out", after(60)[0])
    assert lifted["release_rate"] == 7


@pytest.mark.parametrize("rate", [0, 1001, "fast"])
async def test_a_rate_out_of_bounds_is_refused(product: Live, rate: object) -> None:
    await hold(product)
    assert (await product.editor.get("/v1/holds/outage/plan", params={"rate": str(rate)})).status_code == 422
    answer = await product.editor.post("/v1/holds/outage/lift", json={"rate": rate})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/rate")


async def test_lifting_needs_no_words(product: Live) -> None:
    await hold(product)
    answer = await product.editor.post("/v1/holds/outage/lift")
    assert (answer.status_code, answer.json()["lift_reason"], answer.json()["release_rate"]) == (200, None, 50)
