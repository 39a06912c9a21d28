"""Requests to APNs over one connection that stays open, and a new one when it ends."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.kit.http.outbound import OutboundGuard
from services.orchestrator.delivery.adapters.apns.http2 import ConnectionEnded, Http2Answer, Http2Connection
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.provider_http import NoAnswer, NotWritten, default_ssl_context

CONNECT_SECONDS: Final = 3.0
"""Seconds for opening a connection, and for a sign of life of one that was idle."""
CLOSE_SECONDS: Final = 1.0
"""Seconds that a connection has to end what is under way when the process stops."""
IDLE_SECONDS: Final = 15.0
"""Seconds after which an idle connection is asked for a sign of life before it is used: it may have been lost without
a word, and a message written to it would be lost with it."""


class NoHttp2(OSError):
    """The server does not speak HTTP/2, or has closed the connection at once."""


@dataclass(frozen=True, slots=True)
class Http2Server:
    """A server, and how it is reached. `timeout`: seconds for a request as a whole."""

    host: str
    port: int
    outbound: OutboundGuard
    timeout: float
    tls: ssl.SSLContext


def http2_server(
    url: str, outbound: OutboundGuard, timeout: float, ssl_context: ssl.SSLContext | None = None
) -> Http2Server:
    """The server of an https URL without a path. `ssl_context`: which certificates to trust.

    Raises ValueError and OutboundRefused for a URL that must not be called.
    """
    outbound.check_url(url)
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.path.strip("/") or parts.query or parts.hostname is None:
        raise ValueError("write https://host, without a path")
    context = ssl_context or default_ssl_context()
    context.set_alpn_protocols(["h2"])
    return Http2Server(parts.hostname, parts.port or 443, outbound, timeout, context)


class Http2Client:
    """Posts to one server. Opened by the first request."""

    def __init__(self, server: Http2Server) -> None:
        self._server = server
        self._connection: Http2Connection | None = None
        self._connections: list[Http2Connection] = []
        """The current one, and those before it on which answers are still awaited."""
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Closes all connections, when what is under way has ended or a while has passed."""
        self._connection = None
        for connection in self._connections:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()
            except TimeoutError:
                connection.abort()
        self._connections.clear()

    async def post(
        self, path: str, headers: Sequence[tuple[str, str]], body: bytes, message_id: str, first_byte: FirstByteGuard
    ) -> Http2Answer:
        """The answer. Raises NotWritten, NoAnswer and PastDeadline."""
        server = self._server
        authority = server.host if server.port == 443 else f"{server.host}:{server.port}"
        whole = [
            (":method", "POST"), (":scheme", "https"), (":authority", authority), (":path", path),
            ("content-length", str(len(body))), ("user-agent", "Tactful"), *headers,
        ]  # fmt: skip
        written = _WrittenNote(first_byte)
        try:
            async with asyncio.timeout(server.timeout):
                return await self._post(whole, body, message_id, written)
        except TimeoutError:
            raise (NoAnswer if written.is_written else NotWritten)("TimeoutError") from None

    async def _post(
        self, headers: Sequence[tuple[str, str]], body: bytes, message_id: str, first_byte: "_WrittenNote"
    ) -> Http2Answer:
        """Sends once, and once more over another connection if the first one ends before the server has taken it."""
        try:
            return await (await self._open()).post(headers, body, message_id, first_byte)
        except ConnectionEnded:
            first_byte.is_written = False
            return await (await self._open()).post(headers, body, message_id, first_byte)

    async def _open(self) -> Http2Connection:
        async with self._opening:
            connection = self._connection
            if connection is not None and not connection.is_ending:
                if asyncio.get_running_loop().time() - connection.last_used < IDLE_SECONDS:
                    return connection
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await connection.ping()
                    return connection
                except (TimeoutError, NotWritten):
                    connection.abort()
            self._connection = None
            self._connections = [each for each in self._connections if not each.is_closed]
            self._connection = await self._connect()
            self._connections.append(self._connection)
            return self._connection

    async def _connect(self) -> Http2Connection:
        """A connection to the first address of the host that takes one. Raises NotWritten."""
        cause: OSError = OSError("no address")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await loop.getaddrinfo(self._server.host, self._server.port, type=1)
        except OSError as error:  # a timeout is one
            raise NotWritten(type(error).__name__) from error
        for address in found:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._connect_to(address)
            except OSError as error:
                cause = error
        raise NotWritten(type(cause).__name__) from cause

    async def _connect_to(self, address: Sequence[object]) -> Http2Connection:
        loop, server = asyncio.get_running_loop(), self._server
        opened = server.outbound.socket_factory(plain=False)(address)
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, address[4])  # type: ignore[arg-type]
            _, connection = await loop.create_connection(
                Http2Connection, sock=opened, ssl=server.tls, server_hostname=server.host
            )
        except BaseException:
            opened.close()
            raise
        try:
            await connection.wait_until_ready()
        except NotWritten as error:
            raise NoHttp2 from error
        except BaseException:
            connection.abort()
            raise
        return connection


class _WrittenNote:
    """A first-byte guard that remembers whether it has agreed."""

    def __init__(self, guard: FirstByteGuard) -> None:
        self._guard = guard
        self.is_written = False

    def before(self, message_id: str) -> None:
        """See FirstByteGuard."""
        self._guard.before(message_id)
        self.is_written = True

    def after(self, message_id: str) -> None:
        """See FirstByteGuard."""
        self._guard.after(message_id)
