"""Instants of the model: whole microseconds since 1970, and what the clocks on the wall show at them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def duration(text: str) -> int:
    """Microseconds of `30d` and the like."""
    return int(text[:-1]) * UNITS[text[-1]]


def instant(text: str) -> int:
    """The instant of an RFC 3339 text."""
    return from_moment(datetime.fromisoformat(text))


def optional_instant(text: str | None) -> int | None:
    """The instant, or None for none."""
    return None if text is None else instant(text)


def written(at: int | None) -> str | None:
    """The instant in UTC with `Z`, with microseconds only when they are not zero."""
    if at is None:
        return None
    moment = EPOCH + timedelta(microseconds=at)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def from_moment(moment: datetime) -> int:
    """The instant of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def local(at: int, zone: str) -> datetime:
    """What the clocks of the zone show, without the zone."""
    return (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def minutes_of(text: str) -> int:
    """Minutes since midnight of `21:00`."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def instants_of(day: date, minute: int, zone: str) -> list[int]:
    """The instants, two of them in a repeated hour, at which a clock may show this minute of the day."""
    wall = datetime.combine(day, time(minute // 60, minute % 60), ZoneInfo(zone))
    return [from_moment(wall.replace(fold=fold).astimezone(UTC)) for fold in (0, 1)]


@cache
def clock_changes(zone: str, year: int) -> tuple[int, ...]:
    """The instants of the year, to the minute, from which on the zone's clocks differ otherwise from UTC."""
    start, end = (from_moment(datetime(each, 1, 1, tzinfo=UTC)) for each in (year, year + 1))
    hours = [each for each in range(start, end, HOUR) if offset(each, zone) != offset(each - HOUR, zone)]
    return tuple(
        next(at for at in range(hour - HOUR, hour + 1, MINUTE) if offset(at, zone) == offset(hour, zone))
        for hour in hours
    )


def offset(at: int, zone: str) -> timedelta | None:
    """How far the zone's clocks are ahead of UTC."""
    return (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).utcoffset()


def changes_between(start: int, end: int, zone: str) -> list[int]:
    """The clock changes of the zone in a span."""
    years = range(local(start, "UTC").year, local(end, "UTC").year + 1)
    return [at for year in years for at in clock_changes(zone, year) if start <= at <= end]


def first_instant(day: date, zone: str) -> int | None:
    """The first instant with this local date; None for a date that the zone left out."""
    near = instants_of(day, 0, zone)
    candidates = near + changes_between(min(near) - 2 * DAY, max(near) + 2 * DAY, zone)
    return min((at for at in candidates if local(at, zone).date() == day), default=None)


def days_after(day: date, count: int) -> Iterator[date]:
    """The `count` dates after this one."""
    return (day + timedelta(days=each) for each in range(1, count + 1))


@cache
def zones_of_country(country: str) -> tuple[str, ...]:
    """The zones of a country by `zone.tab`; none for one that it does not know."""
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")]
    return tuple(row[2] for row in rows if row[0] == country)
