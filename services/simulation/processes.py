"""Processes for a simulation: they work side by side, tell how much they have read, and their lines are merged."""

import heapq
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.sharedctypes import Synchronized
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from schemas.times import Instant

T = TypeVar("T")
Progress = Callable[[int], None]
EVENTS_WORTH_PROCESSES = 8 * 1024 * 1024
"""Bytes of events from which on several processes are faster than one: each takes a second to start."""
MAX_PROCESSES = 16
LOOK_EVERY = 0.2
"""Seconds between two looks at the progress."""


def useful_processes(events: Path) -> int:
    """How many processes to spread a simulation of this file over: one for each core, for a large file."""
    if not events.is_file() or events.stat().st_size < EVENTS_WORTH_PROCESSES:
        return 1
    return min(len(os.sched_getaffinity(0)), MAX_PROCESSES)


def run_in_processes(
    function: Callable[..., T], calls: Sequence[tuple[Any, ...]], on_progress: Progress | None = None
) -> list[T]:
    """The results of the function for each of the calls, all at once in processes of their own.

    The function is given as its last argument what to call with the bytes that it has read; they add up to what one
    process would read. Raises what the first call that fails raises; the others are ended.
    """
    context = multiprocessing.get_context("spawn")
    total: Synchronized[int] = context.Value("q", 0)
    with context.Pool(len(calls), _start, (total,)) as pool:
        results = [pool.apply_async(_call, (function, arguments)) for arguments in calls]
        told = 0
        while not all(each.ready() for each in results):
            for each in results:
                if each.ready():
                    each.get()  # raises, if it has failed
            next(each for each in results if not each.ready()).wait(LOOK_EVERY)
            read = total.value // len(calls)
            if on_progress is not None:
                on_progress(read - told)
            told = read
        return [each.get() for each in results]


_total: "Synchronized[int]"


def _start(total: "Synchronized[int]") -> None:
    global _total  # shared memory reaches a process only when it starts
    _total = total
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    return function(*arguments, _add_read)


def _add_read(amount: int) -> None:
    with _total.get_lock():
        _total.value += amount


def sorted_line(time: Instant, message_id: str, line: bytes) -> bytes:
    """A line with what it is sorted by, for `merge_lines`."""
    return b"%020d %s %s" % (time, message_id.encode(), line)


def merge_lines(files: Sequence[Path]) -> Iterator[bytes]:
    """The lines of sorted files by time and message id, without what they are sorted by."""
    return map(itemgetter(2), heapq.merge(*map(_split_lines, files), key=itemgetter(0, 1)))


def _split_lines(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        for line in file:
            yield line.split(b" ", 2)
