"""Local time: converts between instants and wall-clock time, exactly over skipped and repeated hours.

A wall time is an integer like an instant: microseconds since 1970-01-01T00:00 on the local clock. Zone rules come from
the pinned `tzdata` package (`schemas/zones.py`), so every machine decides alike.
"""

from datetime import date, datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from schemas.times import DAY, HOUR, SECOND, Instant
from schemas.zones import find_zone_info, zone_names_by_country

_SLOT = 6 * HOUR
_EARLIEST = -62_135_510_400  # seconds; a day within the years 1 to 9999, whatever the offset
_LATEST = 253_402_214_400
_ORDINAL_1970 = date(1970, 1, 1).toordinal()
_MAX_SLOTS = 8192


class Zone:
    """A zone of the tz database. Offsets are cached per slot of six hours, in which clocks change at most once."""

    __slots__ = ("_info", "_slots", "name")

    def __init__(self, name: str, info: ZoneInfo) -> None:
        self.name = name
        self._info = info
        self._slots: dict[int, tuple[Instant | None, int, int]] = {}

    def offset(self, t: Instant) -> int:
        """Returns the microseconds by which the wall clock is ahead of UTC at `t`."""
        return self.wall_time(t) - t

    def wall_time(self, t: Instant) -> int:
        """Returns the wall time at `t`."""
        change, before, after = self._slots.get(t // _SLOT) or self._load_slot(t // _SLOT)
        return t + (before if change is None or t < change else after)

    def local_day(self, t: Instant) -> int:
        """Returns the local date at `t` as days since 1970-01-01."""
        return self.wall_time(t) // DAY

    def next_clock_change(self, after: Instant, until: Instant) -> Instant | None:
        """Returns the first instant in (`after`, `until`] at which the clocks change, or None."""
        for slot in range(after // _SLOT, until // _SLOT + 1):
            change = (self._slots.get(slot) or self._load_slot(slot))[0]
            if change is not None and after < change <= until:
                return change
        return None

    def first_at_wall_time(self, t: Instant, wall: int) -> Instant:
        """Returns the first instant from `t` on at which the wall clock shows `wall` or later."""
        t = max(t, wall - DAY)
        while (reading := self.wall_time(t)) < wall:
            ahead = t + wall - reading
            t = self.next_clock_change(t, ahead) or ahead
        return t

    def _load_slot(self, slot: int) -> tuple[Instant | None, int, int]:
        low, high = slot * _SLOT // SECOND, (slot + 1) * _SLOT // SECOND
        before, after = self._offset(low), self._offset(high)
        change = None
        if before != after:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self._offset(middle) == before else (low, middle)
            change = high * SECOND
        if len(self._slots) >= _MAX_SLOTS:
            self._slots.clear()
        self._slots[slot] = found = (change, before, after)
        return found

    def _offset(self, seconds: int) -> int:
        moment = datetime.fromtimestamp(min(max(seconds, _EARLIEST), _LATEST), self._info)
        offset = moment.utcoffset()
        assert offset is not None
        return (offset.days * 86_400 + offset.seconds) * SECOND


@lru_cache(maxsize=1024)
def load_zone(name: str | None) -> Zone | None:
    """Returns the zone with this name, or None if the tz database has none."""
    info = None if name is None else find_zone_info(name)
    return None if name is None or info is None else Zone(name, info)


@cache
def country_zones(country: str | None) -> tuple[Zone, ...]:
    """Returns the zones of a country (ISO 3166 code) by `zone.tab`; empty for an unknown country."""
    names = zone_names_by_country().get(country or "", ())
    return tuple(zone for zone in map(load_zone, names) if zone is not None)


LONGEST_PERIOD = {"day": 3 * DAY, "week": 9 * DAY, "month": 33 * DAY}
"""Upper bounds of the length of calendar periods, whatever the zone's clocks do."""


@lru_cache(maxsize=8192)
def calendar_period(day: int, unit: str, week_start: int) -> tuple[int, int]:
    """Returns the first day of the `day`, `week` or `month` that contains a local date, and the first day of the next.

    Days are days since 1970-01-01; `week_start` is 0 for Monday.
    """
    if unit == "day":
        return day, day + 1
    if unit == "week":
        first = day - (day + 3 - week_start) % 7
        return first, first + 7
    local_date = date.fromordinal(day + _ORDINAL_1970)
    first = day - local_date.day + 1
    later = date.fromordinal(first + 31 + _ORDINAL_1970)
    return first, first + 31 - later.day + 1
