"""Live inboxes in one process: what a stream sends, what a reader who comes back gets, and where it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import pytest

from schemas.times import MINUTE
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.kit.errors import RateLimited
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.adapters.app_inbox import live_stream, store
from services.orchestrator.delivery.adapters.app_inbox.api import describe_message
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import VerifiedCustomer
from services.orchestrator.delivery.adapters.app_inbox.live_stream import STREAMS_OF_CUSTOMER, LiveInboxes
from tests.orchestrator.delivery.adapters.test_app_inbox import NOW, note

pytestmark = pytest.mark.wired


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=4)
    yield opened
    await opened.close()


class Inboxes:
    """Live inboxes on a database, with a clock that stands still."""

    def __init__(self, database: Database, most: int = 20) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.stopping = False
        self.live = LiveInboxes(database, self.clock, most, lambda: self.stopping, describe_message)
        self.opened: list[Any] = []

    def open(self, customer: str = "c-1", last_id: str | None = None) -> AsyncGenerator[str, None]:
        answer = self.live.open_stream(VerifiedCustomer(customer, NOW + MINUTE), last_id)
        self.opened.append(answer)
        return cast(AsyncGenerator[str, None], answer.body_iterator)

    async def add(self, *ids: str, customer: str = "c-1") -> None:
        async with self.database.write() as tx:
            await store.insert_messages(tx, [note(id, customer) for id in ids], self.clock.now())

    async def close(self) -> None:
        for each in self.opened:
            await each.body_iterator.aclose()
            each.close()
        assert self.live.open_streams == 0
        await self.live.wait_until_idle()


@pytest.fixture
async def inboxes(database: Database) -> AsyncIterator[Inboxes]:
    made = Inboxes(database)
    yield made
    await made.close()


async def events(stream: AsyncGenerator[str, None], count: int) -> list[tuple[str, str, Any]]:
    """The next events: id, kind and data."""
    found: list[tuple[str, str, Any]] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            for text in (await anext(stream)).split("\n\n"):
                fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(":"))
                if "data" in fields:
                    found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    assert len(found) == count
    return found


def ids(found: list[tuple[str, str, Any]]) -> list[str]:
    return [data["message"]["id"] for _, _, data in found]


async def test_a_stream_begins_with_the_number_of_unread_messages_and_goes_on_with_new_ones(inboxes: Inboxes) -> None:
    await inboxes.add("msg_a")
    stream = inboxes.open()
    assert await events(stream, 1) == [("1", "unread", {"unread": 1})]
    await inboxes.add("msg_x", customer="c-2")
    await inboxes.add("msg_b", "msg_c")
    found = await events(stream, 2)
    assert (ids(found), [id for id, _, _ in found]) == (["msg_b", "msg_c"], ["2", "3"])
    assert found[1][2]["unread"] == 3


async def test_who_comes_back_gets_what_was_missed_once(inboxes: Inboxes) -> None:
    await inboxes.add("msg_a", "msg_b", "msg_c")
    assert ids(await events(inboxes.open(last_id="1"), 2)) == ["msg_b", "msg_c"]
    assert await events(inboxes.open(last_id="3"), 1) == [("3", "unread", {"unread": 3})]


@pytest.mark.parametrize("last_id", ["9999999999", "-1", "x", "1.5", "9" * 40, "²"])
async def test_ids_that_the_inbox_never_gave_are_no_way_in(inboxes: Inboxes, last_id: str) -> None:
    await inboxes.add("msg_a")
    ((id, kind, data),) = await events(inboxes.open(last_id=last_id), 1)
    assert (id, kind in ("unread", "reset"), data) == ("1", True, {"unread": 1})


async def test_who_has_missed_much_loads_the_list_anew(inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "MAX_REPLAYED", 3)
    stream = inboxes.open(last_id="0")
    await events(stream, 1)
    await inboxes.add("msg_a", "msg_b", "msg_c", "msg_d")
    assert await events(stream, 1) == [("4", "reset", {"unread": 4})]
    await inboxes.add("msg_e")
    assert ids(await events(stream, 1)) == ["msg_e"]


async def test_a_stream_ends_with_its_token_and_with_its_process(inboxes: Inboxes) -> None:
    stream = inboxes.open()
    await events(stream, 1)
    inboxes.clock.advance(MINUTE)
    async with asyncio.timeout(5):
        assert [text async for text in stream] == []
    inboxes.clock = ManualClock(NOW)
    inboxes.live._clock = inboxes.clock
    stream = inboxes.open()
    await events(stream, 1)
    inboxes.stopping = True
    async with asyncio.timeout(5):
        assert [text async for text in stream] == []


async def test_an_idle_stream_shows_that_it_is_there(inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "HEARTBEAT_INTERVAL", 0.0)
    stream = inboxes.open()
    await events(stream, 1)
    async with asyncio.timeout(5):
        assert await anext(stream) == ": heartbeat\n\n"


async def test_a_stream_is_told_without_a_notification(inboxes: Inboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification may be lost: what it announced comes a little later."""
    monkeypatch.setattr(live_stream, "FALLBACK_INTERVAL", 0.2)
    monkeypatch.setattr(inboxes.database.notifications, "wake", lambda channels: None)
    stream = inboxes.open()
    await events(stream, 1)
    await inboxes.add("msg_a")
    assert ids(await events(stream, 1)) == ["msg_a"]


async def test_a_customer_and_a_process_hold_so_many_streams_and_no_more(database: Database) -> None:
    inboxes = Inboxes(database, most=STREAMS_OF_CUSTOMER + 1)
    for _ in range(STREAMS_OF_CUSTOMER):
        inboxes.open()
    with pytest.raises(RateLimited):
        inboxes.open()
    inboxes.open("c-2")
    with pytest.raises(RateLimited):
        inboxes.open("c-3")
    inboxes.opened[0].close()
    inboxes.open("c-3")
    await inboxes.close()
