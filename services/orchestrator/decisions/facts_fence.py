"""The facts fence: how far preference and suppression must have applied the log before their facts are read.

A decision must know every earlier event of its customer (Fence in docs/protocols). Of the records that we have read,
only those that may change facts matter: to wait for the others would make each batch wait until two more services have
read it. So the position of a partition is the offset after the last record that may change facts.

It is stored with the epoch of the lease under which it was written. Where the partition has had another owner since,
perhaps one of an earlier version, which stores no positions, the position is all that is applied.
"""

from dataclasses import dataclass, field

from schemas.own_events import is_own, is_unknown_own
from services.kit.bus.batch import Batch
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Tx
from services.orchestrator.policy.compiled_policy import CompiledPolicy

_COLUMNS = {"topic": "text", "partition": "int", "position": "bigint", "next": "bigint"}

_LOAD = """
    SELECT l.topic, l.partition, l.next_offset, f.position FROM partition_lease l
    LEFT JOIN facts_fence f ON f.topic = l.topic AND f.partition = l.partition AND f.epoch = l.epoch
"""


@dataclass(slots=True)
class FactsFence:
    """Positions (next offsets) by partition: at first as they are stored, then with those of a batch."""

    positions: dict[Partition, int]
    unstored: set[Partition] = field(default_factory=set)
    """Partitions whose positions are not stored so, or not under the present lease."""

    def include(self, record: Record) -> None:
        """Wait for this record as well."""
        partition = Partition(record.topic, record.partition)
        if record.offset >= self.positions.get(partition, 0):
            self.positions[partition] = record.offset + 1
            self.unstored.add(partition)

    def of_batch(self, batch: Batch) -> dict[Partition, int]:
        """What the facts of a batch must have applied. A partition without a record that may change facts is absent."""
        return {
            partition: position for partition in batch.next_offsets if (position := self.positions.get(partition, 0))
        }


async def load_facts_fence(tx: Tx) -> FactsFence:
    """The positions that we have committed, of every partition of every topic."""
    fence = FactsFence({})
    for topic, number, next_offset, position in await tx.tuples(_LOAD):
        partition = Partition(topic, number)
        # A log that was made anew begins before the positions that its predecessor has left.
        fence.positions[partition] = next_offset if position is None else min(position, next_offset)
        if position is None:
            fence.unstored.add(partition)
    return fence


async def save_facts_fence(tx: Tx, fence: FactsFence, batch: Batch) -> None:
    """Store the positions of a batch that are not stored yet, in the transaction that has moved its offsets.

    Nothing is stored of a record that is applied once more, whose offsets do not move: others have been read since.
    """
    rows = [
        (*partition, fence.positions.get(partition, 0), following)
        for partition, following in batch.next_offsets.items()
        if partition in fence.unstored
    ]
    if rows:
        await tx.execute(
            "INSERT INTO facts_fence (topic, partition, position, epoch) "
            "SELECT v.topic, v.partition, v.position, l.epoch "
            f"FROM {tx.table_parameter('v', _COLUMNS)} JOIN partition_lease l "
            "ON l.topic = v.topic AND l.partition = v.partition AND l.next_offset = v.next WHERE true "
            "ON CONFLICT (topic, partition) DO UPDATE SET position = excluded.position, epoch = excluded.epoch",
            **tx.bind_table_parameter("v", _COLUMNS, rows),
        )


def may_change_facts(event_type: str | None, situation_events: frozenset[str]) -> bool:
    """Whether preference or suppression may learn something from an event of this type, even if it cannot be read."""
    return event_type is None or event_type in situation_events or is_own(event_type) or is_unknown_own(event_type)


def situation_events(policy: CompiledPolicy) -> frozenset[str]:
    """The event types that open or close situations under this policy."""
    return frozenset(trigger.event for kind in policy.document.situations for trigger in (*kind.opens, *kind.closes))
