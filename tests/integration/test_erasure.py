"""Erasure on real Kafka and PostgreSQL, by the processes of the three services."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.kit.db.database import Database
from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Record, Sent
from tests.support.plain_text_search import find_in_database
from tests.support.seed_documents import NEWS, TRACKED, customer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REST = 120.0
WHO, ORDER, OTHER = "marker-person-of-the-log", "marker-order-of-the-log", "another-id"


async def found(installation: Installation) -> set[tuple[str, str, str, str]]:
    """Where the person stands in the databases of the services."""
    places = set()
    for service, url in installation.plan.databases.items():
        database = Database.open(url, pool=1)
        try:
            places |= {(service, *each) for each in await find_in_database(database, [WHO, ORDER])}
        finally:
            await database.close()
    return places


async def erased(installation: Installation) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = installation.api().call("GET", f"/v1/erasures/{WHO}", expect=(200, 404))
        if answer.status_code == 200 and answer.json()["finished"]:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(answer.text)


async def test_an_event_in_the_log_erases_in_every_service_and_what_follows_leaves_nothing(
    installation: Installation,
) -> None:
    async with installation.shop() as shop:
        await shop.greet({WHO: customer(WHO)})
        await shop.send(Sent("erase-order", TRACKED, WHO, {"n": 1, "order": ORDER}))
        await shop.raw([Record(WHO.encode(), b"not an event at all " + ORDER.encode())])
        await installation.evidence.rest(REST)
        services = {service for service, *_ in await found(installation)}
        assert services == set(installation.plan.databases), "each holds something"
        await shop.send(Sent("erase-now", "tactful.customer.erased", WHO, {}))
        await erased(installation)
        assert await found(installation) == set()
        # The person once more, in good events and bad ones; and then the same device under a new id.
        await shop.send(
            Sent("erase-again", NEWS, WHO, {"n": 3, "order": ORDER}),
            Sent("erase-hello", "tactful.customer.identified", WHO, {"traits": {"order": ORDER}, "zone": ORDER}),
        )
        await shop.raw([Record(WHO.encode(), b"not an event at all " + ORDER.encode())])
        await installation.evidence.rest(REST)
        assert await found(installation) == set()
        await shop.greet({OTHER: customer(WHO) | {"traits": {}}})
        await shop.send(Sent("erase-other", NEWS, OTHER, {"n": 2}))
        await installation.evidence.rest(REST)
    rows = await installation.evidence.query("SELECT outcome, reason FROM decision WHERE customer = $1", OTHER)
    assert {tuple(row) for row in rows} == {("suppress", "suppression_list")}
    assert OTHER not in {each.customer for each in receipts(installation.cluster.receipts)}
