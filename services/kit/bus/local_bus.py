"""The log of a single process: one SQLite file. What `publish` has answered survives `kill -9` and power cuts.

Groups exist within the process. Waiting readers are woken by the publish itself; nobody polls the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from services.kit.bus.local_log_file import LocalStore, Place
from services.kit.bus.protocol import OnPartitions, Outgoing, Partition, Record
from services.kit.errors import BusGone

T = TypeVar("T")


class _Desk:
    """A store with the one thread that works on it."""

    def __init__(self, path: Path, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._path = path
        self._store: LocalStore | None = None

    async def do(self, work: Callable[[LocalStore], T]) -> T:
        """Run `work` on the thread. BusGone if the file cannot be used."""

        def run() -> T:
            if self._store is None:
                self._store = LocalStore(self._path)
            return work(self._store)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.OperationalError as error:
            raise BusGone(f"the local log cannot be used: {error}") from error

    async def close(self) -> None:
        if self._store is not None:
            await self.do(LocalStore.close)
            self._store = None
        self._thread.shutdown(wait=False)


class LocalBus:
    """A Bus in one file, for one process."""

    def __init__(self, path: Path | str, partitions: int = 4) -> None:
        self._partitions = partitions
        self._writer = _Desk(Path(path), "log-writer")
        self._reader = _Desk(Path(path), "log-reader")
        self._groups: dict[str, _Group] = {}
        self._queue: list[tuple[Sequence[Outgoing], asyncio.Future[list[Place]]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        """See Bus."""
        await self._writer.do(lambda store: store.create(topics))
        for group in self._groups.values():
            await group.rebalance()

    async def publish(self, records: Sequence[Outgoing]) -> list[Place]:
        """See Bus. Those who publish at the same time share one transaction."""
        if not records:
            return []
        answer: asyncio.Future[list[Place]] = asyncio.get_running_loop().create_future()
        self._queue.append((records, answer))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await answer

    async def _write(self) -> None:
        while self._queue:
            queue, self._queue = self._queue, []
            together = [record for records, _ in queue for record in records]
            try:
                places = await self._writer.do(partial(_append, together, self._partitions))
            except Exception as error:
                for _, answer in queue:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for records, answer in queue:
                mine, places = places[: len(records)], places[len(records) :]
                if not answer.done():
                    answer.set_result(mine)
            self.announce()

    def announce(self) -> None:
        """Wake every reader that waits."""
        old, self._news = self._news, asyncio.Event()
        old.set()

    def news(self) -> asyncio.Event:
        """An event that the next announcement sets. Take it before you read."""
        return self._news

    def consumer(self, group: str, topics: Sequence[str]) -> LocalConsumer:
        """See Bus."""
        return LocalConsumer(self, self._groups.setdefault(group, _Group(self, group)), topics)

    async def end_offsets(self, topic: str) -> dict[Partition, int]:
        """See Bus."""
        return await self._reader.do(lambda store: store.ends(topic))

    async def read(self, work: Callable[[LocalStore], T]) -> T:
        """Run on the reading thread."""
        return await self._reader.do(work)

    async def write(self, work: Callable[[LocalStore], T]) -> T:
        """Run on the writing thread."""
        return await self._writer.do(work)

    async def close(self) -> None:
        """See Bus."""
        if self._writing is not None:
            await self._writing
        await self._reader.close()
        await self._writer.close()


def _append(records: Sequence[Outgoing], partitions: int, store: LocalStore) -> list[Place]:
    return store.append(records, partitions)


class _Group:
    """The members of one group and who has which partition."""

    def __init__(self, bus: LocalBus, name: str) -> None:
        self._bus = bus
        self._lock = asyncio.Lock()
        self.name = name
        self.members: list[LocalConsumer] = []

    async def rebalance(self) -> None:
        """Share the partitions evenly; tell the losers first, then the winners."""
        async with self._lock:
            shares: dict[LocalConsumer, set[Partition]] = {member: set() for member in self.members}
            for topic in sorted({topic for member in self.members for topic in member.topics}):
                takers = [member for member in self.members if topic in member.topics]
                for partition in await self._bus.end_offsets(topic):
                    shares[takers[partition.partition % len(takers)]].add(partition)
            committed = await self._bus.read(lambda store: store.committed(self.name))
            for member, share in shares.items():
                await member.lose(member.assigned() - share)
            for member, share in shares.items():
                await member.gain({partition: committed.get(partition, 0) for partition in share - member.assigned()})
        self._bus.announce()


class LocalConsumer:
    """A member of a group of the local log."""

    def __init__(self, bus: LocalBus, group: _Group, topics: Sequence[str]) -> None:
        self._bus = bus
        self._group = group
        self.topics = frozenset(topics)
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._first = 0

    async def start(self, on_assigned: OnPartitions, on_revoked: OnPartitions) -> None:
        """See Consumer."""
        self._on_assigned, self._on_revoked = on_assigned, on_revoked
        if self not in self._group.members:
            self._group.members.append(self)
        await self._group.rebalance()

    async def lose(self, partitions: set[Partition]) -> None:
        """The group takes these away."""
        if partitions:
            for partition in partitions:
                del self._positions[partition]
            self._paused -= partitions
            await self._on_revoked(partitions)

    async def gain(self, positions: Mapping[Partition, int]) -> None:
        """The group gives these, to be read from here on."""
        if positions:
            self._positions.update(positions)
            await self._on_assigned(set(positions))

    async def poll(self, max_records: int, timeout: float) -> dict[Partition, list[Record]]:
        """See Consumer. Partitions take turns at being first, so none starves."""
        try:
            async with asyncio.timeout(timeout if timeout > 0 else None):
                while True:
                    news = self._bus.news()
                    found = await self._read(max_records)
                    if found or timeout <= 0:
                        return found
                    await news.wait()
        except TimeoutError:
            return {}

    async def _read(self, limit: int) -> dict[Partition, list[Record]]:
        wanted = [(p, offset) for p, offset in sorted(self._positions.items()) if p not in self._paused]
        if not wanted:
            return {}
        self._first = (self._first + 1) % len(wanted)
        wanted = wanted[self._first :] + wanted[: self._first]
        found = await self._bus.read(lambda store: store.read(wanted, limit))
        asked = dict(wanted)
        kept = {
            p: records
            for p, records in found.items()
            if self._positions.get(p) == asked[p] and p not in self._paused  # not moved, lost or paused meanwhile
        }
        for partition, records in kept.items():
            self._positions[partition] = records[-1].offset + 1
        return kept

    def assigned(self) -> set[Partition]:
        """See Consumer."""
        return set(self._positions)

    async def seek(self, partition: Partition, offset: int) -> int:
        """See Consumer."""
        first = await self._bus.read(lambda store: store.first(partition))
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
        self._bus.announce()

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See Consumer."""
        await self._bus.write(lambda store: store.commit(self._group.name, offsets))

    async def stop(self) -> None:
        """See Consumer."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._positions.clear()
            await self._group.rebalance()
