"""The HTTP server: uvicorn with our logs, without access lines (they would contain whole URLs), and with a bounded
drain.
"""

import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp


class DrainingServer(uvicorn.Server):
    """Ends at a signal without raising it again: the caller still has work to finish.

    `leaving` is called when the shutdown begins, so that endless responses can end.
    """

    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM and SIGINT; a second SIGINT aborts requests in progress."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops taking requests and lets those in progress finish."""
        self._on_shutdown()
        await super().shutdown(sockets)


def create_server(
    app: ASGIApp, *, host: str, port: int, drain: float = 5.0, on_shutdown: Callable[[], None] = lambda: None
) -> DrainingServer:
    """Creates a server for `await server.serve()`; it ends at SIGTERM or SIGINT, or once `should_exit` is set.

    `drain`: seconds that requests in progress may still take. Call `logs.configure` first.
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
            h11_max_incomplete_event_size=64 * 1024,
            ws="none",
        ),
        on_shutdown,
    )
