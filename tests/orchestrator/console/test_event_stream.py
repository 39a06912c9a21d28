"""The live stream: every new row once, in bounds, and an end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, cast

import pytest
from starlette.requests import Request

from services.kit.errors import RateLimited
from services.orchestrator.console import event_stream as subject
from services.orchestrator.console.event_stream import DecisionStream
from services.orchestrator.console.store import DecisionListFilter
from services.orchestrator.decisions.read_store import StoredDecision
from tests.orchestrator.console.conftest import House
from tests.support.decision_records import decision, event, keep

pytestmark = pytest.mark.wired


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw})


async def render(found: Sequence[StoredDecision]) -> list[tuple[int, str]]:
    return [(item.decision_id, f"<tr>\n{item.decision.message_id}\n</tr>") for item in found]


def rows(stream: DecisionStream, wanted: DecisionListFilter, after: int, **headers: str) -> AsyncGenerator[Any, None]:
    """The body of an answer."""
    return cast(AsyncGenerator[Any, None], stream.open_stream(request(**headers), wanted, after, render).body_iterator)


async def made(house: House, first: int, last: int) -> None:
    """Decisions about events of these numbers."""
    async with house.embedded.services.databases["orchestrator"].write() as tx:
        for number in range(first, last + 1):
            of = event(f"e-{number}", f"c-{number % 2}")
            await keep(tx, of, decision(of), offset=number)


def parts_of(house: House) -> Any:
    together = house.embedded.services
    return type("P", (), {"database": together.databases["orchestrator"], "health": together.orchestrator.health})()


async def ids(body: AsyncIterator[Any], wanted: int) -> list[int]:
    """The numbers of so many rows."""
    found: list[int] = []
    async with asyncio.timeout(20):
        while len(found) < wanted:
            chunk = str(await anext(body))
            found += [int(line[4:]) for line in chunk.splitlines() if line.startswith("id: ")]
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "POLL_INTERVAL", 0.01)


async def test_rows_come_once_each_and_go_on_after_the_last_one_seen(house: House) -> None:
    await made(house, 1, 5)
    stream = DecisionStream(parts_of(house))
    body = rows(stream, DecisionListFilter(), 2)
    assert await ids(body, 3) == [3, 4, 5]
    await made(house, 6, 7)
    assert await ids(body, 2) == [6, 7]
    again = rows(stream, DecisionListFilter(), 2, last_event_id="6")
    assert await ids(again, 1) == [7]


async def test_filters_hold_for_new_rows(house: House) -> None:
    await made(house, 1, 4)
    body = rows(DecisionStream(parts_of(house)), DecisionListFilter(customer="c-0"), 0)
    assert await ids(body, 2) == [2, 4]


async def test_who_is_far_behind_goes_on_with_the_newest(house: House) -> None:
    await made(house, 1, subject.MAX_BACKLOG + 100)
    body = rows(DecisionStream(parts_of(house)), DecisionListFilter(), 1)
    assert (await ids(body, 1))[0] > subject.MAX_BACKLOG


async def test_a_stream_ends_when_the_service_stops_and_after_its_life(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(house)
    parts.health.stopping = True
    assert [chunk async for chunk in rows(DecisionStream(parts), DecisionListFilter(), 0)] == ["retry: 3000\n\n"]
    parts.health.stopping = False
    monkeypatch.setattr(subject, "MAX_STREAM_AGE", 0.05)
    monkeypatch.setattr(subject, "HEARTBEAT_INTERVAL", 0.0)
    chunks = [chunk async for chunk in rows(DecisionStream(parts), DecisionListFilter(), 0)]
    assert ": heartbeat\n\n" in chunks


async def test_only_so_many_may_watch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MAX_STREAMS", 1)
    stream = DecisionStream(parts_of(house))
    body = rows(stream, DecisionListFilter(), 0)
    await anext(body)
    with pytest.raises(RateLimited):
        stream.open_stream(request(), DecisionListFilter(), 0, render)
    await body.aclose()
    assert stream.open_stream(request(), DecisionListFilter(), 0, render)
