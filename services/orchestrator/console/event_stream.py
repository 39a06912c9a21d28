"""Live decisions as server-sent events, each a rendered table row.

Bounded: streams per process, rows per poll, and five minutes per stream; then the browser reconnects, is authenticated
again, and continues after the last row it received.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from fastapi import Request

from services.kit.errors import RateLimited, Transient
from services.kit.http.event_stream import (
    HEARTBEAT,
    HEARTBEAT_INTERVAL,
    RECONNECT_AFTER,
    EventStreamResponse,
    format_event,
)
from services.orchestrator.console import store
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.store import DecisionListFilter
from services.orchestrator.decisions.read_store import StoredDecision

MAX_STREAMS: Final = 64
MAX_ROWS: Final = 50
POLL_INTERVAL: Final = 1.0
MAX_STREAM_AGE: Final = 300.0
ID_OVERLAP: Final = 200
"""How many ids below the newest each poll reads again. Ids are assigned before a transaction commits, so a lower id may
become visible after a higher one; a stream that only continued from its last id would miss it."""
MAX_BACKLOG: Final = 1000
"""A reader further behind than this continues with the newest rows."""

RowRenderer = Callable[[Sequence[StoredDecision]], Awaitable[list[tuple[int, str]]]]
"""Renders decisions as rows: (id, HTML) each."""


class DecisionStream:
    """Builds the responses to `EventSource`."""

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context
        self._open_streams = 0

    def open_stream(
        self, request: Request, decision_filter: DecisionListFilter, after: int | None, render: RowRenderer
    ) -> EventStreamResponse:
        """Yields rows of decisions newer than `after` until the browser disconnects. Raises RateLimited at the stream
        limit.
        """
        if self._open_streams >= MAX_STREAMS:
            raise RateLimited(f"all {MAX_STREAMS} live streams are in use; reload the page to see new decisions")
        last_event_id = request.headers.get("last-event-id", "")
        after = (
            int(last_event_id)
            if last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19
            else after
        )
        return EventStreamResponse(self._generate_events(decision_filter, after, render))

    async def _generate_events(
        self, decision_filter: DecisionListFilter, after: int | None, render: RowRenderer
    ) -> AsyncIterator[str]:
        self._open_streams += 1
        try:
            yield RECONNECT_AFTER
            read_new_decisions = _NewDecisionReader(self._context, decision_filter, after)
            deadline = time.monotonic() + MAX_STREAM_AGE
            last_sent = time.monotonic()
            while time.monotonic() < deadline and not self._context.health.stopping:
                for id, html in await render(await read_new_decisions()):
                    last_sent = time.monotonic()
                    yield format_event("decision", html, id)
                if time.monotonic() - last_sent >= HEARTBEAT_INTERVAL:
                    last_sent = time.monotonic()
                    yield HEARTBEAT
                await asyncio.sleep(POLL_INTERVAL)
        finally:
            self._open_streams -= 1


class _NewDecisionReader:
    """Finds each new decision once."""

    def __init__(self, context: ConsoleContext, decision_filter: DecisionListFilter, after: int | None) -> None:
        self._context = context
        self._filter = decision_filter
        self._after = after
        self._floor = after  # rows up to here were on the page already: the overlap must not repeat them
        self._seen: set[int] = set()

    async def __call__(self) -> list[StoredDecision]:
        try:
            async with self._context.database.read() as tx:
                newest = await store.newest_decision_id(tx)
                if self._after is None or self._floor is None:
                    self._after = self._floor = newest
                elif newest - self._after > MAX_BACKLOG:
                    self._after = self._floor = newest - MAX_ROWS
                start = max(self._floor, self._after - ID_OVERLAP)
                newer = await store.list_decisions_after(tx, self._filter, start, ID_OVERLAP + MAX_ROWS)
        except Transient:
            return []
        fresh = [item for item in newer if item.decision_id not in self._seen][:MAX_ROWS]
        self._seen |= {item.decision_id for item in fresh}
        if fresh:
            self._after = max(self._after, fresh[-1].decision_id)
            # Ids below the overlap are never read again, so the set stays small.
            self._seen = {id for id in self._seen if id > self._after - ID_OVERLAP}
        return fresh
