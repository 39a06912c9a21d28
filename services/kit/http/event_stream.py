"""Server-sent events: their text, and a response that streams them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

HEARTBEAT_INTERVAL: Final = 15.0
"""Seconds without an event after which a stream says that it is there: proxies close what is silent."""
HEARTBEAT: Final = ": heartbeat\n\n"
RECONNECT_AFTER: Final = "retry: 3000\n\n"
"""Tells a browser to come back after so many milliseconds once the stream has ended."""
SEND_SECONDS: Final = 20.0
"""A reader that does not take what it is sent for so long is left."""
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def format_event(kind: str, data: str, id: int | None = None) -> str:
    """One event. Blank lines of the data are left out. A line ends where readers see its end, not as in Python."""
    first = "" if id is None else f"id: {id}\n"
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data) if line.strip())
    return f"{first}event: {kind}\n{lines}\n"


class EventStreamResponse(StreamingResponse):
    """Streams events to a reader. `close` is called once, however the stream ends."""

    def __init__(self, events: AsyncIterator[str], close: Callable[[], None] = lambda: None) -> None:
        headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
        super().__init__(events, 200, headers, "text/event-stream")
        self.close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the stream. Raises ClientDisconnect for a reader that takes nothing."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        try:
            await super().__call__(scope, receive, send_in_time)
        finally:
            self.close()
