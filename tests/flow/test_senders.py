"""Who sends something through a door of ours is named by a signature on its record, and by the customer's history."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.topics import EVENTS
from services.kit.bus.protocol import Partition, Record
from services.kit.bus.sender_signature import SenderSignature
from tests.support.document_builders import MONDAY, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.filed"}], "lapses": "5d"}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy(situations=[COMPLAINT]))
        await running.customer(customer())
        yield running


async def records(product: Live) -> list[Record]:
    """All records of the log."""

    async def nothing(_: set[Partition]) -> None:
        """Whatever is assigned is read."""

    reader = product.together.bus.consumer("the test", [EVENTS.name])
    await reader.start(nothing, nothing)
    found: list[Record] = []
    while read := await reader.poll(1_000, 0.2):
        found += [record for batch in read.values() for record in batch]
    await reader.stop()
    return found


async def test_the_sender_of_an_event_travels_with_it_into_the_history(product: Live) -> None:
    await product.send(event("tactful.preference.changed", "e-1", locale="de"))
    history = (await product.ask("GET", "/v1/preferences/c-1/history"))["items"]
    assert [(item["event_id"], item["actor"]) for item in history if item["event_id"]] == [("e-1", "admin")]


async def test_every_door_that_publishes_signs_for_its_sender(product: Live) -> None:
    await product.send(event("shop.offer", "e-1"))
    await product.ask("POST", "/v1/situations/c-1", {"action": "open", "kind": "complaint"})
    signature = SenderSignature("service-key-of-the-tests")
    found = await records(product)
    assert len(found) == 2
    assert [signature.find_sender(record) for record in found] == ["admin", "admin"]
