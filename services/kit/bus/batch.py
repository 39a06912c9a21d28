"""A batch of records, and the protocol of the handler that processes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Protocol, TypeVar

from services.kit.bus.dead_letters import DeadLetter
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Tx

T = TypeVar("T")


@dataclass(slots=True)
class Batch:
    """Records by partition, in order, and for every partition the next offset after them."""

    records: list[Record]
    first_offsets: dict[Partition, int]
    next_offsets: dict[Partition, int]
    rejected: list[tuple[Record, BaseException]] = field(default_factory=list)

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> Batch:
        """Builds a batch of these records."""
        first: dict[Partition, int] = {}
        following: dict[Partition, int] = {}
        for topic_partition, group in groupby(records, attrgetter("topic", "partition")):
            partition, offsets = Partition(*topic_partition), [record.offset for record in group]
            first.setdefault(partition, offsets[0])
            following[partition] = offsets[-1] + 1
        return cls(list(records), first, following)

    def reject(self, record: Record, error: BaseException) -> None:
        """Marks a record to be dead-lettered in the batch's own transaction. Called by `prepare`, which then skips the
        record.

        Cheaper than raising Permanent, after which the loop must search the batch for the failing record.
        """
        self.rejected.append((record, error))


class BatchHandler(Protocol[T]):
    """What a service does with its records. Any method may be called again with the same records."""

    async def prepare(self, batch: Batch) -> T:
        """Does everything that needs no transaction: parse, match, call other services. On Transient it is retried for
        ever.
        """

    async def apply(self, tx: Tx, prepared: T) -> None:
        """Writes, inside the one transaction that also moves the offsets. On Transient the batch is prepared and
        applied again.
        """

    async def after_commit(self, prepared: T) -> None:
        """Runs after the commit, for metrics and wake-ups; not called if the process dies in between. Must not
        raise.
        """

    async def keeps_nothing_of(self, tx: Tx, record: Record) -> bool:
        """Whether nothing of this record may be stored: it is then passed over, instead of being dead-lettered."""

    async def on_dead_letter(self, tx: Tx, record: Record, error: BaseException) -> None:
        """Runs inside the transaction that dead-letters a record, for example to place a hold. If it raises, the loop
        ends.
        """

    async def on_dead_letter_closed(self, tx: Tx, letter: DeadLetter) -> None:
        """Runs inside the transaction that closes a letter, after the record was applied if it was redriven: ends what
        `on_dead_letter` began. `letter` is as it is from now on: `redriven` or `discarded`.
        """
