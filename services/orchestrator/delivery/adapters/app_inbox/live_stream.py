"""Live inboxes as server-sent events. An event is a message as it is now, with the number of unread ones.

The id of an event is the version of the customer's inbox, so a reader that comes back with the id it had last gets all
that has changed since, whichever process it comes to. Bounded: streams of a process and of a customer, the age of a
stream, and the time that a reader takes to take what it is sent; a stream ends with its token as well.

One task for each process looks, for all customers who have a stream here, whether their inboxes have changed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from schemas.times import Instant
from services.kit.db.database import Database
from services.kit.db.notifications import FALLBACK_INTERVAL
from services.kit.errors import RateLimited, Transient
from services.kit.http.event_stream import (
    HEARTBEAT,
    HEARTBEAT_INTERVAL,
    RECONNECT_AFTER,
    EventStreamResponse,
    format_event,
)
from services.kit.observability.logs import log_error
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import wait_for_any
from services.orchestrator.delivery.adapters.app_inbox import store
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import VerifiedCustomer

STREAMS_OF_CUSTOMER: Final = 5
MAX_REPLAYED: Final = 50
"""A reader that has missed more messages than this is told to load the list anew."""
MAX_STREAM_AGE: Final = 1_800.0
END_CHECK_INTERVAL: Final = 1.0
MIN_LOOK_INTERVAL: Final = 0.1
"""Between two looks: a campaign to everybody commits many batches a second."""

DescribeMessage = Callable[[Row[Any]], dict[str, Any]]


class _Waiter:
    """A stream that waits for a version above the one it has sent."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.told = asyncio.Event()

    def tell(self, version: int) -> None:
        """There is this version now."""
        if version != self.version:
            self.version = version
            self.told.set()


class LiveInboxes:
    """The streams of this process. `most`: how many there may be. Create it before the database is first probed."""

    def __init__(
        self, database: Database, clock: Clock, most: int, is_stopping: Callable[[], bool], describe: DescribeMessage
    ) -> None:
        self._database = database
        self._clock = clock
        self._most = most
        self._is_stopping = is_stopping
        self._describe = describe
        self._signal = database.notifications.listen(store.INBOX_CHANGED)
        self._waiting: dict[str, set[_Waiter]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._unwanted = asyncio.Event()
        """Set when the last stream was closed."""

    @property
    def open_streams(self) -> int:
        """How many streams this process holds."""
        return sum(map(len, self._waiting.values()))

    def open_stream(self, token: VerifiedCustomer, last_event_id: str | None) -> EventStreamResponse:
        """The answer to a reader that has had events up to this id. Raises RateLimited where there is no room."""
        if self.open_streams >= self._most:
            raise RateLimited("all live streams of this process are in use", retry_after=30)
        if len(self._waiting.get(token.customer, ())) >= STREAMS_OF_CUSTOMER:
            raise RateLimited(f"a customer may hold {STREAMS_OF_CUSTOMER} live streams of a process", retry_after=30)
        waiter = _Waiter()
        self._waiting.setdefault(token.customer, set()).add(waiter)
        events = self._generate_events(token.customer, token.expires, _parse_id(last_event_id), waiter)
        return EventStreamResponse(events, lambda: self._close(token.customer, waiter))

    def _close(self, customer: str, waiter: _Waiter) -> None:
        waiting = self._waiting.get(customer, set())
        waiting.discard(waiter)
        if not waiting:
            self._waiting.pop(customer, None)
        if not self._waiting:
            self._unwanted.set()

    async def wait_until_idle(self) -> None:
        """Returns once nothing looks any more: soon after the last stream was closed."""
        if self._looking is not None:
            await self._looking

    async def _generate_events(
        self, customer: str, expires: Instant, after: int | None, waiter: _Waiter
    ) -> AsyncIterator[str]:
        self._unwanted.clear()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_wanted())
        yield RECONNECT_AFTER
        opened = last_sent = time.monotonic()
        version = after
        is_first = True
        while time.monotonic() - opened < MAX_STREAM_AGE and self._clock.now() < expires and not self._is_stopping():
            if is_first or waiter.told.is_set():
                waiter.told.clear()
                try:
                    version, text = await self._read_news(customer, version, is_first)
                except Transient as error:
                    log_error("inbox_stream_waits", error, "warning")
                    waiter.version = None  # so that the next look tells it again
                    text = ""
                else:
                    is_first = False
                if text:
                    last_sent = time.monotonic()
                    yield text
            elif time.monotonic() - last_sent >= HEARTBEAT_INTERVAL:
                last_sent = time.monotonic()
                yield HEARTBEAT
            await wait_for_any(END_CHECK_INTERVAL, waiter.told)

    async def _read_news(self, customer: str, after: int | None, is_first: bool) -> tuple[int, str]:
        async with self._database.read() as tx:
            version = (await store.read_versions(tx, [customer])).get(customer, 0)
            unread = await store.count_unread(tx, customer)
            known = version if after is None else after
            # A version that this inbox never had: it was erased, or the reader makes things up.
            rows = await store.list_changed(tx, customer, known) if known < version else []
        if len(rows) > MAX_REPLAYED or known > version:
            return version, _format_event(version, "reset", {"unread": unread})
        if not rows:
            return version, _format_event(version, "unread", {"unread": unread}) if is_first else ""
        return version, "".join(self._format_rows(rows, unread))

    def _format_rows(self, rows: Sequence[Row[Any]], unread: int) -> list[str]:
        # Rows that were changed together have one version: only behind the last of them may a reader begin again.
        ends = [row.version if follows is None or follows.version > row.version else None
                for row, follows in zip(rows, [*rows[1:], None], strict=True)]  # fmt: skip
        return [
            _format_event(end, "message", {"message": self._describe(row), "unread": unread})
            for row, end in zip(rows, ends, strict=True)
        ]

    async def _look_while_wanted(self) -> None:
        while self._waiting:
            signal = self._signal.next_event()
            try:
                async with self._database.read() as tx:
                    versions = await store.read_versions(tx, list(self._waiting))
                for customer, version in versions.items():
                    for waiter in self._waiting.get(customer, ()):
                        waiter.tell(version)
            except Transient as error:
                log_error("inbox_streams_wait", error, "warning")
            await asyncio.sleep(MIN_LOOK_INTERVAL)
            await wait_for_any(FALLBACK_INTERVAL, signal, self._unwanted)


def _parse_id(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _format_event(id: int | None, kind: str, data: dict[str, Any]) -> str:
    return format_event(kind, msgspec.json.encode(data).decode(), id)
