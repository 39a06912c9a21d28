"""`python -m tests.bench.suppression_import [ROWS] [EVENTS A SECOND]`: how long deciding takes beside an import.

The same steady load twice, without and with an import of so many rows under way, by turns. Prints the times from an
event to its handover and their ratios. Exit code 1 where the 99th percentile has grown by more than a fifth.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.bench.contender import Events, Figures, paced, together, warmed_up
from tests.bench.ground import ground
from tests.bench.ours import KEY, Ours, ours

CUSTOMERS = 10_000
SECONDS = 20.0
TURNS = 3
MOST_GROWTH = 1.2
_PATH = "/v1/suppressions/imports"
_PIECE = 10_000


def make_file(first: int, count: int) -> Iterator[bytes]:
    """A file of addresses that no customer has."""
    yield b"address,channel,reason\n"
    for start in range(first, first + count, _PIECE):
        end = min(start + _PIECE, first + count)
        yield b"".join(b"bench-%d@example.org,email,imported\n" % number for number in range(start, end))


async def start_import(http: httpx.AsyncClient, first: int, count: int) -> str:
    """The id of a new import."""
    body = b"".join(make_file(first, count))
    answer = await http.post(_PATH, content=body, headers={"Content-Type": "text/csv"})
    answer.raise_for_status()
    return str(answer.json()["id"])


async def read_import(http: httpx.AsyncClient, id: str) -> dict[str, Any]:
    """How far an import is."""
    return dict((await http.get(f"{_PATH}/{id}")).json())


async def measure(contender: Ours, events: Events, rows: int, rate: float) -> tuple[Figures, Figures]:
    """The load without an import, and with one; the import goes on over all turns that have one."""
    alone: list[Figures] = []
    beside: list[Figures] = []
    headers = {"Authorization": f"Bearer {KEY}"}
    url = contender.processes["suppression"].url
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=300) as http:
        for turn in range(TURNS):
            alone.append(await paced(contender, events, rate, SECONDS))
            began = time.monotonic()
            id = await start_import(http, turn * rows, rows)
            uploaded = time.monotonic()
            beside.append(await paced(contender, events, rate, SECONDS))
            job = await read_import(http, id)
            print(f"turn {turn + 1}: {job['read']:,} of {rows:,} rows during the load, state {job['state']}")
            await http.post(f"{_PATH}/{id}/cancel")
            print(f"  received in {uploaded - began:.1f} s, then cancelled")
    return together(alone), together(beside)


async def main(rows: int, rate: float) -> int:
    """Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="tactful-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # the database's server runs as another user
        with ground(directory) as here:
            async with ours(here, directory, CUSTOMERS) as contender:
                events = Events(here, CUSTOMERS)
                await warmed_up(here, contender, events, 2_000)
                alone, beside = await measure(contender, events, rows, rate)
            await here.bus.close()
    growth = 0.0
    for share in (0.5, 0.95, 0.99):
        before, after = (_percentile(each, share) for each in (alone, beside))
        growth = after / before
        print(f"p{share * 100:g}: {before:.0f} ms alone, {after:.0f} ms beside an import: {growth:.2f} times")
    return int(growth > MOST_GROWTH)


def _percentile(figures: Figures, share: float) -> float:
    """Milliseconds, over all turns."""
    ordered = sorted(each for turn in figures.turns for each in turn.milliseconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


if __name__ == "__main__":
    numbers = [float(each) for each in sys.argv[1:]]
    sys.exit(asyncio.run(main(int(numbers[0]) if numbers else 100_000, numbers[1] if numbers[1:] else 1_000)))
