"""Sources of events that a key is bound to: which CloudEvents sources a program may speak for."""

from collections.abc import Iterable
from typing import Final

MAX_SOURCES: Final = 50
"""Sources of one key."""


def covers(bound: Iterable[str], source: str) -> bool:
    """Whether one of the bound sources is this one or above it: `/shop` covers `/shop/orders`, and not `/shopping`."""
    return any(source == each or source.startswith(each.rstrip("/") + "/") for each in bound)
