"""The open connections to the server, kept for the next mails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.orchestrator.delivery.adapters.smtp.connection import SmtpConnection

MAX_MAILS: Final = 100
"""Mails over one connection; servers set such a limit themselves."""
MAX_IDLE: Final = 30.0
"""Seconds that a connection without work is kept."""


class ConnectionPool:
    """At most `size` connections, each used by one mail at a time."""

    def __init__(self, size: int, open_new: Callable[[], Awaitable[SmtpConnection]], max_idle: float) -> None:
        self._open_new, self._max_idle = open_new, max_idle
        self._slots = asyncio.Semaphore(size)
        self._idle: list[SmtpConnection] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def take(self, *, new: bool = False) -> SmtpConnection:
        """A connection, to be given back: the one that was used last, or a `new` one in place of an idle one.

        Raises what opening one raises.
        """
        await self._slots.acquire()
        try:
            if new and self._idle:
                self._retire(self._idle.pop())
            while not new and self._idle:
                connection = self._idle.pop()
                if self._is_usable(connection):
                    return connection
                self._retire(connection)
            return await self._open_new()
        except BaseException:
            self._slots.release()
            raise

    def give_back(self, connection: SmtpConnection) -> None:
        """Keeps a connection for the next mail, or closes it if it has served enough."""
        self._slots.release()
        connection.idle_since = asyncio.get_running_loop().time()
        if not self._is_usable(connection):
            self._retire(connection)
            return
        self._idle.append(connection)
        if self._timer is None:
            self._schedule()

    async def close(self) -> None:
        """Closes the idle connections."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        while self._idle:
            self._retire(self._idle.pop())
        await asyncio.gather(*self._closing)

    def _retire(self, connection: SmtpConnection) -> None:
        """Closes a connection while others go on."""
        task = asyncio.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _is_usable(self, connection: SmtpConnection) -> bool:
        age = asyncio.get_running_loop().time() - connection.idle_since
        return connection.is_open and connection.mails < MAX_MAILS and age < self._max_idle

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._max_idle, self._close_unused)

    def _close_unused(self) -> None:
        self._timer = None
        for connection in [each for each in self._idle if not self._is_usable(each)]:
            self._idle.remove(connection)
            self._retire(connection)
        if self._idle:
            self._schedule()
