"""How much there is of a value, for budgets of work."""

from collections.abc import Iterable, Mapping
from typing import Any


def extent(value: Any, limit: int) -> int:
    """The work of looking at all of a value: elements at all levels, and one per 256 characters of each text.

    Counts no further than just over `limit`, so that finding out costs no more than what may be spent.
    """
    if isinstance(value, str):
        return len(value) >> 8
    children: Iterable[Any]
    if isinstance(value, list | tuple):
        children = value
    elif isinstance(value, Mapping):
        children = value.values()
    else:
        return 0
    total = len(value)
    for child in children:
        if total > limit:
            break
        total += extent(child, limit - total)
    return total
