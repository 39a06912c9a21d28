"""A server by HTTP/2 over TLS on a real socket that plays APNs, and can misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes, Settings

from tests.support.webhook_receiver import serving_tls


@dataclass
class Http2Request:
    headers: dict[str, str]
    body: bytes = b""
    stream: int = 0


Reply = Callable[["ServedConnection", Http2Request], None]


def reply(
    status: int, reason: str | None = None, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Reply:
    """Answers; with a reason, as APNs does."""

    def answer(connection: ServedConnection, request: Http2Request) -> None:
        content = body if body is not None else json.dumps({"reason": reason}).encode() if reason else b""
        connection.answer(request, status, headers or {}, content)

    return answer


def refuse(connection: ServedConnection, request: Http2Request) -> None:
    """Says that the request was not processed."""
    connection.h2.reset_stream(request.stream, ErrorCodes.REFUSED_STREAM)


def fail(connection: ServedConnection, request: Http2Request) -> None:
    """Resets the stream for another reason."""
    connection.h2.reset_stream(request.stream, ErrorCodes.INTERNAL_ERROR)


def keep_silent(connection: ServedConnection, request: Http2Request) -> None:
    """Never answers."""


def drop(connection: ServedConnection, request: Http2Request) -> None:
    """Closes the connection without a word."""
    connection.transport.abort()


def go_away(*, after: int, then: Reply = keep_silent) -> Reply:
    """A GOAWAY that names a stream as the last, and what happens afterwards."""

    def answer(connection: ServedConnection, request: Http2Request) -> None:
        frame = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + after.to_bytes(4, "big") + bytes(4)
        connection.transport.write(frame)
        then(connection, request)

    return answer


@dataclass
class ApnsFake:
    """`replies`: for each request in turn; then `usual`. `concurrent`: requests at a time."""

    usual: Reply = field(default_factory=lambda: reply(200))
    replies: list[Reply] = field(default_factory=list)
    concurrent: int = 1000
    window: int = 65_535
    announces_settings: bool = True
    answers_pings: bool = True
    delay: float = 0.0
    requests: list[Http2Request] = field(default_factory=list)
    connections: list[ServedConnection] = field(default_factory=list)
    open: int = 0
    most_open: int = 0


class ServedConnection(asyncio.Protocol):
    """One connection of the fake."""

    def __init__(self, fake: ApnsFake) -> None:
        self.fake = fake
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests: dict[int, Http2Request] = {}
        self.pings = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.fake.connections.append(self)
        if not self.fake.announces_settings:
            return
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self.fake.concurrent,
            SettingCodes.INITIAL_WINDOW_SIZE: self.fake.window,
        }
        self.h2.local_settings = Settings(client=False, initial_values=values)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if not self.fake.announces_settings or (self.pings and not self.fake.answers_pings):
            return
        self.pings += data[:4] == b"\x00\x00\x08\x06"
        if self.pings and not self.fake.answers_pings:
            return
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                headers = {str(name): str(value) for name, value in event.headers}
                self.requests[event.stream_id] = Http2Request(headers, stream=event.stream_id)
                self.fake.open += 1
                self.fake.most_open = max(self.fake.most_open, self.fake.open)
            elif isinstance(event, DataReceived):
                self.requests[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                asyncio.get_running_loop().call_later(self.fake.delay, self._reply, self.requests[event.stream_id])
        self.flush()

    def answer(self, request: Http2Request, status: int, headers: dict[str, str], body: bytes) -> None:
        id = request.headers.get("apns-id", "")
        whole: list[Any] = [(":status", str(status)), ("apns-id", id), *headers.items()]
        self.h2.send_headers(request.stream, whole, end_stream=not body)
        for start in range(0, len(body), 16_384):
            self.h2.send_data(request.stream, body[start : start + 16_384])
        if body:
            self.h2.end_stream(request.stream)

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def _reply(self, request: Http2Request) -> None:
        self.fake.open -= 1
        self.fake.requests.append(request)
        if not self.transport.is_closing():
            (self.fake.replies.pop(0) if self.fake.replies else self.fake.usual)(self, request)
            self.flush()


@asynccontextmanager
async def serving_http2(fake: ApnsFake, protocols: tuple[str, ...] = ("h2",)) -> AsyncIterator[str]:
    """The fake on a free port of this machine; its URL."""
    tls = serving_tls()
    tls.set_alpn_protocols(list(protocols))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ServedConnection(fake), "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in fake.connections:
            connection.transport.abort()
        await asyncio.sleep(0.01)
