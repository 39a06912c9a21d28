"""How long something keeps the processor, for limits that tests hold it to.

Limits are said for a machine of ordinary speed. Another one, or another hour of the same one, may be half as fast: times
are divided by how much slower it is.
"""

import time
from collections.abc import Callable
from contextlib import suppress

TRIES = 5
"""The shortest counts: what other processes of a busy machine, or the first use, add is not what is measured."""
ORDINARY_SPEED = 50e-9
"""Seconds for a round of a loop in Python that adds numbers."""
ROUNDS = 100_000


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
        for number in range(ROUNDS):
            total += number
        fastest = min(fastest, (time.thread_time() - began) / ROUNDS)
    return max(1.0, fastest / ORDINARY_SPEED)
