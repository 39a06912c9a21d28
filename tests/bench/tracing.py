"""What tracing costs: `python -m tests.bench.tracing [TURNS] [EVENTS]` runs all of Tactful in one process, in turns.

Without a collector, with one and a share of 1 %, with one and all events. The collector is a process of its own, so its
work is not counted. Prints processor time an event, and the ratio of each turn to those without a collector around it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from statistics import mean

from tests.support.otlp_receiver import collector

CUSTOMERS = 5_000
MODES = {"off": None, "1 %": "0.01", "all": "1"}


def collect(told: Connection) -> None:
    """Takes spans until it is told to end; then tells how many there were."""
    with collector() as found:
        told.send(found.address)
        told.recv()
        told.send(len(found.spans))


def take_turn(mode: str, events: int) -> tuple[float, int]:
    """Microseconds of processor time an event, and how many spans arrived."""
    share = MODES[mode]
    ours, theirs = multiprocessing.Pipe()
    taker = multiprocessing.get_context("spawn").Process(target=collect, args=(theirs,))
    taker.start()
    address = ours.recv()
    environment = dict(os.environ)
    if share is not None:
        environment |= {"TACTFUL_TRACES__ENDPOINT": address, "TACTFUL_TRACES__SHARE": share}
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.bench.embedded", directory, str(CUSTOMERS), str(events)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ours.send(None)
    spans = int(ours.recv())
    taker.join()
    figures = json.loads(done.stdout.splitlines()[-1])
    return float(figures["cpu"]["one process"]), spans


def main(turns: int, events: int) -> None:
    """Measure, and print."""
    costs: dict[str, list[float]] = {mode: [] for mode in MODES}
    for turn in range(turns):
        for mode in MODES if turn % 2 == 0 else reversed(MODES):
            cost, spans = take_turn(mode, events)
            costs[mode].append(cost)
            print(f"{mode:>4}: {cost:6.1f} us an event, {spans} spans", flush=True)
    for mode, found in costs.items():
        ratios = [each / off for each, off in zip(found, costs["off"], strict=True)]
        print(f"{mode:>4}: {mean(found):6.1f} us, {mean(ratios):.3f} of off ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
