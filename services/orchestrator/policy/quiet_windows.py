"""Quiet windows: hours of silence on the wall clocks of one or several zones."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.times import DAY, MINUTE, Instant
from schemas.vocabulary import DAYS
from services.orchestrator.policy.scope import Scope
from services.orchestrator.policy.time_zones import Zone

_FAR = 32 * DAY


def reading(wall: int) -> tuple[int, int]:
    """The weekday of a wall time (Monday is 0), and the microseconds since its midnight."""
    day, clock = divmod(wall, DAY)
    return (day + 3) % 7, clock


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `start` (inclusive) to `end` (exclusive), microseconds after local midnight, on days (Monday is 0).

    A window that crosses midnight belongs to the day it starts on.
    """

    id: str
    days: frozenset[int]
    start: int
    end: int
    scope: Scope

    @staticmethod
    def of(id: str, days: Iterable[str], start: int, end: int, scope: Scope) -> "Quiet":
        """From names of days and minutes of the day."""
        return Quiet(id, frozenset(DAYS.index(day) for day in days), start * MINUTE, end * MINUTE, scope)

    def holds(self, weekday: int, clock: int) -> bool:
        """Whether it is silent on a day (Monday is 0) at a time, in microseconds after local midnight."""
        if self.start < self.end:
            return self.start <= clock < self.end and weekday in self.days
        return (clock >= self.start and weekday in self.days) or (clock < self.end and (weekday - 1) % 7 in self.days)

    def ends(self, wall: int) -> int | None:
        """The wall time at which the window that holds `wall` ends; None when it lies in none."""
        weekday, clock = reading(wall)
        if not self.holds(weekday, clock):
            return None
        return wall - clock + self.end if clock < self.end else wall - clock + DAY + self.end

    def over(self, zones: Iterable[Zone], t: Instant) -> Instant:
        """The first instant from `t` on at which every zone is outside the window.

        Where zones leave no such instant, one far enough ahead (32 days) to expire what waits for it.
        """
        zones, limit = tuple(zones), t + _FAR
        moved = True
        while moved and t < limit:
            moved = False
            for zone in zones:
                later = self._over_in(zone, t)
                moved, t = moved or later > t, later
        return t

    def _over_in(self, zone: Zone, t: Instant) -> Instant:
        while (end := self.ends(reading := zone.wall(t))) is not None:
            ahead = t + end - reading
            t = zone.change(t, ahead) or ahead
        return t
