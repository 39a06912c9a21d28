"""Quiet hours as arithmetic: whether an instant is inside a window, and the next instant outside, in several zones."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.times import DAY, MINUTE, Instant
from schemas.vocabulary import DAYS
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.time_zones import Zone

_SEARCH_LIMIT = 32 * DAY


def split_wall_time(wall: int) -> tuple[int, int]:
    """Splits a wall time into weekday (Monday is 0) and microseconds since midnight."""
    day, clock = divmod(wall, DAY)
    return (day + 3) % 7, clock


@dataclass(frozen=True, slots=True)
class QuietWindow:
    """From `start` (inclusive) to `end` (exclusive), microseconds after local midnight, on days (Monday is 0).

    A window that crosses midnight belongs to the day it starts on.
    """

    id: str
    days: frozenset[int]
    start: int
    end: int
    scope: CompiledScope

    @staticmethod
    def from_minutes(id: str, days: Iterable[str], start: int, end: int, scope: CompiledScope) -> "QuietWindow":
        """Builds a window from names of days and minutes of the day."""
        return QuietWindow(id, frozenset(DAYS.index(day) for day in days), start * MINUTE, end * MINUTE, scope)

    def contains(self, weekday: int, clock: int) -> bool:
        """Whether a weekday (Monday is 0) and time (microseconds after local midnight) are inside the window."""
        if self.start < self.end:
            return self.start <= clock < self.end and weekday in self.days
        return (clock >= self.start and weekday in self.days) or (clock < self.end and (weekday - 1) % 7 in self.days)

    def window_end(self, wall: int) -> int | None:
        """Returns the wall time at which the window containing `wall` ends; None outside any window."""
        weekday, clock = split_wall_time(wall)
        if not self.contains(weekday, clock):
            return None
        return wall - clock + self.end if clock < self.end else wall - clock + DAY + self.end

    def first_instant_outside(self, zones: Iterable[Zone], t: Instant) -> Instant:
        """Returns the first instant from `t` on at which every zone is outside the window.

        If the zones never agree, returns an instant 32 days ahead, by which a waiting message has expired.
        """
        zones, limit = tuple(zones), t + _SEARCH_LIMIT
        moved = True
        while moved and t < limit:
            moved = False
            for zone in zones:
                later = self._first_instant_outside_in(zone, t)
                moved, t = moved or later > t, later
        return t

    def _first_instant_outside_in(self, zone: Zone, t: Instant) -> Instant:
        while (end := self.window_end(reading := zone.wall_time(t))) is not None:
            ahead = t + end - reading
            t = zone.next_clock_change(t, ahead) or ahead
        return t
