"""Decides a year of a shop with `tactful simulate`: `python -m tests.bench.year [FOLDER]`.

5,000,000 events of 100,000 customers, made by the seeded generator of `tactful generate` (in FOLDER, which keeps them,
or in a temporary one), with the campaigns and the policy of `examples/`, spread over a process for each core.
Prints events, decisions by outcome, seconds on the wall and of processor time, and the memory of the largest process.
`TENTH=1` decides a tenth: 500,000 events of 10,000 customers.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.simulation import SimulationFiles, SimulationSummary, simulate, useful_processes
from services.simulation.generated_year import (
    CUSTOMERS_FILE,
    EVENTS_FILE,
    SUPPRESSIONS_FILE,
    TrafficSize,
    write_traffic,
)
from tests.support.servers import ROOT

YEAR = TrafficSize()
TENTH = TrafficSize(customers=10_000, events=500_000)
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Run:
    """What a run decided, and what it took. `largest`: bytes of the largest process; `load`: the machine's average."""

    summary: SimulationSummary
    processes: int
    wall: float
    cpu: float
    largest: int
    load: float

    def lines(self) -> list[str]:
        """The figures as text."""
        summary = self.summary
        return [
            f"{summary.events:,} events, {summary.duplicates:,} of them repeated, in {self.processes} processes",
            f"{summary.decisions:,} decisions: {_counts(summary.outcomes)}",
            f"{self.wall:,.0f} s on the wall, {self.cpu:,.0f} s of processor time",
            f"{summary.events / self.cpu:,.0f} events a second of processor time, "
            f"{self.cpu / summary.events * 1e6:.1f} us an event",
            f"{self.largest / 2**20:,.0f} MiB in the largest process; load average {self.load:.1f}",
        ]


def decide(folder: Path, out: Path, processes: int | None = None) -> Run:
    """Decides the events of a folder. `processes`: as many as are useful, if not given."""
    files = SimulationFiles(
        EXAMPLES / "campaigns",
        EXAMPLES / "policy.yaml",
        folder / CUSTOMERS_FILE,
        folder / SUPPRESSIONS_FILE,
        folder / EVENTS_FILE,
    )
    processes = useful_processes(files.events) if processes is None else processes
    wall, cpu = time.monotonic(), _processor_time()
    summary = simulate(files, out, processes=processes)
    wall, cpu = time.monotonic() - wall, _processor_time() - cpu
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    largest = max(resource.getrusage(each).ru_maxrss for each in whose) * 1024
    return Run(summary, processes, wall, cpu, largest, os.getloadavg()[0])


def _processor_time() -> float:
    """Seconds that this process has taken, and those of its children that have ended."""
    taken = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in taken)


def _counts(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))


def main(folder: Path) -> None:
    """Makes the year, unless the folder has one, and decides it."""
    if not (folder / EVENTS_FILE).exists():
        write_traffic(folder, TENTH if os.environ.get("TENTH") else YEAR)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        print("\n".join(decide(folder, Path(out) / "decisions.jsonl").lines()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
