"""Notifications: who has committed rows that others wait for wakes them, in this process and in the others.

A notification is the name of a channel and nothing else: it says "look". Between processes PostgreSQL carries it, by
LISTEN and NOTIFY, with the commit of the transaction that wrote the rows; the only process on a SQLite file wakes
itself. It may be lost, with the connection of a listener or because the server has restarted. So whoever waits also
looks every `FALLBACK_INTERVAL`: what a lost notification announced comes later by as much, and is never lost.

PostgreSQL commits transactions that notify one after the other. So `Tx.notify` is called only where rows were written
that somebody waits for, and sends once a transaction and channel, however often it is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import asyncpg

FALLBACK_INTERVAL = 2.0
"""Seconds after which whoever waits for a notification looks without one."""


class WakeSignal:
    """Wakes the tasks of this process that wait for something to be committed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.wanted = asyncio.Event()
        """Set by those who wait: whoever commits what they wait for, and takes its time, hurries."""

    def notify(self) -> None:
        """Signals that something has been committed."""
        done, self._event = self._event, asyncio.Event()
        done.set()

    def next_event(self) -> asyncio.Event:
        """Returns an event that the next `notify` sets. Take it before you check the condition."""
        return self._event


class Notifications:
    """The signals of those who listen in this process, by channel: `Database.notifications`."""

    def __init__(self) -> None:
        self._signals: dict[str, list[WakeSignal]] = {}

    def listen(self, channel: str) -> WakeSignal:
        """Returns a signal that is given when a transaction that notifies the channel has committed. Call it before
        the first probe of the database: the connection of the probes listens.
        """
        signal = WakeSignal()
        self._signals.setdefault(channel, []).append(signal)
        return signal

    def wake(self, channels: Iterable[str]) -> None:
        """Wakes those who listen to these channels in this process."""
        for channel in channels:
            for signal in self._signals.get(channel, ()):
                signal.notify()

    async def listen_on(self, connection: asyncpg.Connection[Any]) -> None:
        """Has a new connection receive what other processes notify, and wakes everybody once: what was notified before
        has not been heard. Raises what asyncpg raises.
        """
        for channel in self._signals:
            await connection.add_listener(channel, lambda _connection, _process, name, _payload: self.wake([name]))
        self.wake(self._signals)
