"""What is measured of a contender: the same steps for ours and for the reference."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.bench import accounting, load
from tests.bench.ground import Ground, settle

LOOK_EVERY = 0.5
"""Seconds between two looks at what is done. They belong to what is measured, so they are cheap while work is left."""
STUCK = 600.0
"""Seconds after which a measurement is given up."""


class Contender(Protocol):
    """Reads events of a topic, decides, sends. Its processes run."""

    name: str
    topic: str
    groups: dict[str, int]
    readers: int
    """How many groups read the topic, each for itself."""
    group: str
    """The group of those that decide."""

    @property
    def deciders(self) -> int:
        """How many processes are in that group."""

    async def handed_over(self, wanted: int = 0) -> int:
        """How many messages were handed over so far, durably noted. With `wanted`: a quick guess, so many when done."""

    async def finished(self) -> float:
        """When the last message was handed over, in seconds since 1970."""

    async def latencies(self, after: int) -> list[float]:
        """Milliseconds from an event's time to its handover, of events from an instant (microseconds) on."""

    async def read_up_to(self) -> int:
        """How many records all readers together have read."""

    async def bytes(self) -> int:
        """What all databases take on the disk."""

    async def analyse(self) -> None:
        """Take statistics, as autovacuum does a minute after tables have begun to fill."""

    def pids(self) -> list[int]:
        """The contender's own processes."""


@dataclass
class Figures:
    """What one measurement gave. Times in seconds, processor time in microseconds per event."""

    events: int
    seconds: float
    cpu: dict[str, float]
    load: float
    memory: int = 0
    bytes: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    turns: Sequence[Figures] = ()
    """What it was put together from."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def total_cpu(self) -> float:
        """Of all processes together."""
        return sum(self.cpu.values())

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the messages was handed over."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def together(turns: Sequence[Figures]) -> Figures:
    """Several turns of one measurement as one."""
    events = sum(turn.events for turn in turns)
    return Figures(
        events,
        sum(turn.seconds for turn in turns),
        {name: sum(turn.cpu[name] * turn.events for turn in turns) / events for name in turns[0].cpu},
        max(turn.load for turn in turns),
        max(turn.memory for turn in turns),
        sum(turn.bytes * turn.events for turn in turns) / events,
        turns=turns,
    )


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """These processes stand still meanwhile."""
    held = list(pids)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


class Events:
    """Makes events, no two of them alike."""

    def __init__(self, ground: Ground, customers: int) -> None:
        self._ground, self._customers, self._next = ground, customers, 0

    async def send(self, topic: str, count: int, kind: str | None = None) -> None:
        """Append the next ones to a topic."""
        first, self._next = self._next, self._next + count
        records = list(load.events(first, count, self._customers, now(), kind))
        await self._ground.publish(topic, records)


async def warmed_up(ground: Ground, contender: Contender, events: Events, count: int) -> None:
    """Every process has done its first work, and tables have fresh statistics."""
    await ground.shared(contender.group, contender.deciders)
    await events.send(contender.topic, count)
    await until(contender, count)
    await contender.analyse()
    await settle()


async def until(contender: Contender, count: int) -> None:
    """Wait until so many messages have been handed over in all. TimeoutError when they stop coming."""
    deadline, seen = time.monotonic() + STUCK, -1
    while (done := await contender.handed_over(count)) < count:
        if done != seen:
            seen, deadline = done, max(deadline, time.monotonic() + 60)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{contender.name}: {done} of {count} messages were handed over")
        await asyncio.sleep(LOOK_EVERY)


async def backlog(contender: Contender, events: Events, count: int) -> Figures:
    """Lay events ready while the contender stands still, let it go, and wait for the last message."""
    start = await contender.handed_over()
    size = await contender.bytes()
    with frozen(contender.pids()):
        await events.send(contender.topic, count)
        before, began = accounting.cpu(contender.groups), time.time()
    await until(contender, start + count)
    cpu = accounting.spent(before, accounting.cpu(contender.groups))
    ended = await contender.finished()
    await settle()
    if await contender.handed_over() != start + count:
        raise RuntimeError(f"{contender.name}: not every message was handed over once")
    return Figures(
        count,
        ended - began,
        {name: spent / count for name, spent in cpu.items()},
        accounting.load_average(),
        sum(map(accounting.peak_memory, contender.pids())),
        (await contender.bytes() - size) / count,
    )


async def paced(contender: Contender, events: Events, rate: float, seconds: float) -> Figures:
    """Send events at a steady rate and look how long each takes to its handover."""
    start, sent, began = await contender.handed_over(), 0, time.monotonic()
    first, before = now(), accounting.cpu(contender.groups)
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - sent
        if due > 0:
            await events.send(contender.topic, due)
            sent += due
        await asyncio.sleep(0.005)
    await until(contender, start + sent)
    cpu = accounting.spent(before, accounting.cpu(contender.groups))
    return Figures(
        sent,
        time.monotonic() - began,
        {name: spent / sent for name, spent in cpu.items()},
        accounting.load_average(),
        milliseconds=await contender.latencies(first),
    )


async def unwanted(contender: Contender, events: Events, count: int) -> Figures:
    """Events of a type that no campaign names."""
    start = await contender.read_up_to()
    with frozen(contender.pids()):
        await events.send(contender.topic, count, load.UNWANTED)
        before, began = accounting.cpu(contender.groups), time.monotonic()
    while await contender.read_up_to() < start + contender.readers * count:
        await asyncio.sleep(0.2)
    seconds = time.monotonic() - began
    cpu = accounting.spent(before, accounting.cpu(contender.groups))
    return Figures(count, seconds, {name: spent / count for name, spent in cpu.items()}, accounting.load_average())
