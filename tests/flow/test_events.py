"""What comes in at the doors: once is enough, and what cannot be read stops nobody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.times import DAY, SECOND, format_instant
from services.kit.bus.protocol import Outgoing
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

EVENTS = "customer.events"


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


async def count(product: Live, table: str) -> int:
    async with product.database.read() as tx:
        row = await tx.row(f"SELECT count(*) AS rows FROM {table}")
    assert row is not None
    return int(row.rows)


async def test_the_same_event_five_times_is_one_decision_and_one_message(product: Live) -> None:
    offer = event("shop.offer", "e-1")
    for _ in range(5):
        await product.send(offer)
    record = Outgoing(EVENTS, b"c-1", json.dumps(offer).encode(), (("content-type", b"application/cloudevents+json"),))
    binary = tuple((f"ce_{name}", str(offer[name]).encode()) for name in offer if name != "data")
    await product.together.bus.publish([record, record, Outgoing(EVENTS, b"c-1", b"{}", binary)])
    await product.settle()
    assert [line["outcome"] for line in await product.decisions()] == ["send"]
    assert len(await product.inbox()) == 1


async def test_an_event_that_no_campaign_wants_leaves_nothing_behind(product: Live) -> None:
    await product.send(event("shop.nobody.cares", "e-1"))
    assert [await count(product, table) for table in ("stored_event", "decision", "message", "ledger")] == [0] * 4


@pytest.mark.parametrize(
    "value",
    [
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"specversion":"1.0","type":"shop.offer"}',
        b'{"specversion":"1.0","type":"shop.offer","id":"e","source":"/s","subject":"c-1","time":"yesterday"}',
        b'{"specversion":"1.0","type":"shop.offer","id":"e","source":"/s","subject":"c-1",'
        b'"time":"2026-03-02T10:00:00Z","data":{"a":1,"a":2}}',
        b'{"specversion":"1.0","type":"shop.offer","id":"e","source":"/s","subject":"c-1",'
        b'"time":"2026-03-02T10:00:00Z","data":{"a":1e400}}',
        None,
        b"",
    ],
)
async def test_a_record_that_cannot_be_read_lies_with_the_dead_letters(product: Live, value: bytes | None) -> None:
    good = json.dumps(event("shop.offer", "e-good")).encode()
    await product.together.bus.publish([Outgoing(EVENTS, b"c-9", value), Outgoing(EVENTS, b"c-1", good)])
    await product.settle()
    assert [line["event"]["id"] for line in await product.decisions()] == ["e-good"]
    letters = (await product.ask("GET", "/v1/dead-letters"))["items"]
    typed = value is not None and b'"type":"shop.offer"' in value
    assert [each["service"] for each in letters] == ["orchestrator" if typed else "suppression"]


async def test_a_contact_reported_too_far_ahead_does_nothing(product: Live) -> None:
    reported: dict[str, Any] = {
        "channel": "email",
        "class": "marketing",
        "at": format_instant(MONDAY + 30 * DAY + SECOND),
    }
    line = json.dumps(event("tactful.contact.reported", "e-1", **reported)).encode()
    await product.together.bus.publish([Outgoing(EVENTS, b"c-1", line)])
    await product.settle()
    assert (await product.ask("GET", "/v1/contacts/c-1"))["contacts"] == []
    assert await count(product, "dead_letter") == 1


async def test_two_events_of_one_customer_in_one_batch_see_each_other(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        day = {"id": "one", "scope": {}, "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}
        await product.policy(policy(frequency_caps=[day]))
        await product.campaign(campaign())
        await product.customer(customer())
        offers = [json.dumps(event("shop.offer", f"e-{number}")).encode() for number in range(20)]
        await product.together.bus.publish([Outgoing(EVENTS, b"c-1", offer) for offer in offers])
        await product.settle()
        outcomes = [line["outcome"] for line in await product.decisions()]
    assert sorted(outcomes) == ["send"] + ["suppress"] * 19


async def test_a_rule_that_looks_back_further_than_the_ledger_reads_the_history(product: Live) -> None:
    for number in range(70):
        at = MONDAY + number * SECOND
        await product.at(at)
        await product.send(event("shop.offer", f"e-{number}", at))
    await product.at(MONDAY + 40 * DAY)
    await product.send(event("shop.offer", "e-later", MONDAY + 40 * DAY))
    await product.at(MONDAY + 40 * DAY + SECOND)
    kept = await product.ask("GET", "/v1/contacts/c-1")
    assert len(kept["contacts"]) == 1
    year = {"id": "year", "scope": {}, "limit": 71, "window": {"rolling": "365d"}, "on_exceed": "drop"}
    await product.policy(policy(frequency_caps=[year]))
    await product.send(event("shop.offer", "e-last", MONDAY + 40 * DAY))
    assert (await product.decisions())[-1]["reason"] == "frequency_cap"
