"""The local log: what it has acknowledged survives `kill -9`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Outgoing, Partition

pytestmark = pytest.mark.wired

_PUBLISHER = """
import asyncio, sys
from services.kit.bus.protocol import Outgoing
from services.kit.bus.local_bus import LocalBus

async def main():
    bus = LocalBus(sys.argv[1])
    for n in range(1_000_000):
        await bus.publish([Outgoing("t", b"%d" % n, b"%d" % n)])
        print(n, flush=True)

asyncio.run(main())
"""


async def test_acknowledged_records_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    publisher = subprocess.Popen([sys.executable, "-c", _PUBLISHER, path], stdout=subprocess.PIPE, text=True)
    assert publisher.stdout is not None
    acknowledged = 0
    for line in publisher.stdout:
        acknowledged = int(line)
        if acknowledged >= 200:
            publisher.send_signal(signal.SIGKILL)
            break
    acknowledged = max([acknowledged, *map(int, publisher.stdout.read().split())])
    publisher.stdout.close()
    publisher.wait()

    bus = LocalBus(path)
    ends = await bus.end_offsets("t")
    kept = set()
    for partition, end in ends.items():
        records = (await bus.run_on_reader(lambda store, p=partition: store.read_records([(p, 0)], 10_000)))[partition]  # type: ignore[misc]
        assert [record.offset for record in records] == list(range(end))
        kept |= {int(record.value or b"") for record in records}
    assert set(range(acknowledged + 1)) <= kept
    places = await bus.publish([Outgoing("t", b"0", b"after")])
    assert places[0][1] == ends[places[0][0]]
    await bus.close()


async def test_records_of_one_publish_are_all_there_or_none(tmp_path: Path) -> None:
    bus = LocalBus(tmp_path / "log.db", partitions=1)
    bad = Outgoing("t", b"k", "text, not bytes", (("h", object()),))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await bus.publish([Outgoing("t", b"k", b"1"), bad])
    assert await bus.end_offsets("t") in ({}, {Partition("t", 0): 0})
    await bus.close()
