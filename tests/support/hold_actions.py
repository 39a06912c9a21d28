"""Operators' actions on holds over HTTP: place, lift, plan a release."""

from __future__ import annotations

from typing import Any

from schemas.times import SECOND, format_instant
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live

RECEIPT = campaign("receipt", **{"class": "service", "intent": "inform", "topic": "account"})


async def shop(product: Live, **parts: Any) -> None:
    await product.policy(policy(**parts))
    await product.campaign(campaign())
    await product.campaign(RECEIPT)


async def hold(product: Live, key: str = "outage", **changes: Any) -> dict[str, Any]:
    document = {"key": key, "mode": "defer", "scope": {}, "reason": "the printer burns", **changes}
    placed: dict[str, Any] = await product.ask("POST", "/v1/holds", document)
    return placed


async def lift(product: Live, key: str = "outage", **how: Any) -> dict[str, Any]:
    lifted: dict[str, Any] = await product.ask("POST", f"/v1/holds/{key}/lift", {"reason": "put out", **how})
    return lifted


async def plan(product: Live, key: str = "outage", **query: Any) -> Any:
    return await product.ask("GET", f"/v1/holds/{key}/plan", params=query)


async def offers(product: Live, count: int, **changes: Any) -> None:
    """So many customers are each sent an offer."""
    for number in range(count):
        name = f"c-{number}"
        await product.customer(customer(name, **changes))
        await product.send(event("shop.offer", f"e-{number}", product.clock.now(), subject=name))


async def sent(product: Live) -> list[str]:
    """When it was decided to send messages."""
    lines = await product.decisions(outcome="send")
    return [line["time"] for line in lines]


def after(*seconds: float) -> list[str]:
    """Times so many seconds after Monday's beginning."""
    return [format_instant(MONDAY + int(each * SECOND)) for each in seconds]


def rows(counts: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(item["outcome"], item["reason"], item["messages"]) for item in counts["items"]]
