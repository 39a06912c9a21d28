"""The causal fence: answer only when our database has applied the log up to the positions that the asker has read.

Offsets are read from the database, never from a replica's memory, and before the facts or in one snapshot with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from services.kit.bus.partition_lease import committed, reached, standing
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.errors import FenceTimeout

__all__ = ["Nudge", "committed", "wait_applied"]

POLL = 0.010
"""Seconds between looks when nobody nudges: another replica may be the one that applies."""


class Nudge:
    """Wakes those who wait whenever this process has committed a batch."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """A batch has been committed."""
        done, self._next = self._next, asyncio.Event()
        done.set()

    def upcoming(self) -> asyncio.Event:
        """An event that the next `notify` sets. Take it before you look."""
        return self._next


async def wait_applied(database: Database, positions: Mapping[Partition, int], timeout: float, nudge: Nudge) -> None:
    """Return when the database has applied the log up to `positions` (next offsets); at once if there are none.

    FenceTimeout after `timeout` seconds. DatabaseBusy and DatabaseGone pass through.
    """
    if not positions:
        return
    deadline = time.monotonic() + timeout
    while True:
        upcoming = nudge.upcoming()
        async with database.read() as tx:
            leases = await standing(tx, positions)
        if reached(leases, positions):
            return
        left = deadline - time.monotonic()
        if left <= 0:
            behind = {p: o for p, o in positions.items() if not reached(leases, {p: o})}
            raise FenceTimeout(f"{len(behind)} of {len(positions)} partitions are not applied so far", retry_after=0.2)
        try:
            async with asyncio.timeout(min(POLL, left)):
                await upcoming.wait()
        except TimeoutError:
            continue
