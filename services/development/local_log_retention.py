"""Deletes old records from the embedded log, once all three services have read them.

It goes by the machine's time, in which the log stamps its records, also where the services live in another.
"""

import time
from collections.abc import Mapping
from typing import Final

from schemas.times import DAY
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.observability.logs import log

RECORDS_AT_ONCE: Final = 1_000


class LocalLogRetention:
    """The periodic work; `databases`: those of the services, `days`: for how long records are kept."""

    def __init__(self, bus: LocalBus, databases: Mapping[str, Database], days: int) -> None:
        self._bus = bus
        self._databases = databases
        self._days = days

    async def delete_old(self) -> None:
        """Delete until nothing is left to delete. Raises Transient."""
        offsets = []
        for database in self._databases.values():
            async with database.read() as tx:
                offsets.append(await read_applied_offsets(tx))
        partitions = {partition for each in offsets for partition in each}
        read: dict[Partition, int] = {each: min(one.get(each, 0) for one in offsets) for each in partitions}
        before = time.time_ns() // 1000 - self._days * DAY
        total, count = 0, 1
        while count:
            count = await self._bus.run_on_writer(
                lambda log_file: log_file.delete_records_before(before, read, RECORDS_AT_ONCE)
            )
            total += count
        if total:
            log("log_records_expired", retention_days=self._days, count=total)
