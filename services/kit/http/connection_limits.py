"""Limits of a connection, before anybody has been asked who they are: how long a request's head and body may be on
their way, how large a head may be, and how many connections a process holds.

uvicorn reads a head of any size, waits for its end for as long as the caller likes, and keeps any number of callers.
What is over a limit is answered as far as HTTP has a word for it (408, 431, 503), and the connection is closed.
"""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.kit.errors import Malformed, TactfulError, Transient
from services.kit.http import problems
from services.kit.observability import logs
from services.kit.observability.trace import parse_trace_id

MAX_HEAD_BYTES = 32 * 1024
"""Of the request line and all headers together. Our longest URLs and tokens take a tenth of it."""
MAX_HEADERS = 100
MAX_PIPELINED = 16
"""Requests of a connection that wait for the answer to the one before them. What is read at once may hold thousands."""
HEAD_SECONDS = 10.0
"""From the first byte of a connection, or of a further request on it, to the end of the head."""
BODY_SECONDS = 30.0
"""From the end of the head to the end of the body."""
MAX_CONNECTIONS = 1000
"""Of one process. Beyond it the oldest connection that has no request in progress makes room."""


class HeadTooLarge(TactfulError):
    """The request line and the headers are larger than a server takes."""

    status = 431
    title = "Request header fields too large"
    default_code = "head_too_large"


class TooManyPipelined(TactfulError):
    """The connection has sent more requests ahead of their answers than a server keeps."""

    status = 429
    title = "Too many requests"
    default_code = "too_many_pipelined"


class TooSlow(TactfulError):
    """The request did not arrive in the time that it may take."""

    status = 408
    title = "Request timeout"
    default_code = "request_timeout"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection of the server, within the limits of this module."""

    max_head_bytes: ClassVar[int] = MAX_HEAD_BYTES
    max_connections: ClassVar[int] = MAX_CONNECTIONS
    head_seconds: ClassVar[float] = HEAD_SECONDS
    body_seconds: ClassVar[float] = BODY_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._in_head = True
        self._refusal: TactfulError | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- the connection ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room for this connection, or refuses it where all others are at work."""
        super().connection_made(transport)
        if len(self.connections) <= self.max_connections or self._make_room():
            self._start_timer(self.head_seconds)
        else:
            self._refuse(Transient("this process has no room for another connection", retry_after=5))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        """Whether no request is in progress: none has a whole head, or the last one is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> bool:
        for other in list(self.connections):
            if other is not self and isinstance(other, BoundedHttpProtocol) and other._idle:
                other.transport.abort()
                self.connections.discard(other)
                return True
        return False

    # -- reading -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Reads on, and counts what comes before the end of a head."""
        if self._refusal is not None:
            return
        super().data_received(data)
        if self._in_head and self._refusal is None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._timer is None:
            self._start_timer(self.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Counts the headers. An exception here is answered by `send_400_response`."""
        if len(self.headers) >= MAX_HEADERS:
            raise self._note_refusal(HeadTooLarge(f"a request may have at most {MAX_HEADERS} headers"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete: the body may take its time now."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.max_head_bytes:
            raise self._note_refusal(self._too_large())
        if len(self.pipeline) >= MAX_PIPELINED:
            detail = f"at most {MAX_PIPELINED} requests of a connection may wait for the answer to the one before them"
            raise self._note_refusal(TooManyPipelined(detail))
        self._in_head = False
        self._start_timer(self.body_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed, or what a callback has refused."""
        refusal = self._refusal
        self._refusal = None
        self._refuse(refusal or Malformed(msg))

    # -- refusing ------------------------------------------------------------------------------------------------

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"the request line and the headers may have {self.max_head_bytes} bytes together")

    def _note_refusal(self, error: TactfulError) -> TactfulError:
        self._refusal = error
        return error

    def _refuse(self, error: TactfulError) -> None:
        """Answers, unless an answer to this request is under way, and closes the connection."""
        self._refusal = error
        self._stop_timer()
        answered = not self._idle and self.cycle.response_started
        if not self._idle:
            self.cycle.disconnected = True  # ends the request for the application, which then sends nothing more
            self.cycle.message_event.set()
        if not self.transport.is_closing():
            if not answered:
                self.transport.write(_encode(error))
            self.transport.close()
        logs.log("request_error", "warning", status=error.status, error_code=error.code, route="none")

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._on_timeout, seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self, seconds: float) -> None:
        self._timer = None
        if self._in_head and not self._head_bytes:  # connected, and said nothing: there is no request to answer
            self.transport.close()
        elif not self.transport.is_closing():
            part = "head" if self._in_head else "body"
            self._refuse(TooSlow(f"the {part} of the request was not here after {seconds:g} s"))


def _encode(error: TactfulError) -> bytes:
    """The whole answer, as it is written to a connection that is closed afterwards."""
    token = logs.trace_id.set(parse_trace_id(None))
    try:
        response: Response = problems.error_response(error)
    finally:
        logs.trace_id.reset(token)
    head = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    head += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*head, b"cache-control: no-store", b"connection: close", b"", bytes(response.body)])
