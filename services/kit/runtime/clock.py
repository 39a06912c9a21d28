"""Decision time. Every instant inside the product is an int: microseconds since 1970 UTC."""

from __future__ import annotations

import time
from typing import Protocol, TypeAlias

Instant: TypeAlias = int


class Clock(Protocol):
    """Says what time it is, in microseconds since 1970 UTC."""

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
        """The instant last set, in microseconds since 1970 UTC."""
        return self._at

    def set(self, at: Instant) -> None:
        """Move to `at`. ValueError if that lies in the past of this clock."""
        if at < self._at:
            raise ValueError(f"a clock never goes back: it is {self._at}, asked for {at}")
        self._at = at

    def advance(self, span: int) -> None:
        """Move ahead by `span` microseconds. ValueError if negative."""
        self.set(self._at + span)
