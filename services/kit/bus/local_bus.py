"""The embedded log of a single process: one SQLite file. Records acknowledged by `publish` survive `kill -9` and power
loss.

Groups exist within the process. Waiting readers are woken by the publish itself; nobody polls the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from services.kit.bus.local_log_file import LocalLogStore, RecordPosition
from services.kit.bus.protocol import OnPartitions, Outgoing, Partition, Record
from services.kit.errors import BusGone

T = TypeVar("T")


class _StoreThread:
    """A store and the one thread that uses it."""

    def __init__(self, path: Path, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._path = path
        self._store: LocalLogStore | None = None

    async def execute(self, function: Callable[[LocalLogStore], T]) -> T:
        """Runs `work` on the thread. Raises BusGone if the file cannot be used."""

        def run_function() -> T:
            if self._store is None:
                self._store = LocalLogStore(self._path)
            return function(self._store)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run_function)
        except sqlite3.OperationalError as error:
            raise BusGone(f"the local log cannot be used: {error}") from error

    async def close(self) -> None:
        if self._store is not None:
            await self.execute(LocalLogStore.close)
            self._store = None
        self._thread.shutdown(wait=False)


class LocalBus:
    """A Bus in one file, for one process."""

    def __init__(self, path: Path | str, partitions: int = 4) -> None:
        self._partitions = partitions
        self._writer = _StoreThread(Path(path), "log-writer")
        self._reader = _StoreThread(Path(path), "log-reader")
        self._groups: dict[str, _ConsumerGroup] = {}
        self._pending: list[tuple[Sequence[Outgoing], asyncio.Future[list[RecordPosition]]]] = []
        self._write_task: asyncio.Task[None] | None = None
        self._appended = asyncio.Event()

    def is_lost(self) -> bool:
        """See Bus. A file is not lost."""
        return False

    async def ensure_topics(self, topics: Mapping[str, int], *, compacted: Collection[str] = ()) -> None:
        """See Bus. Nothing is compacted: this log keeps every record."""
        await self._writer.execute(lambda store: store.create_topics(topics))
        for group in self._groups.values():
            await group.rebalance()

    async def publish(self, records: Sequence[Outgoing]) -> list[RecordPosition]:
        """See Bus. Concurrent publishers share one transaction."""
        if not records:
            return []
        result: asyncio.Future[list[RecordPosition]] = asyncio.get_running_loop().create_future()
        self._pending.append((records, result))
        if self._write_task is None or self._write_task.done():
            self._write_task = asyncio.create_task(self._write_pending())
        return await result

    async def _write_pending(self) -> None:
        while self._pending:
            pending, self._pending = self._pending, []
            outgoing = [record for records, _ in pending for record in records]
            try:
                record_positions = await self._writer.execute(partial(_append_records, outgoing, self._partitions))
            except Exception as error:
                for _, result in pending:
                    if not result.done():
                        result.set_exception(error)
                continue
            for records, result in pending:
                own_positions, record_positions = record_positions[: len(records)], record_positions[len(records) :]
                if not result.done():
                    result.set_result(own_positions)
            self.notify_readers()

    def notify_readers(self) -> None:
        """Wakes every waiting reader."""
        old, self._appended = self._appended, asyncio.Event()
        old.set()

    def next_append(self) -> asyncio.Event:
        """Returns an event that the next append sets. Take it before you read."""
        return self._appended

    def publisher(self, name: str) -> LocalPublisher:
        """See Bus."""
        return LocalPublisher(self)

    def consumer(self, group: str, topics: Sequence[str]) -> LocalConsumer:
        """See Bus."""
        return LocalConsumer(self, self._groups.setdefault(group, _ConsumerGroup(self, group)), topics)

    async def end_offsets(self, topic: str) -> dict[Partition, int]:
        """See Bus."""
        return await self._reader.execute(lambda store: store.end_offsets(topic))

    async def retention(self, topic: str) -> float | None:
        """See Bus. Nothing: the positions of its readers are in the folder of the log, so it is read once."""
        return 0.0

    async def run_on_reader(self, function: Callable[[LocalLogStore], T]) -> T:
        """Runs on the reading thread."""
        return await self._reader.execute(function)

    async def run_on_writer(self, function: Callable[[LocalLogStore], T]) -> T:
        """Runs on the writing thread."""
        return await self._writer.execute(function)

    async def close(self) -> None:
        """See Bus."""
        if self._write_task is not None:
            await self._write_task
        await self._reader.close()
        await self._writer.close()


class LocalPublisher:
    """See Publisher. One process uses the file, so there is no other."""

    def __init__(self, bus: LocalBus) -> None:
        self._bus = bus

    async def start(self) -> None:
        """See Publisher."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """See Publisher."""
        await self._bus.publish(records)

    async def close(self) -> None:
        """See Publisher."""


def _append_records(records: Sequence[Outgoing], partitions: int, store: LocalLogStore) -> list[RecordPosition]:
    return store.append_records(records, partitions)


class _ConsumerGroup:
    """The members of one group and their partitions."""

    def __init__(self, bus: LocalBus, name: str) -> None:
        self._bus = bus
        self._lock = asyncio.Lock()
        self.name = name
        self.members: list[LocalConsumer] = []

    async def rebalance(self) -> None:
        """Distributes the partitions evenly; notifies losers first, then winners."""
        async with self._lock:
            assignments: dict[LocalConsumer, set[Partition]] = {member: set() for member in self.members}
            for topic in sorted({topic for member in self.members for topic in member.topics}):
                subscribers = [member for member in self.members if topic in member.topics]
                for partition in await self._bus.end_offsets(topic):
                    assignments[subscribers[partition.partition % len(subscribers)]].add(partition)
            committed = await self._bus.run_on_reader(lambda store: store.committed_offsets(self.name))
            for member, assignment in assignments.items():
                await member.revoke(member.assigned() - assignment)
            for member, assignment in assignments.items():
                await member.assign(
                    {partition: committed.get(partition, 0) for partition in assignment - member.assigned()}
                )
        self._bus.notify_readers()


class LocalConsumer:
    """A member of a group of the embedded log."""

    def __init__(self, bus: LocalBus, group: _ConsumerGroup, topics: Sequence[str]) -> None:
        self._bus = bus
        self._group = group
        self.topics = frozenset(topics)
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._rotation = 0

    async def start(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        """See Consumer."""
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        if self not in self._group.members:
            self._group.members.append(self)
        await self._group.rebalance()

    async def revoke(self, partitions: set[Partition]) -> None:
        """Called by the group: these partitions are taken away."""
        if partitions:
            for partition in partitions:
                del self._positions[partition]
            self._paused -= partitions
            await self._on_revoked(partitions)

    async def assign(self, positions: Mapping[Partition, int]) -> None:
        """Called by the group: these partitions are assigned, to be read from the committed offsets."""
        if positions:
            self._positions.update(positions)
            await self._on_assigned(set(positions))

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, list[Record]]:
        """See Consumer. Partitions take turns at being first, so that none starves."""
        try:
            async with asyncio.timeout(timeout if timeout > 0 else None):
                while True:
                    next_append = self._bus.next_append()
                    found = await self._read_records(max_records)
                    if found or timeout <= 0:
                        return found
                    await next_append.wait()
        except TimeoutError:
            return {}

    async def _read_records(self, limit: int) -> dict[Partition, list[Record]]:
        to_read = [(p, offset) for p, offset in sorted(self._positions.items()) if p not in self._paused]
        if not to_read:
            return {}
        self._rotation = (self._rotation + 1) % len(to_read)
        to_read = to_read[self._rotation :] + to_read[: self._rotation]
        found = await self._bus.run_on_reader(lambda store: store.read_records(to_read, limit))
        requested = dict(to_read)
        delivered = {
            p: records
            for p, records in found.items()
            if self._positions.get(p) == requested[p] and p not in self._paused  # not moved, lost or paused meanwhile
        }
        for partition, records in delivered.items():
            self._positions[partition] = records[-1].offset + 1
        return delivered

    def assigned(self) -> set[Partition]:
        """See Consumer."""
        return set(self._positions)

    async def seek(self, partition: Partition, offset: int) -> int:
        """See Consumer."""
        first = await self._bus.run_on_reader(lambda store: store.earliest_offset(partition))
        end = (await self._bus.end_offsets(partition.topic)).get(partition, 0)
        taken = offset if first <= offset <= end else first
        if partition in self._positions:
            self._positions[partition] = taken
        return taken

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See Consumer."""
        self._paused |= set(partitions) & self.assigned()

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See Consumer."""
        self._paused -= set(partitions)
        self._bus.notify_readers()

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See Consumer."""
        await self._bus.run_on_writer(lambda store: store.commit_offsets(self._group.name, offsets))

    async def stop(self) -> None:
        """See Consumer."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._positions.clear()
            await self._group.rebalance()
