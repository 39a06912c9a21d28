"""The bus protocol: a durable log, partitioned by key and read by groups. Kafka and an embedded file implement it.

Correctness never depends on the bus's own commits: consumers keep their offsets in their own database and seek.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
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
    """A record as read. `timestamp` comes from the broker or producer, in microseconds; it is never trusted."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: Instant


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish. The key selects the partition; without a key any partition may be used."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


OnPartitions: TypeAlias = Callable[[set[Partition]], Awaitable[None]]


class Consumer(Protocol):
    """One member of a group. All methods are called from one event loop."""

    async def start(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        """Joins the group. The callbacks are called on every change of assignment and must return quickly."""

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, list[Record]]:
        """Returns up to `max_records` records, in order per partition; empty after `timeout` seconds. Raises
        BusGone.
        """

    def assigned(self) -> set[Partition]:
        """The partitions currently assigned to this member."""

    async def seek(self, partition: Partition, offset: int) -> int:
        """Continues reading `partition` at `offset`; an offset outside the log becomes the earliest one.

        Returns the offset used. Raises BusGone. A partition that is not assigned is ignored.
        """

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Delivers no records of these partitions until resumed. Partitions that are not assigned are ignored."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Delivers records of these partitions again."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Reports progress to the bus, for its lag tools only. May raise BusGone; nothing depends on it."""

    async def stop(self) -> None:
        """Leaves the group."""


class Publisher(Protocol):
    """The one publisher of a name: what an earlier one of that name publishes after this one was started is refused."""

    async def start(self) -> None:
        """Ends every earlier publisher of the name, in whatever process. Raises BusGone."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Appends in order, all or none; durable on return.

        Raises BusGone, also where a later publisher has been started: all or none have been written. Close it then.
        """

    async def close(self) -> None:
        """Releases everything."""


class Bus(Protocol):
    """A log of topics."""

    async def ensure_topics(self, topics: Mapping[str, int], *, compacted: Collection[str] = ()) -> None:
        """Creates missing topics with this number of partitions. Existing ones are left as they are.

        `compacted`: those of which only the last record of each key is kept.
        """

    def publisher(self, name: str) -> Publisher:
        """Returns a publisher of this name, which is to be started."""

    async def publish(self, records: Sequence[Outgoing]) -> list[tuple[Partition, int]]:
        """Appends in order; durable on return. Returns each record's position.

        Raises BusGone (unreachable; some or all records may have been written: publish again, readers see one effect)
        and TooLarge (a record exceeds the bus's limit).
        """

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """Returns a new member of `group`; it joins when started."""

    async def end_offsets(self, topic: str) -> dict[Partition, int]:
        """Returns the offset after the last record of every partition. Raises BusGone."""

    async def retention(self, topic: str) -> float | None:
        """For how many seconds the log may keep a record to be read again; None: for ever. Raises BusGone."""

    def is_lost(self) -> bool:
        """Whether the servers of the log are known not to answer: what it holds is unknown until they do."""

    async def close(self) -> None:
        """Releases everything."""
