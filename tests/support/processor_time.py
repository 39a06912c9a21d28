"""How long something keeps the processor, for limits that tests hold it to.

Limits are for a machine of ordinary speed. Another one, or another hour of the same one, may be half as fast: times
are divided by how much slower it is.
"""

import time
from collections.abc import Callable
from contextlib import suppress

TRIES = 5
"""The shortest counts: what other processes of a busy machine, or the first use, add is not what is measured."""
ORDINARY_OBJECT = 130e-9
"""Seconds to make a small dictionary and to read it. A machine that shares its memory with others is slow at that."""
OBJECTS = 50_000


def processor_seconds(function: Callable[[], object], *expected: type[Exception]) -> float:
    """The seconds of this thread's processor time that a call takes, on a machine of ordinary speed; it may end with an
    expected error.
    """
    shortest = float("inf")
    for _ in range(TRIES):
        began = time.thread_time()
        with suppress(*expected):
            function()
        shortest = min(shortest, time.thread_time() - began)
    return shortest / slowness()


def slowness() -> float:
    """How many times slower than an ordinary machine this one is now; at least 1."""
    fastest, total = float("inf"), 0
    for _ in range(TRIES):
        began = time.thread_time()
        for row in [{"n": number} for number in range(OBJECTS)]:
            total += row["n"]
        fastest = min(fastest, (time.thread_time() - began) / OBJECTS)
    return max(1.0, fastest / ORDINARY_OBJECT)
