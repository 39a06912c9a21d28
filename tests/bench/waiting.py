"""`python -m tests.bench.waiting [EVENTS]`: how much memory each process takes while a million events wait in the log.

Prints the highest resident size of each process after a tenth of the events have been decided.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.bench import accounting
from tests.bench.contender import Events, frozen, until, warmed_up
from tests.bench.ground import ground
from tests.bench.ours import ours

WAITING = 1_000_000
CUSTOMERS = 100_000
CHUNK = 20_000
"""Events made at once."""


async def measure(directory: Path, waiting: int = WAITING, customers: int = CUSTOMERS) -> dict[str, int]:
    """Bytes by process."""
    with ground(directory) as here:
        async with ours(here, directory, customers) as tactful:
            events = Events(here, customers)
            await warmed_up(here, tactful, events, 1_000)
            start = await tactful.handed_over()
            with frozen(tactful.pids()):
                for first in range(0, waiting, CHUNK):
                    await events.send(tactful.topic, min(CHUNK, waiting - first))
            await until(tactful, start + waiting // 10)
            found = {
                name: accounting.peak_memory(process.running.pid)
                for name, process in tactful.processes.items()
                if process.running
            }
        await here.bus.close()
    return found


def main() -> None:
    """Measure and print."""
    waiting = int(sys.argv[1]) if len(sys.argv) > 1 else WAITING
    with tempfile.TemporaryDirectory(prefix="tactful-bench-") as name:
        Path(name).chmod(0o755)
        found = asyncio.run(measure(Path(name), waiting))
    parts = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in sorted(found.items(), key=lambda each: -each[1]))
    print(f"{waiting:,} events waiting, MiB at most: {parts}")


if __name__ == "__main__":
    main()
