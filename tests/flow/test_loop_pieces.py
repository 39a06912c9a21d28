"""However much comes in at once, the event loop is never held for long: between two turns of a task that only waits
for its turn lies little processor time.
"""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.times import Instant, format_instant
from services.kit.bus.protocol import Outgoing
from services.preference.preference_state import pack
from tests.bench import load
from tests.support.live_product import ADMIN, Live, live
from tests.support.processor_time import slowness

pytestmark = pytest.mark.wired

TOPIC = "customer.events"
NOW = time.time_ns() // 1000
MAX_PIECE = 0.05
"""Seconds of processor time for which nothing that comes in may hold the loop, on a machine of ordinary speed."""
TRIES = 3
"""One of these tries must stay below: what a busy machine or the first use adds is not what is measured."""
BACKLOG = 2_000
"""A full batch of a consumer."""
EXPENSIVE = "event.data.numbers.all(x, event.data.numbers.exists(y, y == x) || true)"
"""A condition that takes a good part of what one may take."""


class Ticker:
    """A task that runs in each turn of the loop.

    `longest`: the processor seconds between two of its turns, less where the machine is slower than ordinary ones.
    """

    longest = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Ticker"]:
        """Measures until the block ends."""
        task = asyncio.create_task(self._tick())
        with _settled_garbage():
            yield self
            await asyncio.sleep(0)
        task.cancel()
        self.longest /= slowness()

    async def _tick(self) -> None:
        began = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            self.longest = max(self.longest, now - began)
            began = now


