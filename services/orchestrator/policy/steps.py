"""A computation in steps: a generator that yields where it may be interrupted, and returns its result.

Evaluating one customer may take as many campaigns, conditions and messages as their events want. A consumer runs it
with turns for others in between (services.kit.runtime.loop_share), a simulation to its end at once.
"""

from collections.abc import Generator
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]


def finish(steps: Steps[T]) -> T:
    """Returns the result of a computation, run to its end without a pause."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
