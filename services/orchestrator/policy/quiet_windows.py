"""Quiet windows: hours of silence on the wall clocks of one or several zones."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.times import DAY, MINUTE, Instant
from schemas.vocabulary import DAYS
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.time_zones import Zone

_SEARCH_LIMIT = 32 * DAY


def split_wall_time(wall: int) -> tuple[int, int]:
    """The weekday of a wall time (Monday is 0), and the microseconds since its midnight."""
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
        """From names of days and minutes of the day."""
        return QuietWindow(id, frozenset(DAYS.index(day) for day in days), start * MINUTE, end * MINUTE, scope)

    def contains(self, weekday: int, clock: int) -> bool:
        """Whether it is silent on a day (Monday is 0) at a time, in microseconds after local midnight."""
        if self.start < self.end:
            return self.start <= clock < self.end and weekday in self.days
        return (clock >= self.start and weekday in self.days) or (clock < self.end and (weekday - 1) % 7 in self.days)

    def window_end(self, wall: int) -> int | None:
        """The wall time at which the window that holds `wall` ends; None when it lies in none."""
        weekday, clock = split_wall_time(wall)
        if not self.contains(weekday, clock):
            return None
        return wall - clock + self.end if clock < self.end else wall - clock + DAY + self.end

    def first_instant_outside(self, zones: Iterable[Zone], t: Instant) -> Instant:
        """The first instant from `t` on at which every zone is outside the window.

        Where zones leave no such instant, one far enough ahead (32 days) to expire what waits for it.
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
