"""One connection by HTTP/2, on which many requests are under way at once.

h2 keeps the state of the protocol and writes nothing itself. So a request is written here, whole and in one step, just
after the first-byte guard has agreed: before that it waits until the server takes another stream, the flow control
windows have room for its body, and nothing else is left to be written.

What is certain about a request without an answer: it was not processed if the server says so, by REFUSED_STREAM or by a
GOAWAY that names an earlier stream as the last (RFC 9113, sections 6.8 and 8.7). In all other cases nobody knows.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.provider_http import NoAnswer, NotWritten

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer's body that are kept."""
_FRAME_HEADER: Final = 9
_MAX_FRAME: Final = 16_384
_PING: Final = b"tactful."


class ConnectionEnded(NotWritten):
    """The connection takes no more requests. Nothing of this one was written, or the server has not processed it."""


class Http2Answer:
    """An answer. `body`: None if it is too long."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
        self.status, self.headers, self.body = status, headers, body


class _Exchange:
    """A request whose answer is on its way."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Http2Answer] = asyncio.get_running_loop().create_future()
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    def finish(self) -> None:
        status = self.headers.get(":status", "")
        body = bytes(self.body) if len(self.body) <= MAX_ANSWER else None
        if not self.answer.done():
            self.answer.set_result(Http2Answer(int(status) if status.isdecimal() else 0, self.headers, body))

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Http2Connection(asyncio.Protocol):
    """An open connection. `is_ending`: it takes no more requests; those under way may still be answered."""

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._exchanges: dict[int, _Exchange] = {}
        self._unread = bytearray()
        self._changed = asyncio.Event()
        self._has_settings = self._is_paused = self.is_ending = False
        self._pong: asyncio.Future[None] | None = None
        self._lost = asyncio.Event()
        self.last_used = asyncio.get_running_loop().time()
        """When something was last received, by the loop's clock."""

    async def wait_until_ready(self) -> None:
        """Waits for the server's settings: how many requests it takes at once. Raises ConnectionEnded."""
        while not self._has_settings:
            await self._wait_for_change()

    async def ping(self) -> None:
        """Waits for a sign of life. Raises ConnectionEnded."""
        if self._pong is None:
            self._pong = asyncio.get_running_loop().create_future()
            self._h2.ping(_PING)
            self._flush()
        pong = self._pong
        while not pong.done():
            await self._wait_for_change()

    async def post(
        self, headers: Sequence[tuple[str, str]], body: bytes, message_id: str, first_byte: FirstByteGuard
    ) -> Http2Answer:
        """The answer to a request. Raises NotWritten, NoAnswer and PastDeadline. It waits as long as it may: if the
        caller gives up first, the stream is reset, and this connection takes no more requests.
        """
        while not self._has_room(len(body)):
            await self._wait_for_change()
        stream, exchange = self._write(headers, body, message_id, first_byte)
        try:
            return await exchange.answer
        finally:
            self._forget(stream)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is left of it."""
        return self._lost.is_set()

    async def close(self) -> None:
        """Takes no more requests, and returns when those under way have ended and it is closed."""
        self.is_ending = True
        self._changed.set()
        self._close_if_idle()
        await self._lost.wait()

    def abort(self) -> None:
        """Closes at once."""
        self.is_ending = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(1, 0)  # paused as soon as anything is left to be written
        self._h2.local_settings = Settings(client=True, initial_values={SettingCodes.ENABLE_PUSH: 0})
        self._h2.initiate_connection()
        self._flush()
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != "h2":
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio. h2 gets one frame at a time: it takes a GOAWAY for the end, and forgets what came before
        it in the same piece.
        """
        self._unread += data
        self.last_used = asyncio.get_running_loop().time()
        try:
            while (end := self._end_of_frame()) is not None:
                frame = bytes(self._unread[:end])
                del self._unread[:end]
                for event in self._h2.receive_data(frame):
                    self._handle(event)
            self._flush()
        except H2Error:
            self.abort()
        self._changed.set()
        self._close_if_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.is_ending = True
        self._lost.set()
        for exchange in self._exchanges.values():
            exchange.fail(NoAnswer(type(exc).__name__ if exc is not None else "ConnectionClosed"))
        self._changed.set()

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._is_paused = False
        self._changed.set()

    def _write(
        self, headers: Sequence[tuple[str, str]], body: bytes, message_id: str, first_byte: FirstByteGuard
    ) -> tuple[int, _Exchange]:
        """Writes a request; between the guard's word and the bytes nothing waits."""
        assert self._transport is not None
        exchange, stream = _Exchange(), self._h2.get_next_available_stream_id()
        first_byte.before(message_id)
        try:
            self._h2.send_headers(stream, headers)
            self._h2.send_data(stream, body, end_stream=True)
            self._exchanges[stream] = exchange
            self._flush()
        except H2Error as error:  # nothing has been given to the transport
            self.abort()
            raise NotWritten(type(error).__name__) from error
        finally:
            first_byte.after(message_id)
        return stream, exchange

    def _has_room(self, size: int) -> bool:
        """Whether a request can be written now. Raises ConnectionEnded where none ever will be."""
        if self.is_ending or self._transport is None or self._transport.is_closing():
            raise ConnectionEnded("ConnectionEnded")
        settings = self._h2.remote_settings
        if settings.initial_window_size < size or self._h2.max_outbound_frame_size < size:
            raise NotWritten("no_room_for_the_body")
        if self._h2.highest_outbound_stream_id is not None and self._h2.highest_outbound_stream_id > 2**30:
            self.is_ending = True
            self._close_if_idle()
            raise ConnectionEnded("ConnectionEnded")
        return (
            not self._is_paused
            and self._h2.outbound_flow_control_window >= size
            and self._h2.open_outbound_streams < settings.max_concurrent_streams
        )

    async def _wait_for_change(self) -> None:
        if self.is_ending:
            raise ConnectionEnded("ConnectionEnded")
        self._changed.clear()
        await self._changed.wait()

    def _forget(self, stream: int) -> None:
        """Ends a stream; one without an answer is reset, and the connection, which may be dead, takes no more."""
        exchange = self._exchanges.pop(stream)
        if exchange.answer.cancelled():
            self.is_ending = True
            if self._transport is not None and not self._transport.is_closing():
                try:
                    self._h2.reset_stream(stream, ErrorCodes.CANCEL)
                    self._flush()
                except H2Error:
                    self.abort()
        self._changed.set()
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self.is_ending and not self._exchanges and self._transport is not None:
            self._transport.close()

    def _end_of_frame(self) -> int | None:
        """Where the first frame that was received ends; None while part of it is missing."""
        if len(self._unread) < _FRAME_HEADER:
            return None
        end = _FRAME_HEADER + int.from_bytes(self._unread[:3], "big")
        if end > _FRAME_HEADER + _MAX_FRAME:
            return len(self._unread)  # longer than allowed: h2 says so
        return end if len(self._unread) >= end else None

    def _handle(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                if exchange := self._exchanges.get(event.stream_id):
                    exchange.headers = {str(name): str(value) for name, value in event.headers}
            case DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                exchange = self._exchanges.get(event.stream_id)
                if exchange is not None and len(exchange.body) <= MAX_ANSWER:
                    exchange.body += event.data
            case StreamEnded():
                if exchange := self._exchanges.get(event.stream_id):
                    exchange.finish()
            case StreamReset():
                if exchange := self._exchanges.get(event.stream_id):
                    refused = event.error_code == ErrorCodes.REFUSED_STREAM
                    exchange.fail(NotWritten("refused_stream") if refused else NoAnswer("stream_reset"))
            case ConnectionTerminated():
                self._end_after(event.last_stream_id)
            case RemoteSettingsChanged():
                self._has_settings = True
            case PingAckReceived():
                if self._pong is not None and not self._pong.done():
                    self._pong.set_result(None)
                self._pong = None
            case _:
                pass

    def _end_after(self, last_stream: int | None) -> None:
        """A GOAWAY: the streams after the last were not processed, the others may still be answered."""
        self.is_ending = True
        for stream, exchange in self._exchanges.items():
            if last_stream is not None and stream > last_stream:
                exchange.fail(ConnectionEnded("goaway"))
        self._h2.state_machine.state = ConnectionState.CLIENT_OPEN

    def _flush(self) -> None:
        if self._transport is not None and (data := self._h2.data_to_send()):
            self._transport.write(data)
