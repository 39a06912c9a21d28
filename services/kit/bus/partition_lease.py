"""Partition leases: who may apply a partition, and how far it is applied (the table `partition_lease`).

Each assignment raises the epoch; a transaction moves `next_offset` only under its own epoch and only forwards. So of
two workers that both believe they own a partition, at most one commits any given offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.kit.bus.protocol import Partition
from services.kit.db.database import Tx


@dataclass(slots=True)
class PartitionLease:
    """A worker's lease in memory: its epoch, the next offset to apply and the next offset to read."""

    epoch: int
    applied_offset: int
    read_offset: int


class OffsetAdvance(NamedTuple):
    """An advance of one partition: records from offset `first` up to, not including, `next` are applied."""

    topic: str
    partition: int
    epoch: int
    first: int
    next: int


_ADVANCE_COLUMNS = {"topic": "text", "partition": "int", "epoch": "bigint", "first": "bigint", "next": "bigint"}
PARTITION_COLUMNS = {"topic": "text", "partition": "int"}
"""Columns of a parameter table of partitions, for `Tx.table_parameter`."""

_CLAIM = """
    INSERT INTO partition_lease (topic, partition, epoch, next_offset) VALUES (:topic, :partition, 1, 0)
    ON CONFLICT (topic, partition) DO UPDATE SET epoch = partition_lease.epoch + 1
    RETURNING epoch, next_offset
"""

_RESET = """
    UPDATE partition_lease SET next_offset = :offset
    WHERE topic = :topic AND partition = :partition AND epoch = :epoch
"""


async def claim_partitions(tx: Tx, partitions: Iterable[Partition]) -> dict[Partition, PartitionLease]:
    """Claims the partitions by raising their epochs; previous owners can no longer commit."""
    leases = {}
    for partition in sorted(partitions):
        row = await tx.row(_CLAIM, topic=partition.topic, partition=partition.partition)
        assert row is not None
        leases[partition] = PartitionLease(row.epoch, row.next_offset, row.next_offset)
    return leases


async def reset_offset(tx: Tx, partition: Partition, epoch: int, offset: int) -> bool:
    """Sets `next_offset` to the actual start of the log. Returns False if the lease is no longer ours. The caller logs
    it.
    """
    place = {"topic": partition.topic, "partition": partition.partition}
    return await tx.execute(_RESET, **place, epoch=epoch, offset=offset) == 1


async def advance_offsets(tx: Tx, advances: Sequence[OffsetAdvance]) -> set[Partition]:
    """Moves the offsets of a batch in one statement, locking rows in order. Returns the partitions that moved."""
    sql = f"""
        WITH mine AS (
            SELECT l.topic, l.partition, v.next FROM partition_lease l
            JOIN {tx.table_parameter("v", _ADVANCE_COLUMNS)} ON l.topic = v.topic AND l.partition = v.partition
            WHERE l.epoch = v.epoch AND l.next_offset <= v.first
            ORDER BY l.topic, l.partition {tx.for_update}
        )
        UPDATE partition_lease SET next_offset = mine.next FROM mine
        WHERE partition_lease.topic = mine.topic AND partition_lease.partition = mine.partition
        RETURNING partition_lease.topic, partition_lease.partition
    """
    rows = await tx.rows(sql, **tx.bind_table_parameter("v", _ADVANCE_COLUMNS, advances))
    return {Partition(row.topic, row.partition) for row in rows}


async def read_leases(tx: Tx, partitions: Iterable[Partition]) -> dict[Partition, PartitionLease]:
    """Returns the stored leases of these partitions; those without a row are absent."""
    sql = f"""
        SELECT l.topic, l.partition, l.epoch, l.next_offset FROM partition_lease l
        JOIN {tx.table_parameter("v", PARTITION_COLUMNS)} ON l.topic = v.topic AND l.partition = v.partition
    """
    rows = await tx.rows(sql, **tx.bind_table_parameter("v", PARTITION_COLUMNS, sorted(partitions)))
    return {
        Partition(row.topic, row.partition): PartitionLease(row.epoch, row.next_offset, row.next_offset) for row in rows
    }


async def read_applied_offsets(tx: Tx) -> dict[Partition, int]:
    """Returns the applied position (next offset) of every partition, in one snapshot with whatever else `tx` reads."""
    rows = await tx.rows("SELECT topic, partition, next_offset FROM partition_lease")
    return {Partition(row.topic, row.partition): row.next_offset for row in rows}


def positions_applied(leases: Mapping[Partition, PartitionLease], positions: Mapping[Partition, int]) -> bool:
    """Whether every position is applied."""
    return all(
        offset <= 0 or (partition in leases and leases[partition].applied_offset >= offset)
        for partition, offset in positions.items()
    )
