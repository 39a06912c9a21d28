"""The body of one POST by aiohttp, which stands exactly where the first byte is written.

aiohttp keeps the headers of a request back until its body is written, and then gives both to the transport in one
piece, in the same step. A body is written on an established connection only. So just before `writer.write` is the last
moment before the first byte, and just after it the first moment after: a transport that has nothing else to send hands
what it gets to the kernel at once. In between nothing waits, so nothing else runs.

aiohttp's trace callbacks are no such place: `on_request_headers_sent` comes before anything is written, and a callback
that raises loses the connection without closing it.
"""

import asyncio

from aiohttp import ClientConnectionError, Payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter

from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.deadline import PastDeadline


class GuardedBody(Payload):
    """Content that is written at most once, after `first_byte` has agreed.

    `written`: its first byte may have been written. `late`: it was not, because the deadline had passed.
    """

    _autoclose = True

    def __init__(
        self, message_id: str, content: bytes, first_byte: FirstByteGuard, content_type: str = "application/json"
    ) -> None:
        super().__init__(content, content_type=content_type)
        self._size = len(content)
        self.content, self._message_id, self._first_byte = content, message_id, first_byte
        self._transport: asyncio.Transport | None = None
        self._finished = self.written = self.past_deadline = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The text."""
        return self.content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Called by aiohttp, which closes the connection when this raises.

        Raises PastDeadline, and ClientConnectionError where the first byte could not leave at once or would meet an
        answer to something else. In both cases nothing has been written.
        """
        assert isinstance(writer, StreamWriter)
        self._transport = writer.transport
        if self._finished or not _can_write_now(writer):
            raise ClientConnectionError("this connection cannot take the request: it goes out on another one later")
        try:
            self._first_byte.before(self._message_id)
        except PastDeadline:
            self.past_deadline = True
            raise
        self._finished = self.written = True
        try:
            await writer.write(self.content, drain=False)
        finally:
            self._first_byte.after(self._message_id)

    def abort(self) -> None:
        """Writes nothing from now on, and discards what the receiver has not taken."""
        self._finished = True
        if self._transport is not None:
            self._transport.abort()


def _can_write_now(writer: StreamWriter) -> bool:
    """Whether the connection is open with nothing left to send, and the receiver has not sent anything first."""
    protocol, transport = writer.protocol, writer.transport
    assert isinstance(protocol, ResponseHandler)
    open_ = transport is not None and not transport.is_closing() and not transport.get_write_buffer_size()
    return open_ and not protocol.should_close
