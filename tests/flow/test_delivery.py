"""From a decided message to its end, whatever the provider does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.message import HandoverOutcome, HandoverResult, Message
from schemas.times import HOUR, MINUTE, SECOND
from services.orchestrator.delivery import claims
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired


class Provider:
    """A provider that answers as it is told, in turn; then it accepts. `hold` keeps it from answering."""

    name = "webhook"
    channels = frozenset({"email"})

    def __init__(self, *answers: HandoverOutcome, idempotent: bool = True) -> None:
        self.idempotent = idempotent
        self.taken: list[Message] = []
        self.answers = list(answers)
        self.hold = asyncio.Event()
        self.hold.set()

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        return [await self._send(message, first_byte) for message in messages]

    async def _send(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        first_byte.before(message.id)
        first_byte.after(message.id)
        self.taken.append(message)
        await self.hold.wait()
        return HandoverResult(message.id, self.answers.pop(0) if self.answers else "accepted", detail="status 1")

    async def close(self) -> None:
        self.hold.set()


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        yield running


async def shop(product: Live, provider: Provider, **parts: Any) -> None:
    product.together.orchestrator.components.adapters.by_name["sandbox"] = provider  # type: ignore[index]
    await product.policy(policy(**parts))
    await product.campaign(campaign())
    await product.customer(customer())


async def message(product: Live, position: int = 0) -> Any:
    items = (await product.ask("GET", "/v1/messages"))["items"]
    return items[position]


async def contacts(product: Live) -> list[str]:
    return [item["state"] for item in (await product.ask("GET", "/v1/contacts/c-1"))["contacts"]]


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_message_that_was_not_taken_is_tried_again_under_the_same_id(product: Live) -> None:
    provider = Provider("retry", "retry")
    await shop(product, provider)
    await product.send(event("shop.offer", "e-1"))
    await product.at(MONDAY + MINUTE)
    assert len({item.id for item in provider.taken}) == 1
    assert len(provider.taken) == 3
    sent = await message(product)
    assert (sent["status"], sent["attempt_count"]) == ("accepted", 3)
    assert await contacts(product) == ["made"]
    assert [line["outcome"] for line in await product.decisions()] == ["send"]


async def test_an_unknown_end_counts_and_is_tried_again_where_the_provider_dedupes(product: Live) -> None:
    provider = Provider("unknown", "unknown")
    await shop(product, provider, frequency_caps=[cap()])
    await product.send(event("shop.offer", "e-1"))
    await product.settle()
    await product.send(event("shop.offer", "e-2"))
    lines = await product.decisions()
    assert [line["reason"] for line in lines if line["event"]["id"] == "e-2"] == ["frequency_cap"]
    await product.at(MONDAY + MINUTE)
    assert (await message(product))["status"] == "accepted"
    assert len({item.id for item in provider.taken}) == 1


async def test_a_blind_provider_is_never_asked_twice_and_the_contact_counts(product: Live) -> None:
    provider = Provider("unknown", idempotent=False)
    await shop(product, provider, frequency_caps=[cap()])
    await product.send(event("shop.offer", "e-1"))
    await product.at(MONDAY + HOUR)
    await product.send(event("shop.offer", "e-2", MONDAY + HOUR))
    assert len(provider.taken) == 1
    assert (await message(product))["status"] == "unknown"
    assert await contacts(product) == ["unknown"]
    assert (await product.decisions())[-1]["reason"] == "frequency_cap"


async def test_a_rejected_message_gives_its_place_back_and_says_why(product: Live) -> None:
    provider = Provider("rejected")
    await shop(product, provider, frequency_caps=[cap()])
    await product.send(event("shop.offer", "e-1"))
    await product.at(MONDAY + SECOND)
    assert await contacts(product) == []
    assert [(line["outcome"], line["reason"]) for line in await product.decisions()] == [
        ("send", "eligible"),
        ("fail", "provider_rejected"),
    ]
    await product.send(event("shop.offer", "e-2", MONDAY + SECOND))
    await product.at(MONDAY + 2 * SECOND)
    assert await contacts(product) == ["made"]


async def test_the_gate_stops_what_was_switched_off_after_the_decision(
    product: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message fills the straight way, one keeps the dispatcher busy, and the third waits in the outbox."""
    monkeypatch.setattr(claims, "MAX_IN_FLIGHT", 1)
    provider = Provider()
    await shop(product, provider)
    await product.customer(customer("c-2"))
    await product.customer(customer("c-3"))
    provider.hold.clear()
    for count, subject in enumerate(("c-1", "c-3"), start=1):
        await product.send(event("shop.offer", f"e-{subject}", subject=subject))
        await until(lambda count=count: len(provider.taken) == count)
    await product.send(event("shop.offer", "e-2", subject="c-2"))
    answer = await product.ask("POST", "/v1/preferences/c-2/optout", {"topic": "news"})
    assert answer == {"enforced": True}
    provider.hold.set()
    await product.at(MONDAY + SECOND)
    assert [item.customer for item in provider.taken] == ["c-1", "c-3"]
    lines = await product.decisions(customer="c-2")
    assert [(line["outcome"], line["reason"]) for line in lines] == [
        ("send", "eligible"),
        ("suppress", "opted_out_topic"),
    ]
    stopped = (await product.ask("GET", "/v1/messages", params={"customer": "c-2"}))["items"]
    assert [item["status"] for item in stopped] == ["suppressed"]


