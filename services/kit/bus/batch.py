"""A batch of records, and what a service does with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Protocol, TypeVar

from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Tx

T = TypeVar("T")


@dataclass(slots=True)
class Batch:
    """Records by partition, in order, and the next offset after them for every partition among them."""

    records: list[Record]
    first_offsets: dict[Partition, int]
    next_offsets: dict[Partition, int]
    rejected: list[tuple[Record, BaseException]] = field(default_factory=list)

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> Batch:
        """A fresh batch of these."""
        first: dict[Partition, int] = {}
        positions: dict[Partition, int] = {}
        for place, run in groupby(records, attrgetter("topic", "partition")):
            partition, offsets = Partition(*place), [record.offset for record in run]
            first.setdefault(partition, offsets[0])
            positions[partition] = offsets[-1] + 1
        return cls(list(records), first, positions)

    def reject(self, record: Record, error: BaseException) -> None:
        """Have this record dead-lettered in the batch's own transaction. Called by `prepare`, which then passes it by.

        Cheaper than raising Permanent, for which the loop must search the batch for the culprit.
        """
        self.rejected.append((record, error))


class BatchHandler(Protocol[T]):
    """What a service does with its records. Any method may be called again with the same records."""

    async def prepare(self, batch: Batch) -> T:
        """Everything that needs no transaction: parse, match, ask other services. Transient: tried again, for ever."""

    async def apply(self, tx: Tx, prepared: T) -> None:
        """Write, inside the one transaction that also moves the offsets. Transient: prepared and applied again."""

    async def after_commit(self, prepared: T) -> None:
        """After the commit, for metrics and wake-ups; not called if the process dies in between. Must not raise."""

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Inside the transaction that dead-letters the record, such as to place a hold. If it raises, the loop ends."""
