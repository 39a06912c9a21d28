"""F20, I27, I35: records that nobody can read, among good ones."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import DEAD_LETTERS
from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation, triggers
from tests.support.kafka_event_producer import Record, Sent
from tests.support.seed_documents import DELIVERED, TRACKED

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GOOD = int(os.environ.get("TRIALS", "600"))
EVERY = 100
"""One in so many is poison."""
REST = 120.0
NOBODY = b"\xff\xfe"

POISON = (
    Record(NOBODY, b"not json"),
    Record(NOBODY, b"\xef\xbb\xbf\x00\xff"),
    Record(NOBODY, b'{"specversion": "1.0", "id"'),
    Record(NOBODY, b"[" * 10_000),
    Record(NOBODY, b'{"type":"tactful.preference.changed","data":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    Record(NOBODY, b""),
    Record(NOBODY, b"{}", (("ce_specversion", b"1.0"), ("ce_type", b"shop.order.shipped"), ("ce_id", b"\xff"))),
)


Letter = tuple[bytes | None, bytes | None, dict[str, bytes]]


async def dead_letters(bootstrap: str, stop_at: int) -> list[Letter]:
    """Key, value and headers of what lies on the dead-letter topic, once there is so much."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Letter] = []
    try:
        place = TopicPartition(DEAD_LETTERS.name, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        deadline = time.monotonic() + REST
        while len(found) < stop_at and time.monotonic() < deadline:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += [(each.key, each.value, dict(each.headers)) for each in batch]
    finally:
        await consumer.stop()
    return found


@pytest.mark.timeout(400)
async def test_good_events_among_poison_are_all_decided(installation: Installation) -> None:
    poison = [POISON[n % len(POISON)] for n in range(GOOD // EVERY)]
    async with installation.shop() as shop:
        names = await installation.customers(shop, 30, "healthy")
        for number in range(GOOD):
            if number % EVERY == EVERY // 2:
                await shop.raw([poison[number // EVERY]])
            await shop.send(Sent(f"g-{number}", TRACKED, names[number % 30], {"n": number}, binary=number % 2 == 0))
        await installation.evidence.rest(REST)
    evidence = installation.evidence
    found = await evidence.query("SELECT customer, event_id, campaign FROM decision WHERE customer LIKE 'healthy-%'")
    assert {tuple(row.values()) for row in found} == triggers(shop.sent)
    got = [receipt for receipt in receipts(installation.cluster.receipts) if receipt.customer in names]
    assert len(got) == GOOD
    letters = await dead_letters(installation.plan.bootstrap, len(poison))
    for record in poison:
        mine = [headers for key, value, headers in letters if (key, value or b"") == (record.key, record.value)]
        assert mine, record
        for headers in mine:
            assert headers["dlq.topic"] == installation.plan.topic.encode()
            assert {"dlq.partition", "dlq.offset", "dlq.timestamp", "dlq.error.class", "dlq.error.message",
                    "dlq.stage", "dlq.attempts"} <= headers.keys()  # fmt: skip
            assert dict(record.headers).items() <= headers.items()


async def test_an_unreadable_event_leaves_its_customer_in_peace(installation: Installation) -> None:
    """D9: nobody knows what it would have told us, so marketing stops and the customer's order is still confirmed."""
    async with installation.shop() as shop:
        (name,) = await installation.customers(shop, 1, "garbled")
        await shop.raw([Record(name.encode(), b'{"type": \x00')])
        await shop.send(Sent("gb-1", DELIVERED, name, {"n": 1}), Sent("gb-2", TRACKED, name, {"n": 2}))
        async with asyncio.timeout(REST):
            while len(await decisions(installation, name)) < 2:
                await asyncio.sleep(0.2)
        await installation.evidence.rest(REST)
    found = await decisions(installation, name)
    assert found["gb-1"] != "send"
    assert found["gb-2"] == "send"
    assert [receipt.campaign for receipt in receipts(installation.cluster.receipts) if receipt.customer == name] == [
        "order-shipped"
    ]


async def decisions(world: Installation, name: str) -> dict[str, str]:
    """Event -> the last outcome: a quarantine that began while the event was decided is seen by the last look."""
    sql = "SELECT event_id, outcome FROM decision WHERE customer = $1 ORDER BY decision_id"
    found = await world.evidence.query(sql, name)
    return {row["event_id"]: row["outcome"] for row in found}
