"""Keeps an adapter to its rate, summed over all processes: each takes the next places of one line in the database.

The line moves at the rate of the adapter, and nobody may be more than a second ahead of it. A place that was taken and
not used is lost, never used twice.
"""

import math
from typing import NamedTuple

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx

AHEAD = SECOND
"""How much of the line may be taken at once."""


class Places(NamedTuple):
    """How many messages may go now; if none, after how many seconds one may."""

    taken: int
    wait: float


async def take_places(tx: Tx, adapter: str, rate: float, most: int, now: Instant, ahead: int = AHEAD) -> Places:
    """Take up to `most` places. `rate`: messages a second. `now`: the database's time, or another that all use."""
    await tx.execute(
        "INSERT INTO adapter_pace (adapter, free_at) VALUES (:adapter, 0) ON CONFLICT (adapter) DO NOTHING",
        adapter=adapter,
    )
    row = await tx.row(f"SELECT free_at FROM adapter_pace WHERE adapter = :adapter {tx.for_update}", adapter=adapter)
    assert row is not None
    free_at, apart = max(int(row.free_at), now), SECOND / rate
    # One place at least is ahead of an idle line, also for adapters that get less than one message a second.
    count = min(most, max(math.floor((now + ahead - free_at) / apart), int(free_at <= now)))
    if count <= 0:
        return Places(0, max((free_at + apart - now - ahead) / SECOND, 0.001))
    await tx.execute(
        "UPDATE adapter_pace SET free_at = :free_at WHERE adapter = :adapter",
        free_at=free_at + math.ceil(count * apart),
        adapter=adapter,
    )
    return Places(count, 0.0)
