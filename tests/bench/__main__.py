"""`python -m tests.bench`: run the standard load and write its table into docs/performance.md.

QUICK=1 runs a small one, FULL=1 a million customers. BENCH_WRITE=0 prints only.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import accounting, load, report
from tests.bench.contender import Contender, Events, Figures, backlog, paced, together, unwanted, warmed_up
from tests.bench.ground import Ground, ground
from tests.bench.ours import ours, over_http
from tests.bench.rival import rival
from tests.support.servers import ROOT, answers, free_port, wait_for

WARM_UP = 1_000
DOCUMENT = ROOT / "docs/performance.md"


@dataclass
class Side:
    """A contender on its servers, and what its turns gave."""

    key: str
    ground: Ground
    contender: Contender
    events: Events
    count: int
    """Events of a turn."""
    turns: list[Figures] = field(default_factory=list)

    async def warm_up(self, count: int) -> None:
        """See `warmed_up`."""
        await warmed_up(self.ground, self.contender, self.events, count)

    async def take_turn(self) -> None:
        """One backlog."""
        self.turns.append(await backlog(self.contender, self.events, self.count))


class Run:
    """All measurements of one run."""

    def __init__(self, size: load.Size, directory: Path) -> None:
        self.size, self.directory = size, directory
        self.found: dict[str, Figures] = {}
        self.half_load: dict[str, Figures] = {}
        self.adapters: dict[str, dict[str, float]] = {}

    async def measure(self) -> None:
        """Ours and the reference by turns, each on servers of its own, then embedded."""
        with ground(self.directory / "ours") as mine, ground(self.directory / "reference") as others:
            self.machine = f"{accounting.machine()}, {accounting.postgres_version(mine.postgres.binaries)}"
            async with self._sides(mine, others, self.size.events, self.size.reference_events) as sides:
                await self._by_turns(sides)
                if self.size.seconds:
                    await self._at_half_load(sides)
                ours_alone = sides[0]
                self._keep("unwanted", await unwanted(ours_alone.contender, ours_alone.events, self.size.unwanted))
            if self.size.over_http:
                await self._over_http(mine, others)
            for here in (mine, others):
                await here.bus.close()
        if self.size.seconds:
            self._embedded()
            self._handing_over()

    @asynccontextmanager
    async def _sides(
        self, mine: Ground, others: Ground, count: int, reference_count: int, sink: int | None = None
    ) -> AsyncIterator[tuple[Side, Side]]:
        customers, way = self.size.customers, "" if sink is None else " over http"
        async with (
            ours(mine, self.directory, customers, None if sink is None else over_http(sink)) as tactful,
            rival(others, self.directory, customers, sink=sink) as reference,
        ):
            yield (
                Side("ours" + way, mine, tactful, Events(mine, customers), count),
                Side("reference" + way, others, reference, Events(others, customers), reference_count),
            )

    async def _by_turns(self, sides: tuple[Side, Side]) -> None:
        """The machine changes its pace by the minute: both meet every pace when they take turns."""
        for side in sides:
            await side.warm_up(min(WARM_UP, side.count))
        for turn in range(self.size.turns):
            for side in sides if turn % 2 == 0 else reversed(sides):
                await side.take_turn()
        for side in sides:
            self._keep(side.key, together(side.turns))

    async def _at_half_load(self, sides: tuple[Side, Side]) -> None:
        for side in sides:
            rate = self.found[side.key].rate / 2
            self.half_load[side.key] = await paced(side.contender, side.events, rate, self.size.seconds)

    async def _over_http(self, mine: Ground, others: Ground) -> None:
        port = free_port()
        counts = self.size.over_http, self.size.reference_over_http
        with _sink(port):
            async with self._sides(mine, others, *counts, sink=port) as sides:
                await self._by_turns(sides)

    def _embedded(self) -> None:
        directory = self.directory / "embedded"
        command = [sys.executable, "-m", "tests.bench.embedded", str(directory)]
        command += [str(self.size.customers), str(self.size.events)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        self._keep("embedded", Figures(**json.loads(done.stdout.splitlines()[-1])))

    def _handing_over(self) -> None:
        command = [sys.executable, "-m", "tests.bench.handing_over"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        self.adapters = json.loads(done.stdout.splitlines()[-1])

    def _keep(self, key: str, figures: Figures) -> Figures:
        self.found[key] = figures
        parts = ", ".join(f"{name} {spent:.1f}" for name, spent in figures.cpu.items())
        line = f"{report.ROWS[key]}: {figures.rate:,.0f} events/s, {figures.total_cpu:,.1f} us/event ({parts})"
        print(f"{line}; load average {figures.load:.1f}", flush=True)
        return figures


@contextmanager
def _sink(port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.sink", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: answers(port), "the sink")
        yield
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
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
        part = report.written(run.size, run.machine, run.found, run.half_load, run.adapters)
    print(part)
    if os.environ.get("BENCH_WRITE", "1") == "1" and run.size.seconds:
        DOCUMENT.write_text(report.put(DOCUMENT.read_text() if DOCUMENT.exists() else "# Performance\n", part))


if __name__ == "__main__":
    asyncio.run(main())
