"""Clocks. Every instant inside the product is an integer: microseconds since 1970 UTC."""

from __future__ import annotations

import time
from typing import Protocol, TypeAlias

Instant: TypeAlias = int


class Clock(Protocol):
    """Returns the current time, in microseconds since 1970 UTC."""

    def now(self) -> Instant: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000


class ManualClock:
    """A clock that moves only when told to, for tests and simulations."""

    def __init__(self, at: Instant) -> None:
        self._at = at

    def now(self) -> Instant:
        """Returns the instant last set, in microseconds since 1970 UTC."""
        return self._at

    def set(self, at: Instant) -> None:
        """Moves to `at`. Raises ValueError if that is before the clock's current time."""
        if at < self._at:
            raise ValueError(f"a clock never goes back: it is {self._at}, asked for {at}")
        self._at = at

    def advance(self, span: int) -> None:
        """Moves ahead by `span` microseconds. Raises ValueError if negative."""
        self.set(self._at + span)
