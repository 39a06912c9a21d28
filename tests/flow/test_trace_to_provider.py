"""The trace context of an event goes with its message to the provider, whichever way the message takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.times import MINUTE
from services.orchestrator.delivery import claims
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.webhook_receiver import SECRET, Receiver, serving

pytestmark = pytest.mark.wired
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BUSY = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"
TAKEN = b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n"


async def statuses_of(product: Live) -> list[str]:
    return [each["status"] for each in (await product.ask("GET", "/v1/messages"))["items"]]


@pytest.mark.parametrize("most_inline", [0, 100])
async def test_inline_from_the_outbox_and_when_it_is_tried_again(
    most_inline: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MAX_IN_FLIGHT", most_inline)
    receiver = Receiver(BUSY)
    async with serving(receiver) as url:
        settings: dict[str, Any] = {
            "adapters": {"email": "webhook"},
            "webhook": {"url": url, "secret": SECRET},
            "outbound": {"networks": "127.0.0.0/8"},
        }
        async with live(tmp_path, MONDAY, **settings) as product:
            await product.policy(policy())
            await product.campaign(campaign())
            await product.customer(customer())
            await product.customer(customer("c-2"))
            await product.send({**event("shop.offer", "e-1"), "traceparent": TRACE})
            await product.send(event("shop.offer", "e-2", subject="c-2"))
            async with asyncio.timeout(30):
                while await statuses_of(product) != ["retry", "retry"]:
                    await asyncio.sleep(0.01)
            receiver.answer = TAKEN
            await product.at(MONDAY + MINUTE)
            statuses = await statuses_of(product)
    assert statuses == ["accepted", "accepted"]
    traces: dict[bytes, set[str | None]] = {}
    for headers, body in receiver.seen:
        traces.setdefault(b"e-1" if b'"e-1"' in body else b"e-2", set()).add(headers.get("traceparent"))
    assert len(receiver.seen) >= 4
    assert traces == {b"e-1": {TRACE}, b"e-2": {None}}
