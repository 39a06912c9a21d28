"""Server-sent events: their text, and the end of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from services.kit.http import event_stream
from services.kit.http.event_stream import EventStreamResponse, format_event


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("one", "id: 7\nevent: row\ndata: one\n\n"),
        ("a\n\n b\r\nc", "id: 7\nevent: row\ndata: a\ndata:  b\ndata: c\n\n"),
        ("a\u2028b\x85c\x0bd", "id: 7\nevent: row\ndata: a\u2028b\x85c\x0bd\n\n"),
    ],
)
def test_an_event_is_lines(data: str, text: str) -> None:
    assert format_event("row", data, 7) == text
    assert format_event("row", "one") == "event: row\ndata: one\n\n"


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_a_reader_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(event_stream, "SEND_SECONDS", 0.1)
    forever, closed = asyncio.Event(), []

    async def events() -> AsyncIterator[str]:
        yield format_event("row", "one")

    async def send(message: Any) -> None:
        await forever.wait()

    async def receive() -> Any:
        await forever.wait()

    response = EventStreamResponse(events(), lambda: closed.append(True))
    async with asyncio.timeout(5):
        with pytest.raises(ClientDisconnect):
            await response({"type": "http", "asgi": {"spec_version": version}}, receive, send)
    assert closed == [True]
