"""The budget of retries in the running product: a provider that is asked again gets a few at once, the rest later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.message import HandoverResult, Message
from schemas.times import MINUTE, SECOND, parse_instant
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.retry_budget import AHEAD, FIRST_WAIT, LEAST_RATE
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import live

pytestmark = pytest.mark.wired
AT_ONCE = int(LEAST_RATE * AHEAD / SECOND)
MESSAGES = AT_ONCE + 30


class BusyProvider:
    """Takes each message the second time."""

    name = "sandbox"
    idempotent = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        return [self._answer(message.id, first_byte) for message in messages]

    def _answer(self, id: str, first_byte: FirstByteGuard) -> HandoverResult:
        first_byte.before(id)
        first_byte.after(id)
        self.asked.append(id)
        return (
            HandoverResult(id, "accepted")
            if self.asked.count(id) > 1
            else HandoverResult(id, "retry", detail="busy", fault="throttle")
        )

    async def close(self) -> None:
        """There is nothing to close."""


async def test_retries_beyond_the_budget_come_later_and_none_is_lost(tmp_path: Path) -> None:
    provider = BusyProvider()
    async with live(tmp_path, MONDAY) as product:
        product.together.orchestrator.components.adapters.by_name["sandbox"] = provider  # type: ignore[index]
        await product.policy(policy())
        await product.campaign(campaign())
        await product.customer(customer())
        for number in range(MESSAGES):
            await product.send(event("shop.offer", f"e-{number}"))
        await product.settle()
        assert len(provider.asked) == MESSAGES
        await product.at(MONDAY + 3 * SECOND)  # the first retries are due after 2 to 2.5 s
        again = len(provider.asked) - MESSAGES
        assert AT_ONCE <= again <= AT_ONCE + LEAST_RATE
        waiting = (await product.ask("GET", "/v1/messages", params={"status": "retry", "limit": "200"}))["items"]
        assert len(waiting) == MESSAGES - again
        assert min(parse_instant(each["until"]) for each in waiting) >= MONDAY + 2 * SECOND + FIRST_WAIT
        assert all(each["attempt_count"] == 1 for each in waiting)
        shown = await product.ask("GET", f"/v1/messages/{waiting[0]['message_id']}")
        assert (shown["waits"]["cause"], shown["waits"]["until"]) == ("retry", waiting[0]["until"])
        metrics = (await product.editor.get("/metrics")).text
        (line,) = [line for line in metrics.splitlines() if line.startswith("tactful_delivery_retries_postponed_total")
                   and 'adapter="sandbox"' in line]  # fmt: skip
        assert float(line.split()[-1]) >= len(waiting)
        await product.at(MONDAY + MINUTE)
        items = (await product.ask("GET", "/v1/messages", params={"limit": "200"}))["items"]
        assert {each["status"] for each in items} == {"accepted"}
        assert len(provider.asked) == 2 * MESSAGES
