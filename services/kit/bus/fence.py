"""The causal fence: waits until our database has applied the log up to the positions that the caller has read.

Offsets are read from the database, never from a process's memory, and before the facts or in one snapshot with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from services.kit.bus.partition_lease import positions_applied, read_applied_offsets, read_leases
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.db.notifications import WakeSignal
from services.kit.errors import FenceTimeout

__all__ = ["WakeSignal", "read_applied_offsets", "wait_until_applied"]

FIRST_POLL, LONGEST_POLL = 0.010, 0.080
"""Seconds between polls without a wake-up: another replica may be the one that applies. The interval doubles, so that
those who wait do not keep a busy process from applying what they wait for.
"""


async def wait_until_applied(
    database: Database, positions: Mapping[Partition, int], timeout: float, wake: WakeSignal
) -> None:
    """Returns once the database has applied the log up to `positions` (next offsets); at once if there are none.

    Raises FenceTimeout after `timeout` seconds, DatabaseBusy and DatabaseGone.
    """
    if not positions:
        return
    deadline, interval = time.monotonic() + timeout, FIRST_POLL
    while True:
        next_event = wake.next_event()
        async with database.read() as tx:
            leases = await read_leases(tx, positions)
        if positions_applied(leases, positions):
            return
        left = deadline - time.monotonic()
        if left <= 0:
            unapplied = {p: o for p, o in positions.items() if not positions_applied(leases, {p: o})}
            raise FenceTimeout(
                f"{len(unapplied)} of {len(positions)} partitions are not applied so far", retry_after=0.2
            )
        wake.wanted.set()
        try:
            async with asyncio.timeout(min(interval, left)):
                await next_event.wait()
        except TimeoutError:
            interval = min(2 * interval, LONGEST_POLL)
