"""The trace of an event, from its sender to the provider's receipt, as a collector gets it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.times import MINUTE, format_instant
from services.kit.runtime.settings import TracesSettings
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from tests.flow.test_own_receipts import post
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import CLOUD_EVENT, Live, live
from tests.support.otlp_receiver import Collector, ReceivedSpan, collector
from tests.support.webhook_receiver import SECRET, Receiver, serving

pytestmark = pytest.mark.wired
TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SENDER}-01", f"00-{TRACE}-{SENDER}-00"
TAKEN = b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture
def seen() -> Iterator[Collector]:
    with collector() as found:
        yield found


@asynccontextmanager
async def traced(directory: Path, seen: Collector, receiver: Receiver, **traces: Any) -> AsyncIterator[Live]:
    """The product with a webhook, tracing; when it has ended, all its spans are with the collector."""
    settings: dict[str, Any] = {"adapters": {"email": "webhook"}, "outbound": {"networks": "127.0.0.0/8"}}
    async with serving(receiver) as url:
        settings["webhook"] = WebhookSettings(url=url, secret=SECRET)
        settings["traces"] = TracesSettings(endpoint=seen.address, **traces)
        async with live(directory, MONDAY, **settings) as product:
            await product.policy(policy())
            await product.campaign(campaign())
            await product.customer(customer())
            yield product


async def send(product: Live, id: str, traceparent: str) -> Any:
    """Publish an event whose request has a trace."""
    response = await product.editor.post(
        "/v1/events?wait=30s",
        content=json.dumps(event("shop.offer", id)),
        headers={**CLOUD_EVENT, "traceparent": traceparent},
    )
    assert response.status_code == 202, response.text
    return response.json()["items"][0]["decisions"][0]["message_id"]


def only(spans: list[ReceivedSpan]) -> ReceivedSpan:
    assert len(spans) == 1, spans
    return spans[0]


async def test_one_trace_leads_from_the_sender_to_the_receipt(seen: Collector, tmp_path: Path) -> None:
    receiver = Receiver(TAKEN)
    async with traced(tmp_path, seen, receiver, share=0) as product:
        id = await send(product, "e-1", SAMPLED)
        await product.settle()
        said = {"message_id": id, "kind": "delivered", "at": format_instant(MONDAY)}
        assert (await post(product, "webhook", {"receipts": [said]})).status_code == 200
    request = only(seen.named("POST /v1/events"))
    process, deliver = only(seen.named("process shop.offer")), only(seen.named("deliver email"))
    receipt, call = only(seen.named("receipt delivered")), only(seen.named("send"))
    assert {each.trace for each in seen.spans} == {TRACE}
    assert (request.parent, process.parent) == (SENDER, request.id)
    assert {each.name for each in seen.spans if each.parent == process.id} == {
        *("facts", "evaluate", "commit", "deliver email", "receipt delivered")
    }
    assert {each.name for each in seen.spans if each.parent == deliver.id} == {"recheck", "send", "record"}
    assert [headers["traceparent"] for headers, _ in receiver.seen] == [call.traceparent]
    assert all(each.began <= each.ended for each in seen.spans)
    assert process.attributes["tactful.outcomes"] == ["send"]
    assert deliver.attributes["tactful.outcome"] == "accepted" and deliver.failure is None
    assert receipt.attributes["tactful.message"] == id == deliver.attributes["tactful.message"]
    assert not [each for each in seen.spans if "@" in repr(each) or "c-1" in repr(each)]  # nothing of a person


async def test_what_its_sender_does_not_record_is_not_recorded(seen: Collector, tmp_path: Path) -> None:
    receiver = Receiver(TAKEN)
    async with traced(tmp_path, seen, receiver, share=1) as product:
        await send(product, "e-1", UNSAMPLED)
        await product.settle()
    assert seen.spans == []
    assert [headers["traceparent"] for headers, _ in receiver.seen] == [UNSAMPLED]


@pytest.mark.parametrize(("share", "count"), [(0, 0), (1, 3)])
async def test_of_events_without_a_trace_a_share_is_recorded(
    share: float, count: int, seen: Collector, tmp_path: Path
) -> None:
    async with traced(tmp_path, seen, Receiver(TAKEN), share=share) as product:
        for number in range(3):
            await product.send(event("shop.offer", f"e-{number}"))
    processes = seen.named("process shop.offer")
    assert len(processes) == count == len({each.trace for each in processes})
    assert all(each.parent == "" for each in processes)


async def test_what_is_tried_again_has_a_trace_of_its_own_that_links_to_the_decision(
    seen: Collector, tmp_path: Path
) -> None:
    receiver = Receiver(BUSY)
    async with traced(tmp_path, seen, receiver, share=0) as product:
        await send(product, "e-1", SAMPLED)
        await product.settle()
        receiver.answer = TAKEN
        await product.at(MONDAY + MINUTE)
    first, second = sorted(seen.named("deliver email"), key=lambda each: each.attributes["tactful.attempt"])
    decision = only(seen.named("process shop.offer"))
    assert (first.trace, first.parent, first.failure is None) == (TRACE, decision.id, False)
    assert second.trace != TRACE and second.parent == ""
    assert second.links == ((TRACE, decision.id),)


async def test_a_collector_that_is_away_costs_nothing_but_the_spans(seen: Collector, tmp_path: Path) -> None:
    seen.status = 400
    async with traced(tmp_path, seen, Receiver(TAKEN), share=1) as product:
        item = await product.send(event("shop.offer", "e-1"))
        assert item["decisions"][0]["outcome"] == "send"
        registry = product.together.orchestrator.components.registry
    assert (registry.get_sample_value("tactful_trace_spans_total", {"result": "dropped"}) or 0) > 0
    assert registry.get_sample_value("tactful_trace_spans_total", {"result": "sent"}) == 0
