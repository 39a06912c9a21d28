"""`python -m tests.bench`: run the standard load and write its table into docs/performance.md.

QUICK=1 runs a small one, FULL=1 a million customers. BENCH_WRITE=0 prints only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tests.bench import accounting, load, report
from tests.bench.contender import Contender, Events, Figures, backlog, paced, unwanted, warmed_up
from tests.bench.ground import Ground, ground
from tests.bench.ours import ours
from tests.bench.rival import rival
from tests.servers import ROOT, answers, free_port, wait_for

WARM_UP = 1_000
DOCUMENT = ROOT / "docs/performance.md"


class Run:
    """All measurements of one run."""

    def __init__(self, size: load.Size, directory: Path) -> None:
        self.size, self.directory = size, directory
        self.found: dict[str, Figures] = {}
        self.half_load: dict[str, Figures] = {}

    async def measure(self) -> None:
        """Ours and the reference on the same servers, one after the other, then embedded."""
        with ground(self.directory) as here:
            self.machine = f"{accounting.machine()}, {accounting.postgres_version(here.postgres.binaries)}"
            async with ours(here, self.directory, self.size.customers) as contender:
                await self._all(here, contender, "ours", self.size.events)
            async with rival(here, self.directory, self.size.customers) as contender:
                await self._all(here, contender, "reference", self.size.reference_events)
            if self.size.over_http:
                await self._over_http(here)
            await here.bus.close()
        if self.size.seconds:
            self._embedded()

    async def _all(self, here: Ground, contender: Contender, key: str, count: int) -> None:
        events = Events(here, self.size.customers)
        await warmed_up(here, contender, events, WARM_UP)
        figures = self._keep(key, await backlog(contender, events, count))
        if self.size.seconds:
            self.half_load[key] = await paced(contender, events, figures.rate / 2, self.size.seconds)
        if key == "ours":
            self._keep("unwanted", await unwanted(contender, events, self.size.unwanted))

    async def _over_http(self, here: Ground) -> None:
        port = free_port()
        with _sink(port):
            async with ours(here, self.directory, self.size.customers, sink=port) as contender:
                await self._some(here, contender, "ours over http", self.size.over_http)
            async with rival(here, self.directory, self.size.customers, sink=port) as contender:
                await self._some(here, contender, "reference over http", self.size.reference_over_http)

    async def _some(self, here: Ground, contender: Contender, key: str, count: int) -> None:
        events = Events(here, self.size.customers)
        await warmed_up(here, contender, events, WARM_UP // 2)
        self._keep(key, await backlog(contender, events, count))

    def _embedded(self) -> None:
        directory = self.directory / "embedded"
        command = [sys.executable, "-m", "tests.bench.embedded", str(directory)]
        command += [str(self.size.customers), str(self.size.events // 3)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        self._keep("embedded", Figures(**json.loads(done.stdout.splitlines()[-1])))

    def _keep(self, key: str, figures: Figures) -> Figures:
        self.found[key] = figures
        parts = ", ".join(f"{name} {spent:.1f}" for name, spent in figures.cpu.items())
        line = f"{report.ROWS[key]}: {figures.rate:,.0f} events/s, {figures.total_cpu:,.1f} us/event ({parts})"
        print(f"{line}; load average {figures.load:.1f}", flush=True)
        return figures


@contextlib.contextmanager
def _sink(port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.sink", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: answers(port), "the sink")
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def finished(size: load.Size) -> AsyncIterator[Run]:
    """A run whose measurements are made, its files still there."""
    with tempfile.TemporaryDirectory(prefix="tactful-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        run = Run(size, Path(name))
        await run.measure()
        yield run


async def main() -> None:
    """Measure, print, and keep the table."""
    async with finished(load.size()) as run:
        part = report.written(run.size, run.machine, run.found, run.half_load)
    print(part)
    if os.environ.get("BENCH_WRITE", "1") == "1" and run.size.seconds:
        DOCUMENT.write_text(report.put(DOCUMENT.read_text() if DOCUMENT.exists() else "# Performance\n", part))


if __name__ == "__main__":
    asyncio.run(main())
