"""Shares the event loop: long work on it is done in pieces of some milliseconds, and between two pieces every task that
is ready gets a turn.

A batch may hold two thousand events, and one event may concern hundreds of campaigns. Worked off in one go they would
keep the process from answering anybody meanwhile.
"""

import asyncio
import time
from collections import deque
from collections.abc import Generator, Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

MAX_PIECE = 0.01
"""Seconds of work after which others get a turn."""

_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[asyncio.Future[None]]] = WeakKeyDictionary()
"""Who waits for a next piece, by event loop."""


class LoopShare:
    """What one kind of work takes of the loop. If it awaits other things meanwhile, it gives a turn too early at
    worst.
    """

    def __init__(self) -> None:
        self._ends = 0.0

    async def give_turn_if_due(self) -> None:
        """Lets other tasks run if a piece of this work is over. To be called before each small part of it."""
        if time.monotonic() >= self._ends:
            await _wait_for_piece()
            self._ends = time.monotonic() + MAX_PIECE

    async def collect(self, items: Iterable[T]) -> list[T]:
        """The items of an iterable that makes them one by one, with turns for others in between."""
        collected: list[T] = []
        for item in items:
            collected.append(item)
            if time.monotonic() >= self._ends:
                await self.give_turn_if_due()
        return collected

    async def run(self, steps: Generator[None, None, T]) -> T:
        """The result of a computation that yields where it may be interrupted, with turns for others in between."""
        try:
            while True:
                if time.monotonic() >= self._ends:
                    await self.give_turn_if_due()
                next(steps)
        except StopIteration as end:
            result: T = end.value
            return result

    async def run_together(self, computations: Iterable[Generator[None, None, T]]) -> list[T]:
        """The results of several computations, in their order, with turns for others in between.

        They advance by turns, a step each. Where their steps are alike, each finds its code in the processor's caches:
        deciding and rendering for two thousand customers takes a fifth less time than customer by customer
        (`tests.bench.judging`). The error of one ends all.
        """
        running = dict(enumerate(computations))
        results: dict[int, T] = {}
        count = len(running)
        while running:
            for index, steps in list(running.items()):
                if time.monotonic() >= self._ends:
                    await self.give_turn_if_due()
                try:
                    next(steps)
                except StopIteration as end:
                    results[index] = end.value
                    del running[index]
        return [results[index] for index in range(count)]


async def _wait_for_piece() -> None:
    """Returns when the next piece may begin. Only one begins in each round of the loop, in order of arrival: pieces of
    several kinds of work, one after the other, would be one long piece for everybody else.
    """
    loop = asyncio.get_running_loop()
    waiting = _waiting.setdefault(loop, deque())
    piece = loop.create_future()
    waiting.append(piece)
    if len(waiting) == 1:
        loop.call_soon(_begin_next, loop, waiting)
    await piece


def _begin_next(loop: asyncio.AbstractEventLoop, waiting: deque[asyncio.Future[None]]) -> None:
    piece = waiting.popleft()
    while piece.done() and waiting:  # whoever waited for it was cancelled
        piece = waiting.popleft()
    if not piece.done():
        piece.set_result(None)
    if waiting:
        loop.call_soon(_begin_next, loop, waiting)