async def test_an_opt_out_answers_202_while_a_handover_is_open(product: Live) -> None:
    provider = Provider()
    await shop(product, provider)
    provider.hold.clear()
    await product.send(event("shop.offer", "e-1"))
    await until(lambda: provider.taken)
    response = await product.editor.post("/v1/preferences/c-1/optout", json={"all": True})
    assert (response.status_code, response.json()) == (202, {"enforced": False, "in_flight": 1})
    provider.hold.set()
    await product.at(MONDAY + SECOND)
    response = await product.editor.post("/v1/preferences/c-1/optout", json={"all": True})
    assert (response.status_code, response.json()) == (200, {"enforced": True})


async def test_a_paused_campaign_sends_nothing_that_waits(product: Live) -> None:
    provider = Provider()
    night = {"id": "night", "scope": {}, "from": "09:00", "to": "12:00"}
    await shop(product, provider, quiet_hours=[night])
    await product.send(event("shop.offer", "e-1"))
    await product.ask("POST", "/v1/campaigns/offer/stop")
    await product.at(MONDAY + 3 * HOUR)
    assert not provider.taken
    assert [line["reason"] for line in await product.decisions()] == ["quiet_hours", "campaign_inactive"]


async def test_a_lifted_hold_lets_what_it_parked_go(product: Live) -> None:
    provider = Provider()
    await shop(product, provider)
    hold = {"key": "outage", "scope": {"channels": ["email"]}, "mode": "defer", "reason": "The printer burns"}
    await product.ask("POST", "/v1/holds", hold)
    await product.send(event("shop.offer", "e-1"))
    await product.at(MONDAY + HOUR)
    assert not provider.taken
    await product.ask("POST", "/v1/holds/outage/lift", {"reason": "Put out"})
    await product.at(MONDAY + 2 * HOUR)
    assert len(provider.taken) == 1
    lines = [(line["outcome"], line["reason"], line["rule_id"]) for line in await product.decisions()]
    assert lines == [("defer", "incident_hold", "outage"), ("send", "eligible", None)]
    assert await contacts(product) == ["made"]


async def test_a_dead_dispatcher_s_attempts_are_closed_by_proof_and_tried_again(tmp_path: Path) -> None:
    provider = Provider()
    async with live(tmp_path, MONDAY) as product:
        await shop(product, provider)
        await product.send(event("shop.offer", "e-1"))
        await product.at(MONDAY + SECOND)
        async with product.database.write() as tx:
            await tx.execute("UPDATE handover SET closed_at = NULL, results = NULL, owner = 'somebody who was killed'")
    async with live(tmp_path, MONDAY + MINUTE) as product:
        product.together.orchestrator.components.adapters.by_name["sandbox"] = provider  # type: ignore[index]
        await product.at(MONDAY + 2 * MINUTE)
        sent = await message(product)
        assert (sent["status"], sent["attempt_count"], len(provider.taken)) == ("accepted", 2, 2)
