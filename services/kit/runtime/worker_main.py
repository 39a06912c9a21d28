"""A worker process: see `worker_process.py`. Started by it, with its limits as arguments: bytes of memory, and seconds
of a call.

For each call it reads a function with its arguments, says that it is ready, and writes the value or the exception. It
ends when its parent closes the pipe, or ends; in the midst of a call by its own alarm, a second after the parent has
given it up.
"""

import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from services.kit.runtime.worker_process import LENGTH, MEMORY_EXIT_CODE

NICENESS = 5
"""Decisions and requests come first where processors are few."""


def main() -> None:
    """Serves calls until there are no more."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed by accident is no answer
    limited = False
    while request := _read(requests):
        function, args, named = pickle.loads(request)  # noqa: S301 - written by our own code; imports what it needs
        if not limited:
            limited = True
            _limit_memory(memory)
        _write(answers, b"")
        signal.setitimer(signal.ITIMER_REAL, seconds + 1)
        try:
            answer = _run(lambda: function(*args, **named))  # noqa: B023 - called at once
        except MemoryError:
            os._exit(MEMORY_EXIT_CODE)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(answers, answer)


def _run(work: Callable[[], object]) -> bytes:
    try:
        return pickle.dumps(work())
    except MemoryError:
        raise
    except Exception as error:
        return pickle.dumps(error)


def _limit_memory(memory: int) -> None:
    """Allows this many bytes of address space beside what is taken now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _read(pipe: IO[bytes]) -> bytes:
    head = pipe.read(LENGTH.size)
    return pipe.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def _write(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(LENGTH.pack(len(content)) + content)
    pipe.flush()


if __name__ == "__main__":
    main()
