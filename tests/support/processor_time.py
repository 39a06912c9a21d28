"""How long something keeps the processor, for limits that tests hold it to."""

import time
from collections.abc import Callable
from contextlib import suppress

TRIES = 5
"""The shortest counts: what other processes of a busy machine, or the first use, add is not what is measured."""


def processor_seconds(function: Callable[[], object], *expected: type[Exception]) -> float:
    """The seconds of this thread's processor time that a call takes; it may end with an expected error."""
    shortest = float("inf")
    for _ in range(TRIES):
        began = time.thread_time()
        with suppress(*expected):
            function()
        shortest = min(shortest, time.thread_time() - began)
    return shortest
