"""Accepts connections with TLS, within limits that hold before the handshake is over.

uvicorn lets asyncio accept them: then a caller who never finishes a handshake stays for a minute, any number of them,
and `connection_limits` does not know of them, because a connection exists for HTTP only after its handshake.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import ClassVar

from services.kit.http.connection_limits import HEAD_SECONDS, MAX_CONNECTIONS

SHUTDOWN_SECONDS = 1.0
"""For so long a connection that we close waits for the other end's goodbye."""
_PAUSE_SECONDS = 0.5
"""After an error of accepting, such as too many open files."""


class TlsListener:
    """One listening socket, and the handshakes that are in progress on it."""

    handshake_seconds: ClassVar[float] = HEAD_SECONDS
    max_handshakes: ClassVar[int] = MAX_CONNECTIONS
    """At once. Beyond it the oldest one is given up."""

    def __init__(
        self, listener: socket.socket, context: ssl.SSLContext, create_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._listener, self._context, self._create_protocol = listener, context, create_protocol
        self._handshakes: dict[asyncio.Task[None], None] = {}
        listener.setblocking(False)

    async def accept_connections(self) -> None:
        """Runs until it is cancelled, and then gives up the handshakes in progress."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._listener)
                except OSError:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                self._begin(loop, connection)
        finally:
            for handshake in list(self._handshakes):
                handshake.cancel()

    def _begin(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        if len(self._handshakes) >= self.max_handshakes:
            next(iter(self._handshakes)).cancel()
        handshake = loop.create_task(self._shake_hands(loop, connection))
        self._handshakes[handshake] = None
        handshake.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _shake_hands(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        try:
            await loop.connect_accepted_socket(
                self._create_protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self.handshake_seconds,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except OSError:  # ssl.SSLError and a time-out are among them: the other end is told by TLS what was wrong
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
