"""A record whose handling ends the process becomes a dead letter, and every other record is applied once."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kit.bus.batch import Batch
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Record
from services.kit.bus.records_in_hand import EndedProcess, Mark, in_hand, set_marks
from services.kit.db.database import Database
from services.kit.errors import Transient
from tests.support.recording_consumer import (
    TOPIC,
    Effects,
    count,
    effects,
    loop_of,
    open_database,
    publish,
    running,
    until,
    until_applied,
)

pytestmark = pytest.mark.wired
TOTAL = 200
DEATHS = 3
"""How many processes a record may end: the first before it is marked, two while it is."""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    opened = LocalBus(tmp_path / "log.db")
    await opened.ensure_topics({TOPIC: 2})
    yield opened
    await opened.close()


async def live(database_url: str, log: Path, *deadly: int) -> int:
    """One life of a worker: the exit code of its process."""
    command = ["-m", "tests.support.fragile_worker", database_url, str(log), str(TOTAL), *map(str, deadly)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command)
    return await process.wait()


@pytest.mark.parametrize("deadly", [(199,), (20, 21)], ids=["last", "two"])
async def test_a_record_that_ends_processes_is_dead_lettered_and_all_others_are_applied(
    deadly: tuple[int, ...], database_url: str, database: Database, bus: LocalBus, tmp_path: Path
) -> None:
    await publish(bus, TOTAL)
    deaths = 0
    while (code := await live(database_url, tmp_path / "log.db", *deadly)) == -signal.SIGKILL:
        deaths += 1
    assert code == 0
    assert deaths <= DEATHS * len(deadly)
    assert await effects(database) == Counter(set(range(TOTAL)) - set(deadly))
    async with database.read() as tx:
        letters = await tx.rows("SELECT value, error_class FROM dead_letter")
    assert sorted(int(row.value) for row in letters) == sorted(deadly)
    assert {row.error_class for row in letters} == {"EndedProcess"}
    assert await count(database, "record_in_hand") == 0


async def test_a_process_that_is_killed_twice_from_outside_loses_no_record(
    database_url: str, database: Database, bus: LocalBus, tmp_path: Path
) -> None:
    await publish(bus, TOTAL)
    for _ in range(DEATHS - 1):
        assert await live(database_url, tmp_path / "log.db", 120) == -signal.SIGKILL
    assert await live(database_url, tmp_path / "log.db") == 0
    assert await effects(database) == Counter(range(TOTAL))
    assert await count(database, "dead_letter") == await count(database, "record_in_hand") == 0


async def test_a_handling_that_fails_leaves_no_mark(bus: LocalBus, database: Database) -> None:
    """Else every restart while another service is away would count against the records that wait for it."""
    await publish(bus, 10)
    handler = Effects()
    marks: list[int] = []

    async def wait_for_facts(batch: Batch) -> None:
        marks.append(await count(database, "record_in_hand"))
        raise Transient("facts are missing", retry_after=0.01)

    handler.on_prepare = wait_for_facts

    async def tried() -> bool:
        return len(marks) > 3

    async with running(loop_of(bus, database, handler)):
        await until(tried)
    assert max(marks) <= 2  # one a partition, however often it was tried
    assert await count(database, "record_in_hand") == 0


async def test_records_that_no_claim_is_near_to_are_not_marked(bus: LocalBus, database: Database) -> None:
    handler = Effects()
    marks: list[int] = []

    async def look(batch: Batch) -> None:
        marks.append(await count(database, "record_in_hand"))

    async with running(loop_of(bus, database, handler)):
        await publish(bus, 200)  # 50 are watched in each of two partitions
        await until_applied(database, 200)
        handler.on_prepare = look
        await publish(bus, 50, first=200)
        await until_applied(database, 250)
    assert marks and not any(marks)


async def test_a_record_handled_outside_the_loop_is_refused_after_two_deaths_and_then_may_be_asked_for_again(
    database: Database,
) -> None:
    record = Record(TOPIC, 1, 41, b"c1", b"41", (), 0)
    for _ in range(2):
        await set_marks(database, [Mark(TOPIC, 1, 41, 41)])  # as a process that ended has left it
    with pytest.raises(EndedProcess):
        async with in_hand(database, record):
            pass
    async with in_hand(database, record):
        assert await count(database, "record_in_hand") == 1
    assert await count(database, "record_in_hand") == 0
