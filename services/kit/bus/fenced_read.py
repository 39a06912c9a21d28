"""A query behind the causal fence, in one snapshot with the log positions that are applied."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.bus.partition_lease import positions_applied, read_leases
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database, Tx

T = TypeVar("T")


async def read_once_applied(
    database: Database,
    positions: Mapping[Partition, int],
    timeout: float,
    wake: WakeSignal,
    query: Callable[[Tx], Awaitable[T]],
) -> T:
    """What `query` reads once the database has applied the log up to `positions` (next offsets).

    One transaction where it has, which is nearly always. Raises FenceTimeout after `timeout` seconds, DatabaseBusy and
    DatabaseGone.
    """
    async with database.read() as tx:
        if not positions or positions_applied(await read_leases(tx, positions), positions):
            return await query(tx)
    await wait_until_applied(database, positions, timeout, wake)
    async with database.read() as tx:
        return await query(tx)
