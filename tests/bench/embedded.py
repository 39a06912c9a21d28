"""The whole of Tactful in one process, on SQLite files: `python -m tests.bench.embedded DIRECTORY CUSTOMERS EVENTS`.

Prints one line of JSON: the figures of its own process, from the first event decided to the last message handed over.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

import httpx
import uvloop

from services.development.all_services import SERVICE_NAMES, EmbeddedTactful
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Outgoing
from services.kit.db import migrate
from services.kit.runtime import garbage_collection
from tests.bench import accounting, load
from tests.bench.contender import now
from tests.bench.ours import JOBS_DONE, READ, START_JOBS, OurLoad, fill, seed

CHUNK = 2_000
TOPIC = "customer.events"


async def main(directory: Path, customers: int, events: int) -> None:
    """Fill, seed, lay events ready, and measure."""
    os.environ["TACTFUL_ADAPTERS__PUSH"] = "null"
    files = {name: f"sqlite+aiosqlite:///{directory / name}.db" for name in SERVICE_NAMES}
    for name, url in files.items():
        await migrate.upgrade_schema(url, f"services.{name}")
    await fill(files, customers, OurLoad())
    product = EmbeddedTactful(directory)
    await product.start()
    transport = httpx.ASGITransport(app=product.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful", timeout=60) as client:
        await seed(client, product.keys["admin"], OurLoad())
    await _settled(product)
    await product.stop()
    await _lay_ready(directory / "log.db", customers, events)
    product = EmbeddedTactful(directory)
    before, began = _cpu(), time.monotonic()
    await product.start()
    garbage_collection.tune_garbage_collector()
    while await _closed(product, events) < events:
        await asyncio.sleep(0.25)
    seconds, spent = time.monotonic() - began, _cpu() - before
    await product.stop()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {"events": events, "seconds": seconds, "cpu": {"one process": spent / events}, "memory": memory}
    print(json.dumps(figures | {"load": accounting.load_average()}))


async def _settled(product: EmbeddedTactful) -> None:
    """Wait for the jobs of a first start."""
    while True:
        async with product.services.databases["preference"].read() as tx:
            row = await tx.row(JOBS_DONE)
        if row is not None and row[0] == START_JOBS:
            return
        await asyncio.sleep(0.25)


async def _lay_ready(log: Path, customers: int, events: int) -> None:
    bus, at = LocalBus(log), now()
    records = [Outgoing(TOPIC, key, value, ()) for key, value in load.events(0, events, customers, at)]
    for first in range(0, events, CHUNK):
        await bus.publish(records[first : first + CHUNK])
    await bus.close()


async def _closed(product: EmbeddedTactful, wanted: int) -> int:
    """How many messages were handed over. They are counted, which reads the whole table, once all events are read."""
    async with product.services.databases["orchestrator"].read() as tx:
        read = await tx.row(READ)
        if read is None or (read[0] or 0) < wanted:
            return 0
        row = await tx.row("SELECT count(*) AS closed FROM tracked_message WHERE state = 'accepted'")
    return 0 if row is None else int(row.closed)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
