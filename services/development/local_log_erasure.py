"""Deletes the records of erased customers from the embedded log, once all three services have erased them.

A Kafka log ends its records by its own retention; nothing ends those of the embedded one. The customers are found by
their pseudonyms, which are all that the services keep.
"""

from collections.abc import Mapping

from services.erasure import store
from services.erasure.erased_stores import EMBEDDED_LOG
from services.erasure.pseudonyms import Pseudonyms
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.observability.logs import log

ERASE_SECONDS = 2.0
"""Seconds between two looks whether another customer has been erased."""


class LocalLogErasure:
    """The periodic work; `databases`: those of the services."""

    def __init__(self, bus: LocalBus, databases: Mapping[str, Database], pseudonyms: Pseudonyms) -> None:
        self._bus = bus
        self._databases = databases
        self._pseudonyms = pseudonyms
        self._done: frozenset[str] = frozenset()

    async def delete_records(self) -> None:
        """Delete the records of customers whom all services have erased. Raises Transient."""
        finished: set[str] | None = None
        read: dict[Partition, int] = {}
        for database in self._databases.values():
            async with database.read() as tx:
                found = await store.list_finished(tx)
                applied = await read_applied_offsets(tx)
            finished = found if finished is None else finished & found
            read = {each: min(offset, read.get(each, offset)) for each, offset in applied.items()}
        if not finished or finished <= self._done:
            return
        keys = [
            key
            for key in await self._bus.run_on_writer(lambda log_file: log_file.list_keys())
            if self._pseudonyms.of_customer(key.decode("utf-8", "surrogateescape")) in finished
        ]
        if keys:
            deleted, complete = await self._bus.run_on_writer(
                lambda log_file: log_file.delete_records_of_keys(keys[:500], read)
            )
            await self._record(deleted)
            log("log_records_erased", customers=len(keys))
            if not complete or len(keys) > 500:
                return
        self._done = frozenset(finished)

    async def _record(self, deleted: Mapping[bytes, int]) -> None:
        """Count the records for the proof of each erasure, which the orchestrator tells."""
        async with self._databases["orchestrator"].write() as tx:
            for key, count in sorted(deleted.items()):
                pseudonym = self._pseudonyms.of_customer(key.decode("utf-8", "surrogateescape"))
                await store.count_rows(tx, pseudonym, {EMBEDDED_LOG: count})
