"""The HTTP server: uvicorn with our logs, without access lines (they would contain whole URLs), and with a bounded
drain.
"""

import asyncio
import errno
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from services.kit.http.connection_limits import BoundedHttpProtocol
from services.kit.http.tls_listener import TlsListener
from services.kit.runtime.periodic import sleep_unless_set

TICK = 1.0
"""Seconds between two updates of the `date` header."""


class DrainingServer(uvicorn.Server):
    """Ends at a signal without raising it again: the caller still has work to finish.

    `on_shutdown` is called when the shutdown begins, so that endless responses can end. `ended_by` is why it ends: the
    name of the signal, or what `end` was told.
    """

    def __init__(
        self, config: uvicorn.Config, on_shutdown: Callable[[], None], tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown
        self._tls = tls
        self._acceptors: list[asyncio.Task[None]] = []
        self.ended_by = ""
        self._ending = asyncio.Event()

    def end(self, reason: str) -> None:
        """Ends the server, as a signal does."""
        self.ended_by = self.ended_by or reason
        self.should_exit = True
        self._ending.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM and SIGINT; a second SIGINT aborts requests in progress."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.end(f"signal {signal.Signals(sig).name}")

    async def main_loop(self) -> None:
        """Waits until the server is to exit. uvicorn's own loop looks ten times a second; `end` wakes this one, which
        looks once a second, as the headers need the time of day.
        """
        while not await self.on_tick(0):
            await sleep_unless_set(self._ending, TICK)

    @property
    def open_requests(self) -> int:
        """Requests that are being answered."""
        return len(self.server_state.tasks)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept connections. With TLS they are accepted by `TlsListener`, on sockets that are given."""
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listener in sockets or []:
            accepting = TlsListener(listener, self._tls, self._create_protocol).accept_connections()
            self._acceptors.append(asyncio.create_task(accepting))

    def _create_protocol(self) -> asyncio.Protocol:
        return BoundedHttpProtocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops taking requests and lets those in progress finish."""
        self._on_shutdown()
        for acceptor in self._acceptors:
            acceptor.cancel()
        await asyncio.gather(*self._acceptors, return_exceptions=True)
        await super().shutdown(sockets)


class CannotListen(Exception):
    """The address cannot be listened on; the text says which, why, and what to do."""


@contextmanager
def open_listener(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; port 0 takes any free one. Raises CannotListen.

    Opened before anything else is started, so that a process that cannot serve does not begin to work.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise CannotListen(f"cannot listen on {host}:{port} ({error.strerror}): {_how_to_mend(error)}") from None
    except OverflowError:
        raise CannotListen(f"cannot listen on {host}:{port}: a port is a number up to 65535") from None
    with listener:
        yield listener


def _how_to_mend(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "stop the process that does, or choose another --port (or TACTFUL_WEB__PORT, TACTFUL_WEB__HOST)"
    if error.errno == errno.EACCES:
        return "choose a port above 1023 (--port or TACTFUL_WEB__PORT), or give the process the right"
    return "TACTFUL_WEB__HOST must be an address of this machine, such as 127.0.0.1 or 0.0.0.0"


_BACKLOG = 2048


def create_server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    drain: float = 5.0,
    on_shutdown: Callable[[], None] = lambda: None,
    tls: ssl.SSLContext | None = None,
) -> DrainingServer:
    """Creates a server for `await server.serve()`; it ends at SIGTERM or SIGINT, or once `should_exit` is set.

    `drain`: seconds that requests in progress may still take. `tls`: with it, `serve` needs sockets. Call
    `logs.configure` first.
    """
    return DrainingServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(drain)),
            timeout_keep_alive=30,
            http=BoundedHttpProtocol,
            ws="none",
        ),
        on_shutdown,
        tls,
    )
