"""Processes that have nothing to do use next to no processor time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.bench import accounting
from tests.support import servers
from tests.support.installation import world

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MOST = 15_000
"""Microseconds of processor time in a second. They use a third of it, and twice as much on a machine that is busy."""
MOST_SWITCHES = 30
"""How often a second a process may wake up, whatever the machine does meanwhile. Ours do so 7 to 15 times."""
SETTLED, SPAN, TRIES = 10.0, 10.0, 4
"""Seconds after the start, and of one try. The cheapest try counts: others are slowed down by what else is running."""


def test_an_idle_process_costs_milliseconds_a_second(
    postgres_server: servers.Postgres, kafka_server: servers.Kafka, tmp_path: Path
) -> None:
    with world(postgres_server, kafka_server.bootstrap, tmp_path) as installation:
        processes = installation.cluster.processes
        groups = {name: each.running.pid for name, each in processes.items() if each.running and name != "sink"}
        time.sleep(SETTLED)
        cheapest, fewest = dict.fromkeys(groups, float("inf")), dict.fromkeys(groups, float("inf"))
        for _ in range(TRIES):
            spent, switches = accounting.cpu(groups), wake_ups(groups)
            time.sleep(SPAN)
            for name, used in accounting.spent(spent, accounting.cpu(groups)).items():
                cheapest[name] = min(cheapest[name], used / SPAN)
            for name, count in wake_ups(groups).items():
                fewest[name] = min(fewest[name], (count - switches[name]) / SPAN)
            if max(cheapest.values()) < MOST and max(fewest.values()) < MOST_SWITCHES:
                break
    assert {name: used for name, used in cheapest.items() if used >= MOST} == {}
    assert {name: count for name, count in fewest.items() if count >= MOST_SWITCHES} == {}


def wake_ups(processes: dict[str, int]) -> dict[str, int]:
    """How often each process has slept so far, all its threads together."""
    counts = dict.fromkeys(processes, 0)
    for name, pid in processes.items():
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            line = next(each for each in status.read_text().splitlines() if each.startswith("voluntary_ctxt_switches"))
            counts[name] += int(line.split()[1])
    return counts
