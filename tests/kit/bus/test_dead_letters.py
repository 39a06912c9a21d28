"""Dead letters keep the original bytes and reach the DLQ topic with their reasons."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.event import InvalidEvent
from services.kit.bus.dead_letters import DeadLetterRelay, store_dead_letter, to_dead_letter
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Database
from services.kit.errors import BusGone, Invalid, RecordProblem, RejectedRecord
from services.kit.runtime.clock import ManualClock
from tests.support.recording_consumer import DLQ, count, open_database

pytestmark = pytest.mark.wired

HEADERS = (("ce_id", b"1"), ("raw", b"\x00\xff"))
RECORD = Record("events", 3, 41, b"k\x00", b"\xff{", HEADERS, 1_700_000_000_000_000)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url)
    async with opened.write() as tx:
        await store_dead_letter(
            tx, RECORD, Invalid("bad\x00 event\nDETAIL: ann@example.org"), stage="decide", attempts=3, at=7
        )
    yield opened
    await opened.close()


async def test_a_dead_letter_is_published_once_with_its_reasons(database: Database, tmp_path: Path) -> None:
    bus = LocalBus(tmp_path / "log.db")
    relay = DeadLetterRelay(bus, database, DLQ, ManualClock(9))
    assert await relay.publish_waiting() == 1
    assert await relay.publish_waiting() == 0
    everywhere = [(partition, 0) for partition in await bus.end_offsets(DLQ)]
    ((record,),) = (await bus.run_on_reader(lambda store: store.read_records(everywhere, 9))).values()
    assert (record.key, record.value) == (b"k\x00", b"\xff{")
    assert record.headers[:2] == HEADERS
    assert dict(record.headers[2:]) == {
        "dlq.topic": b"events",
        "dlq.partition": b"3",
        "dlq.offset": b"41",
        "dlq.timestamp": b"1700000000000000",
        "dlq.error.class": b"Invalid",
        "dlq.error.message": b"bad event",
        "dlq.stage": b"decide",
        "dlq.attempts": b"3",
    }
    async with database.read() as tx:
        row = await tx.row("SELECT * FROM dead_letter")
    assert row is not None and row.published == 9
    record = to_dead_letter(row).record
    assert (record.topic, record.key, record.value, record.headers) == ("events", b"k\x00", b"\xff{", HEADERS)
    await bus.close()


async def test_only_dead_letters_of_our_partitions_are_published(database: Database, tmp_path: Path) -> None:
    bus = LocalBus(tmp_path / "log.db")
    owned: set[Partition] = {Partition("events", 2), Partition("other", 3)}
    relay = DeadLetterRelay(bus, database, DLQ, ManualClock(9), owned=lambda: owned)
    assert await relay.publish_waiting() == 0
    owned.add(Partition("events", 3))
    assert await relay.publish_waiting() == 1
    await bus.close()


async def test_what_could_not_be_published_stays(database: Database, tmp_path: Path) -> None:
    bus = LocalBus(tmp_path)  # a directory: no log can be opened there
    with pytest.raises(BusGone):
        await DeadLetterRelay(bus, database, DLQ, ManualClock(9)).publish_waiting()
    assert await count(database, "dead_letter WHERE published IS NULL") == 1
    await bus.close()


@pytest.mark.parametrize(
    ("error", "problems"),
    [
        (
            RejectedRecord(
                problems=[RecordProblem("/data/zone", "zone", "not a zone"), RecordProblem("/data/x", "y", "a\nb")]
            ),
            (RecordProblem("/data/zone", "zone", "not a zone"), RecordProblem("/data/x", "y", "a")),
        ),
        (InvalidEvent("/time", "is not a time"), (RecordProblem("/time", "invalid_event", "is not a time"),)),
        (KeyError("defect"), ()),
    ],
    ids=["rejected record", "invalid event", "defect"],
)
async def test_a_letter_knows_its_event_and_each_problem(
    database: Database, error: BaseException, problems: tuple[RecordProblem, ...]
) -> None:
    value = b'{"id": "e-1", "source": "/shop", "type": 7, "subject": "ada", "data": {"zone": "Berln"}}'
    record = Record("events", 0, 5, b"ada", value, (), 9)
    async with database.write() as tx:
        await store_dead_letter(tx, record, error, stage="preference", attempts=1, at=8)
    async with database.read() as tx:
        row = await tx.row("SELECT * FROM dead_letter WHERE event_id IS NOT NULL")
    assert row is not None
    letter = to_dead_letter(row)
    assert letter.record == record
    assert (letter.event_source, letter.event_id, letter.event_type, letter.customer) == ("/shop", "e-1", None, "ada")
    assert letter.problems == problems
    assert (letter.state, letter.closed_at) == ("open", None)


async def test_what_is_too_long_or_unreadable_is_no_identity(database: Database) -> None:
    headers = (("ce_id", b"x" * 300), ("ce_source", b"\xff"), ("ce_type", b"a\x00b"), ("ce_subject", b""))
    async with database.write() as tx:
        await store_dead_letter(
            tx, Record("events", 0, 6, None, b"{}", headers, 9), Invalid("x"), stage="s", attempts=1, at=8
        )
    async with database.read() as tx:
        row = await tx.row('SELECT * FROM dead_letter WHERE "offset" = 6')
    assert row is not None
    assert (row.event_source, row.event_id, row.event_type, row.customer) == (None, None, None, None)
