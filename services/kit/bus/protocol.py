"""The log as we use it: durable, partitioned by key, read by groups. Kafka and a local file implement it.

Correctness never rests on the bus's own commits: consumers keep their offsets in their own database and seek.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from services.kit.runtime.clock import Instant


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class Record(msgspec.Struct, frozen=True):
    """A record as read. `timestamp` is the broker's or the producer's word, in microseconds; never trusted."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: Instant


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be published. The key chooses the partition; without a key any partition will do."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


OnPartitions: TypeAlias = Callable[[set[Partition]], Awaitable[None]]


class Consumer(Protocol):
    """One member of a group. All of its methods are called from one event loop."""

    async def start(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        """Join the group. The callbacks are told of every change and must return quickly."""

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, list[Record]]:
        """Up to `max_records` records, in order per partition; empty after `timeout` seconds. BusGone: unreachable."""

    def assigned(self) -> set[Partition]:
        """The partitions this member has now."""

    async def seek(self, partition: Partition, offset: int) -> int:
        """Read `partition` from `offset` on. An offset outside the log becomes the earliest one there is.

        Returns the offset taken. BusGone if unreachable. A partition that is not assigned is left alone.
        """

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Hand out no records of these until resumed. Partitions that are not assigned are passed over."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Hand out records of these again."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell the bus how far we are, for its lag tools only. BusGone or nothing; nothing rests on it."""

    async def stop(self) -> None:
        """Leave the group."""


class Bus(Protocol):
    """A log of topics."""

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        """Create those that are absent, with this number of partitions. Existing ones are left as they are."""

    async def publish(self, records: Sequence[Outgoing]) -> list[tuple[Partition, int]]:
        """Append in order; durable on return. Returns each record's place.

        BusGone: unreachable, some or all may have been written; publish again (readers see one effect).
        TooLarge: a record is larger than the bus takes.
        """

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """A new member of `group`; it joins when started."""

    async def end_offsets(self, topic: str) -> dict[Partition, int]:
        """The offset after the last record of every partition."""

    async def close(self) -> None:
        """Release everything."""
