"""From event to receipt on real Kafka and PostgreSQL, between real processes."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation, triggers
from tests.support.kafka_event_producer import Sent
from tests.support.seed_documents import CAP, COMPLAINED, DELIVERED, GAP, NEWS, TRACKED, customer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REST = 60.0
"""Seconds for everything to come to an end."""


async def reasons(world: Installation, customer: str, event: str) -> list[tuple[str, str]]:
    """(outcome, reason) of the decisions about an event, in order."""
    found = await world.evidence.query(
        "SELECT outcome, reason FROM decision WHERE customer = $1 AND event_id = $2 ORDER BY decision_id",
        customer,
        event,
    )
    return [(row["outcome"], row["reason"]) for row in found]


async def decided(world: Installation, customer: str, event: str, lines: int = 1) -> list[tuple[str, str]]:
    """The decisions about an event, once there are so many."""
    async with asyncio.timeout(REST):
        while len(found := await reasons(world, customer, event)) < lines:
            await asyncio.sleep(0.1)
    return found


def got(world: Installation, customer: str) -> list[str]:
    """The campaigns of what a customer has received."""
    return [receipt.campaign for receipt in receipts(world.cluster.receipts) if receipt.customer == customer]


async def test_events_of_both_modes_become_messages_once(installation: Installation) -> None:
    async with installation.shop() as shop:
        names = await installation.customers(shop, 20, "both")
        await shop.send(
            *(Sent(f"both-{n}", TRACKED, names[n % 20], {"n": n}, binary=n % 2 == 0) for n in range(60)),
            *(Sent(f"news-{n}", NEWS, names[n % 20], {"n": n}, binary=n % 2 == 0) for n in range(80)),
        )
        evidence = installation.evidence
        await evidence.rest(REST)
    assert await evidence.behind() == []
    assert await evidence.misdelivered() == []
    assert await evidence.false_ledgers() == []
    assert evidence.over_cap("news", CAP) == []
    mine = [receipt for receipt in receipts(installation.cluster.receipts) if receipt.customer in names]
    assert len(mine) == 60 + 20 * CAP
    found = await evidence.query("SELECT customer, event_id, campaign FROM decision WHERE customer LIKE 'both-%'")
    assert sorted(map(tuple, (row.values() for row in found))) == sorted(triggers(shop.sent))


async def test_a_complaint_and_a_purchase_in_the_same_second(installation: Installation) -> None:
    async with installation.shop() as shop:
        names = await installation.customers(shop, 20, "cross")
        for number, name in enumerate(names):
            await shop.send(
                Sent(f"c-{number}", COMPLAINED, name, {"case": number}, binary=number % 2 == 0),
                Sent(f"d-{number}", DELIVERED, name, {"n": number}, binary=number % 3 == 0),
            )
    for number, name in enumerate(names):
        assert await decided(installation, name, f"d-{number}") == [("suppress", "contact_history")]
        assert got(installation, name) == []


async def test_a_complaint_while_suppression_stands_still(installation: Installation) -> None:
    """F19: the fence waits for suppression, and nothing slips through meanwhile."""
    suppression = installation.cluster["suppression"]
    async with installation.shop() as shop:
        names = await installation.customers(shop, 5, "frozen")
        await installation.evidence.rest(REST)
        suppression.freeze()
        try:
            frozen_at = time.monotonic()
            for number, name in enumerate(names):
                await shop.send(Sent(f"fc-{number}", COMPLAINED, name, {}), Sent(f"fd-{number}", DELIVERED, name, {}))
            while time.monotonic() < frozen_at + 10:
                assert [await reasons(installation, name, f"fd-{n}") for n, name in enumerate(names)] == [[]] * 5
                await asyncio.sleep(1)
        finally:
            suppression.thaw()
    for number, name in enumerate(names):
        assert await decided(installation, name, f"fd-{number}") == [("suppress", "contact_history")]
        assert got(installation, name) == []


async def test_a_complaint_after_the_ask_was_planned(installation: Installation) -> None:
    async with installation.shop() as shop:
        (name,) = await installation.customers(shop, 1, "planned")
        await shop.send(Sent("p-1", DELIVERED, name, {"n": 1}))
        assert await decided(installation, name, "p-1") == [("send", "eligible")]
        await shop.send(Sent("p-2", DELIVERED, name, {"n": 2}))
        assert (await decided(installation, name, "p-2"))[0] == ("defer", "cap_window")
        await shop.send(Sent("p-3", COMPLAINED, name, {}))
        outcomes = await decided(installation, name, "p-2", lines=2)
    assert outcomes == [("defer", "cap_window"), ("suppress", "contact_history")]
    await asyncio.sleep(GAP / 4)
    assert got(installation, name) == ["referral-ask"]


async def test_the_same_event_many_times_by_both_doors(installation: Installation) -> None:
    """I4: five times through Kafka, five times over HTTP: one decision, one message."""
    api = installation.api()
    async with installation.shop() as shop:
        (name,) = await installation.customers(shop, 1, "again")
        event = Sent("again-1", TRACKED, name, {"n": 1})
        document = event.record()[0]

        async def by_http() -> None:
            await asyncio.to_thread(
                api.call, "POST", "/v1/events", (202,), content=document, headers={"content-type": "application/json"}
            )

        await asyncio.gather(*(shop.send(event) for _ in range(5)), *(by_http() for _ in range(5)))
        await installation.evidence.rest(REST)
    assert await reasons(installation, name, "again-1") == [("send", "eligible")]
    assert got(installation, name) == ["order-shipped"]
    assert len(await installation.evidence.query("SELECT FROM tracked_message WHERE customer = $1", name)) == 1
    assert await installation.evidence.query("SELECT FROM dead_letter WHERE key = $1", name.encode()) == []


async def test_customers_made_over_http_are_reached(installation: Installation) -> None:
    preference = installation.api("preference")
    await asyncio.to_thread(preference.call, "PUT", "/v1/preferences/by-http", json=customer("by-http"))
    async with installation.shop() as shop:
        await shop.send(Sent("h-1", TRACKED, "by-http", {"n": 1}))
        assert await decided(installation, "by-http", "h-1") == [("send", "eligible")]
        await installation.evidence.rest(REST)
    assert got(installation, "by-http") == ["order-shipped"]
