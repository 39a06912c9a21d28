"""A worker whose process ends over certain records, as native code would end it: run as a module, by a test."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from services.kit.bus.batch import Batch
from services.kit.bus.local_bus import LocalBus
from tests.support.recording_consumer import Effects, loop_of, open_database, running, until_applied


async def work(url: str, log: Path, total: int, deadly: frozenset[bytes]) -> None:
    """Applies all records of the log; kills this process by SIGKILL once a batch holds a deadly one."""
    database = await open_database(url)
    bus = LocalBus(log)
    handler = Effects(str(os.getpid()))

    async def die(batch: Batch) -> None:
        if deadly & {record.value for record in batch.records}:
            os.kill(os.getpid(), signal.SIGKILL)

    handler.on_prepare = die
    async with running(loop_of(bus, database, handler)):
        await until_applied(database, total)
    await bus.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), frozenset(map(os.fsencode, sys.argv[4:]))))