@contextmanager
def _settled_garbage() -> Iterator[None]:
    """What the tests before this one have left is not collected meanwhile: a real process has nothing of theirs."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, NOW) as running:
        await running.policy(load.policy(NOW))
        yield running


def record(customer: str, event_id: str, kind: str, data: dict[str, Any]) -> Outgoing:
    document = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": kind, "subject": customer,
                "time": format_instant(NOW), "data": data}  # fmt: skip
    return Outgoing(TOPIC, customer.encode(), json.dumps(document).encode(), ())


async def longest_piece(product: Live, records: Sequence[Outgoing], done: Callable[[], Awaitable[bool]]) -> float:
    """The longest piece in which the product held the loop, from the publication of records until all is done."""
    async with Ticker().running() as ticker, asyncio.timeout(60):
        await product.together.bus.publish(records)
        while not await done():
            await asyncio.sleep(0.05)
    return ticker.longest


async def keep_customers(product: Live, now: Instant) -> None:
    states = [load.preference(number, now) for number in range(BACKLOG)]
    async with product.together.databases["preference"].write() as tx:
        rows = [(state.customer, state.version, pack(state)) for state in states]
        await tx.bulk_insert("preference_state", ("customer", "version", "state"), rows)


async def count(product: Live, service: str, table: str) -> int:
    async with product.together.databases[service].read() as tx:
        row = await tx.row(f"SELECT count(*) AS rows FROM {table}")
    assert row is not None
    return int(row.rows)


async def test_a_full_batch_of_decisions_leaves_turns_to_others(product: Live) -> None:
    await keep_customers(product, NOW)
    await product.campaign(load.campaign(0))
    data = {"order": "4711", "total": 10.5, "express": True, "goods": [{"count": 2, "name": "cups"}]}
    pieces = []
    for attempt in range(1, TRIES + 1):
        records = [
            record(load.customer(number), f"{attempt}-{number}", load.event_type(0), data) for number in range(BACKLOG)
        ]

        async def decided(wanted: int = BACKLOG * attempt) -> bool:
            return await count(product, "orchestrator", "decision") >= wanted

        pieces.append(await longest_piece(product, records, decided))
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


async def test_a_thousand_waiting_messages_of_one_customer_leave_turns_to_others(product: Live) -> None:
    """Each event is evaluated on the contacts that those before it have planned."""
    document = {**load.campaign(0), "trigger": {"event": "shop.often"}, "channels": ["in_app"], "audience": None}
    document["content"] = {"in_app": {"en": {"title": "x", "body": "y"}}}
    await product.campaign({name: value for name, value in document.items() if value is not None})
    hours = [{"from": "00:00", "to": "23:59"}] * 50
    opt_outs = [{"channel": "sms", "topic": "news"}] * 1000
    await product.customer({"customer": "c-1", "zone": "Etc/UTC", "quiet_hours": hours, "opt_outs": opt_outs})
    pieces = []
    for attempt in range(1, TRIES + 1):

        async def decided(wanted: int = 700 * attempt) -> bool:
            return await count(product, "orchestrator", "decision") >= wanted

        records = [record("c-1", f"often-{attempt}-{number}", "shop.often", {}) for number in range(700)]
        pieces.append(await longest_piece(product, records, decided))
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


async def test_customers_with_a_hundred_addresses_each_are_decided_and_leave_turns_to_others(product: Live) -> None:
    """Their questions to suppression together are larger than a request may be, and hashing them takes seconds."""
    customers = 120
    for number in range(customers):
        numbers = [f"+4915112{number:03}{each:03}" for each in range(100)]
        addresses = [{"channel": "sms", "address": each, "verified": True} for each in numbers]
        await product.customer({"customer": f"c-{number}", "country": "DE", "zone": "Etc/UTC", "addresses": addresses})
    document = {**load.campaign(0), "trigger": {"event": "shop.rich"}, "channels": ["in_app"]}
    document["content"] = {"in_app": {"en": {"title": "x", "body": "y"}}}
    await product.campaign({name: value for name, value in document.items() if name != "audience"})

    async def decided() -> bool:
        return await count(product, "orchestrator", "decision") >= customers

    records = [record(f"c-{number}", "rich", "shop.rich", {}) for number in range(customers)]
    assert await longest_piece(product, records, decided) < MAX_PIECE * TRIES


async def test_expensive_conditions_of_many_campaigns_on_one_event_leave_turns_to_others(product: Live) -> None:
    campaigns = 40
    for number in range(campaigns):
        document = load.campaign(number)
        trigger = {"event": "shop.expensive", "when": EXPENSIVE}
        await product.campaign({**document, "trigger": trigger, "audience": EXPENSIVE})
    numbers = {"numbers": list(range(90))}
    pieces = []
    for attempt in range(1, TRIES + 1):

        async def decided(wanted: int = campaigns * attempt) -> bool:
            return await count(product, "orchestrator", "decision") >= wanted

        began = time.thread_time()
        records = [record("c-1", f"expensive-{attempt}", "shop.expensive", numbers)]
        pieces.append(await longest_piece(product, records, decided))
        assert time.thread_time() - began > 10 * MAX_PIECE, "the conditions are not expensive enough to show anything"
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


async def test_a_campaign_of_a_thousand_tags_is_saved_loaded_and_explained_off_the_loop(product: Live) -> None:
    body = "{% if event.data.x == 'a' or event.data.x == 'b' %}{{ event.data.x | default: 'c' }}{% endif %}" * 150
    content = {"in_app": {key: {"title": "x", "body": f"{body}a"} for key in ("en", "de", "fr", "es")}}
    pieces = []
    for attempt in range(TRIES):
        async with Ticker().running() as ticker:
            document = {**load.campaign(0), "channels": ["in_app"], "content": content, "priority": attempt}
            await product.campaign(document)
            await product.ask("GET", f"/v1/why?customer=c-1&campaign={document['key']}")
        pieces.append(ticker.longest)
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


async def test_a_full_batch_of_preferences_and_situations_leaves_turns_to_others(product: Live) -> None:
    pieces = []
    for attempt in range(1, TRIES + 1):
        records = [
            each
            for number in range(BACKLOG // 2)
            for each in (
                record(load.customer(number), f"p-{attempt}-{number}", "tactful.preference.changed",
                       {"opt_outs": [{"topic": "news"}] if attempt % 2 else []}),
                record(load.customer(number), f"s-{attempt}-{number}", "tactful.situation.opened",
                       {"kind": "complaint", "ref": f"{attempt}"}),
            )
        ]  # fmt: skip

        async def applied(wanted: int = BACKLOG // 2 * attempt) -> bool:
            return (
                await count(product, "preference", "preference_inbox") >= wanted
                and await count(product, "suppression", "inbox") >= wanted
            )

        pieces.append(await longest_piece(product, records, applied))
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


BAD_CUSTOMER = {"zone": "Europa/Berlin" + "x" * 100, "locale": "a-" * 60, "country": "Germoney"}
PHONES = {"addresses": [{"channel": "sms", "address": f"015111{number:06}"} for number in range(50)]}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("tactful.customer.identified", BAD_CUSTOMER),
        ("tactful.customer.identified", PHONES),
        ("tactful.preference.changed", {f"opt_out{number}": 1 for number in range(30)}),
    ],
    ids=["places that are none", "numbers in national form", "misspelt fields"],
)
async def test_a_batch_of_events_is_checked_with_turns_for_others(
    product: Live, kind: str, data: dict[str, Any]
) -> None:
    # Not by the product's own client of the tests, which reads the whole answer, megabytes, in one go on this loop.
    sender = httpx.AsyncClient(transport=httpx.ASGITransport(product.together.app), base_url="http://tactful")
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/cloudevents-batch+json"}
    pieces = []
    for attempt in range(TRIES):
        batch = [
            {"specversion": "1.0", "id": f"{attempt}-{number}", "source": "/shop", "type": kind, "subject": "c-1",
             "time": format_instant(NOW), "data": data}
            for number in range(200)
        ]  # fmt: skip
        content = json.dumps(batch)
        async with Ticker().running() as ticker:
            began = time.process_time()
            answer = await sender.post("/v1/events", content=content, headers=headers)
            assert time.process_time() - began > 2 * MAX_PIECE, "the events are not expensive enough to show anything"
        assert answer.status_code == 202
        pieces.append(ticker.longest)
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


async def test_an_import_of_entries_leaves_turns_to_others(product: Live) -> None:
    pieces = []
    for attempt in range(TRIES):
        rows = [{"address": f"a{attempt}-{number}@example.com", "reason": "manual"} for number in range(2000)]
        async with Ticker().running() as ticker:
            answer = await product.editor.post("/v1/suppressions", json=rows)
        assert answer.json()["added"] == len(rows)
        pieces.append(ticker.longest)
        if pieces[-1] < MAX_PIECE:
            return
    raise AssertionError(f"each time the loop was held too long: {pieces} s")


async def test_a_hold_names_no_more_than_decisions_can_compare_with(product: Live) -> None:
    names = [f"campaign-{number}" for number in range(201)]
    hold = {"key": "h", "mode": "drop", "scope": {"campaigns": names}, "reason": "r"}
    answer = await product.editor.post("/v1/holds", json=hold)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/scope/campaigns"
