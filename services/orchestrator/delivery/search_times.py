"""When a provider is asked about a message of which nobody knows whether it has it. Pure."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from schemas.adapter_registry import ProviderSearch

FIRST_SEARCH: Final = 60.0
"""Seconds after the end of an attempt; the next ones double from there, so that an outage costs few questions."""
SHOWN_SURELY: Final = 0.9
"""Which part of the time for which a provider shows a message is relied on: its clock is not ours."""


def next_search(search: ProviderSearch, age: float) -> float | None:
    """The first time to ask that is later than `age`, in seconds after the end of the attempt; None if there is none.

    Among these times is the first at which an absence proves something.
    """
    return next((each for each in _times(search) if each > age), None)


def proves_absence(search: ProviderSearch, age: float) -> bool:
    """Whether what a search of this age does not show has certainly not arrived."""
    return search.absent_after is not None and search.absent_after <= age <= search.shown_for * SHOWN_SURELY


def _times(search: ProviderSearch) -> Iterator[float]:
    end = search.shown_for * SHOWN_SURELY
    doubling = takewhile(lambda each: each <= end, (FIRST_SEARCH * 2.0**power for power in range(32)))
    proof = [search.absent_after] if search.absent_after is not None and search.absent_after <= end else []
    return iter(sorted({*doubling, *proof}))
