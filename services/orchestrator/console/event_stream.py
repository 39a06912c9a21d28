"""New decisions as server-sent events, each a rendered row.

Bounded: so many streams a process, so many rows a look, five minutes a stream; then the browser comes back, is asked
again who it is, and goes on after the last row that it saw.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from fastapi import Request
from starlette.responses import StreamingResponse

from services.kit.errors import RateLimited, Transient
from services.orchestrator.console import store
from services.orchestrator.console.console_context import Parts
from services.orchestrator.console.store import Wanted
from services.orchestrator.decisions.read_store import StoredDecision

MOST_STREAMS: Final = 64
MOST_ROWS: Final = 50
EVERY: Final = 1.0
HEARTBEAT: Final = 15.0
LIFE: Final = 300.0
OVERLAP: Final = 200
"""Numbers are given before a transaction commits, so a lower one may appear late: so far back each look begins."""
MOST_BEHIND: Final = 1000
"""Who is further behind than this goes on with the newest rows; nobody reads faster."""

Render = Callable[[Sequence[StoredDecision]], Awaitable[list[tuple[int, str]]]]
"""Makes rows of decisions: (number, HTML) each."""


class Stream:
    """Makes the answers to `EventSource`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open = 0

    def response(self, request: Request, wanted: Wanted, after: int | None, render: Render) -> StreamingResponse:
        """Rows of decisions newer than `after` until the browser leaves. Raises RateLimited: too many look on."""
        if self._open >= MOST_STREAMS:
            raise RateLimited("too many people watch live; load the page again for the newest decisions")
        given = request.headers.get("last-event-id", "")
        after = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else after
        headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
        return StreamingResponse(self._events(wanted, after, render), 200, headers, "text/event-stream")

    async def _events(self, wanted: Wanted, after: int | None, render: Render) -> AsyncIterator[str]:
        self._open += 1
        try:
            yield "retry: 3000\n\n"
            look = _Look(self._parts, wanted, after)
            ends = time.monotonic() + LIFE
            spoke = time.monotonic()
            while time.monotonic() < ends and not self._parts.health.stopping:
                for id, html in await render(await look()):
                    spoke = time.monotonic()
                    yield _event(id, html)
                if time.monotonic() - spoke >= HEARTBEAT:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                await asyncio.sleep(EVERY)
        finally:
            self._open -= 1


class _Look:
    """Finds each new decision once."""

    def __init__(self, parts: Parts, wanted: Wanted, after: int | None) -> None:
        self._parts = parts
        self._wanted = wanted
        self._after = after
        self._floor = after
        self._seen: set[int] = set()

    async def __call__(self) -> list[StoredDecision]:
        try:
            async with self._parts.database.read() as tx:
                newest = await store.last_id(tx)
                if self._after is None or self._floor is None:
                    self._after = self._floor = newest
                elif newest - self._after > MOST_BEHIND:
                    self._after = self._floor = newest - MOST_ROWS
                start = max(self._floor, self._after - OVERLAP)
                found = await store.later(tx, self._wanted, start, OVERLAP + MOST_ROWS)
        except Transient:
            return []
        fresh = [item for item in found if item.decision_id not in self._seen][:MOST_ROWS]
        self._seen |= {item.decision_id for item in fresh}
        if fresh:
            self._after = max(self._after, fresh[-1].decision_id)
            self._seen = {id for id in self._seen if id > self._after - OVERLAP}
        return fresh


def _event(id: int, html: str) -> str:
    data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"id: {id}\nevent: decision\n{data}\n"
