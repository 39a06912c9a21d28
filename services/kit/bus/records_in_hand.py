"""Finds the record whose handling ends the process, so that it becomes a dead letter and not a process that restarts
for ever.

A process that is killed from within (a crash of native code, too much memory) can write nothing down, and its
successor reads the same records. So a worker that has just claimed a partition marks durably, before it handles a
batch, which records it has in hand; the mark is removed with the offsets' advance, or when the handling has failed and
the process has outlived it. A mark that still stands tells the next worker that a process ended over these records:
it handles them one by one, and one that has ended three processes is not tried again. The first of them left no mark,
because marks are set only for as many records after a claim as a worker takes at once: after that, records cost
nothing more.

A mark is evidence, no lock. A process killed from outside leaves one too; so more than one is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from services.kit.bus.batch import Batch
from services.kit.bus.partition_lease import PARTITION_COLUMNS, PartitionLease
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent, Transient

MAX_MARKS = 2
"""How many processes may end over a record while it is marked, the last of them with nothing else in hand."""
_PASSED_COLUMNS = {**PARTITION_COLUMNS, "next": "bigint"}
REMOVAL_TIMEOUT = 2.0
"""Seconds after which a mark of a failed handling is left standing: the database does not answer."""


class EndedProcess(Permanent):
    """Handling the record has ended several processes, one after the other."""

    default_code = "ended_process"
    title = "Ended the process"

    def __init__(self) -> None:
        super().__init__(
            "several processes have ended, one after the other, while they handled this record: "
            "it is not tried again by itself"
        )


class Mark(NamedTuple):
    """Records of one partition that a worker has in hand: all from offset `first` to `last`."""

    topic: str
    partition: int
    first: int
    last: int

    def covers(self, record: Record) -> bool:
        """Whether the record is one of them."""
        return (record.topic, record.partition) == self[:2] and self.first <= record.offset <= self.last

    @property
    def is_single(self) -> bool:
        """Whether there was nothing else in hand."""
        return self.first == self.last


class RecordsInHand:
    """The marks of one worker, and those that workers before it have left."""

    def __init__(self, database: Database, watched: int) -> None:
        """`watched`: how many records after a claim are marked: as many as a worker takes at once."""
        self._database = database
        self._watched = watched
        self._until: dict[Partition, int] = {}
        self._left: dict[Partition, list[Mark]] = {}

    async def watch(self, tx: Tx, leases: dict[Partition, PartitionLease]) -> None:
        """Begins to mark the records of partitions that are claimed in this transaction."""
        left = await read_marks(tx, leases)
        for partition, lease in leases.items():
            self._until[partition] = lease.applied_offset + self._watched
            self._left[partition] = [
                mark for mark in left if mark[:2] == partition and mark.last >= lease.applied_offset
            ]

    def split(self, records: Sequence[Record]) -> list[list[Record]]:
        """The records in their order, those over which a process has ended each by itself."""
        if not any(self._left.values()):
            return [list(records)]
        chunks: list[list[Record]] = []
        together = False
        for record in records:
            if marked := bool(self._marks_on(record)):
                chunks.append([record])
            elif together:
                chunks[-1].append(record)
            else:
                chunks.append([record])
            together = not marked
        return chunks

    def has_ended_processes(self, record: Record) -> bool:
        """Whether the record is not to be tried again."""
        marks = self._marks_on(record)
        return len(marks) >= MAX_MARKS and any(mark.is_single for mark in marks)

    def _marks_on(self, record: Record) -> list[Mark]:
        partition = Partition(record.topic, record.partition)
        return [mark for mark in self._left.get(partition, ()) if mark.covers(record)]

    async def mark(self, batch: Batch) -> str | None:
        """Marks those records of the batch that are watched, in a transaction of its own, and returns the mark's id;
        None where nothing is watched. Raises Transient.
        """
        watched = [partition for partition in batch.first_offsets if partition in self._until]
        if not watched:
            return None
        marks = [
            Mark(*partition, batch.first_offsets[partition], batch.next_offsets[partition] - 1) for partition in watched
        ]
        return await set_marks(self._database, marks)

    async def clear_passed(self, tx: Tx, batch: Batch) -> None:
        """Removes the marks on what the transaction moves past."""
        watched = sorted(batch.next_offsets.keys() & self._until.keys())
        if watched:
            passed = [(*partition, batch.next_offsets[partition]) for partition in watched]
            await tx.execute(
                f"DELETE FROM record_in_hand WHERE EXISTS (SELECT 1 FROM {tx.table_parameter('v', _PASSED_COLUMNS)} "
                "WHERE record_in_hand.topic = v.topic AND record_in_hand.partition = v.partition "
                "AND record_in_hand.last_offset < v.next)",
                **tx.bind_table_parameter("v", _PASSED_COLUMNS, passed),
            )

    def forget_passed(self, batch: Batch) -> None:
        """Ends the watch of partitions that are now far enough. Call it after the commit."""
        for partition in batch.next_offsets.keys() & self._until.keys():
            offset = batch.next_offsets[partition]
            self._left[partition] = [mark for mark in self._left[partition] if mark.last >= offset]
            if offset >= self._until[partition] and not self._left[partition]:
                del self._until[partition], self._left[partition]


@contextlib.asynccontextmanager
async def in_hand(database: Database, record: Record) -> AsyncIterator[None]:
    """Marks one record while it is handled outside the consume loop. Raises Transient, and EndedProcess if processes
    have ended over it: their marks are removed then, so that it may be asked for again.
    """
    partition = Partition(record.topic, record.partition)
    async with database.write() as tx:
        left = [mark for mark in await read_marks(tx, [partition]) if mark.covers(record)]
        if len(left) >= MAX_MARKS:
            await clear_marks(tx, partition, record.offset)
    if len(left) >= MAX_MARKS:
        raise EndedProcess
    mark_id = await set_marks(database, [Mark(record.topic, record.partition, record.offset, record.offset)])
    try:
        yield
    finally:
        await remove_marks(database, mark_id)


async def clear_marks(tx: Tx, partition: Partition, offset: int) -> None:
    """Removes all marks on one record alone."""
    await tx.execute(
        "DELETE FROM record_in_hand WHERE topic = :topic AND partition = :partition "
        "AND first_offset = :offset AND last_offset = :offset",
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
    )


async def set_marks(database: Database, marks: Iterable[Mark]) -> str:
    """Marks records durably; returns the id of these marks. Raises Transient."""
    mark_id = secrets.token_hex(8)
    rows = [(mark_id, *mark) for mark in marks]
    async with database.write() as tx:
        await tx.bulk_insert("record_in_hand", ("mark", "topic", "partition", "first_offset", "last_offset"), rows)
    return mark_id


async def remove_marks(database: Database, mark_id: str) -> None:
    """Removes marks, because the process has outlived the handling. Best effort: it may be cancelled, or the database
    be gone.
    """
    with contextlib.suppress(Transient, TimeoutError):
        async with asyncio.timeout(REMOVAL_TIMEOUT):
            async with database.write() as tx:
                await tx.execute("DELETE FROM record_in_hand WHERE mark = :mark", mark=mark_id)


async def read_marks(tx: Tx, partitions: Iterable[Partition]) -> list[Mark]:
    """The marks that stand on records of these partitions."""
    rows = await tx.rows(
        "SELECT m.topic, m.partition, m.first_offset, m.last_offset FROM record_in_hand m "
        f"JOIN {tx.table_parameter('v', PARTITION_COLUMNS)} ON m.topic = v.topic AND m.partition = v.partition",
        **tx.bind_table_parameter("v", PARTITION_COLUMNS, sorted(partitions)),
    )
    return [Mark(row.topic, row.partition, row.first_offset, row.last_offset) for row in rows]
