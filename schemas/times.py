"""Instants and spans as whole microseconds, so that no rule ever rounds.

An instant is an `int`: microseconds since 1970-01-01T00:00:00Z. A span is an `int` of microseconds. Outside of the
process they are RFC 3339 texts and durations such as `30d`; these functions convert.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

Instant = int

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_USUAL_MINUTE = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:", re.ASCII)
"""Nearly all texts are this and `SSZ`. Those of one minute tend to come together, so it is parsed once for them."""
_USUAL_SECONDS = {f"{second:02}Z": second * SECOND for second in range(60)}
MAX_INSTANT = 253_402_300_800 * SECOND - 1  # the last microsecond of the year 9999
MAX_SPAN = 100 * 366 * DAY


def parse_instant(text: str) -> Instant:
    """Parse an RFC 3339 text with a zone. Digits beyond microseconds are truncated.

    Raises ValueError if the text has another form, no zone, or is outside the years 1 to 9999.
    """
    if (seconds := _USUAL_SECONDS.get(text[17:])) is not None and (begun := _usual_minute(text[:17])) is not None:
        return begun + seconds
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with a zone, such as 2026-03-01T09:00:00Z")
    day, hour, minute, second, fraction, sign, *offset = match.groups()
    if second == "60":
        raise ValueError("leap seconds are not supported")
    if hour > "23" or minute > "59" or second > "59":
        raise ValueError("not a time of the day")
    instant = _midnight(day) + (int(hour) * 3600 + int(minute) * 60 + int(second)) * SECOND
    if fraction is not None:
        instant += int(fraction.ljust(6, "0")[:6])
    if sign is not None:
        hours, minutes = map(int, offset)
        if hours > 23 or minutes > 59:
            raise ValueError("the zone's offset is out of range")
        utc_offset = (hours * 60 + minutes) * MINUTE
        instant += -utc_offset if sign == "+" else utc_offset
    if not -62_135_596_800 * SECOND <= instant <= MAX_INSTANT:
        raise ValueError("outside the years 1 to 9999")
    return instant


@lru_cache(4096)
def _usual_minute(text: str) -> Instant | None:
    """When a minute in the usual form begins; None for another form. Raises ValueError for a day that there is not."""
    if _USUAL_MINUTE.fullmatch(text) is None:
        return None
    return _midnight(text[:10]) + int(text[11:13]) * HOUR + int(text[14:16]) * MINUTE


@lru_cache(4096)
def format_instant(instant: Instant) -> str:
    """RFC 3339 in UTC with `Z`; microseconds only when they are not zero."""
    return to_datetime(instant).isoformat().removesuffix("+00:00") + "Z"


@lru_cache(4096)
def _midnight(day: str) -> Instant:
    return (date.fromisoformat(day).toordinal() - _EPOCH.toordinal()) * DAY


def parse_duration(text: str) -> int:
    """Microseconds of a whole number above 0 and one of `s m h d w`; a day is 86,400 s. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match.group(1)) == 0:
        raise ValueError("not a duration: a whole number above 0 and one of s, m, h, d, w, such as 30d")
    span = int(match.group(1)) * _UNITS[match.group(2)]
    if span > MAX_SPAN:
        raise ValueError("longer than 100 years")
    return span


def format_duration(span: int) -> str:
    """The shortest text that `parse_duration` reads back to the same span (whole seconds, above 0)."""
    for unit in "wdhms":
        if span % _UNITS[unit] == 0 and (unit != "w" or span % (4 * WEEK) == 0):
            return f"{span // _UNITS[unit]}{unit}"
    raise ValueError("not a whole number of seconds")


def to_datetime(instant: Instant) -> datetime:
    """The same instant as an aware `datetime` in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Microseconds since 1970 of an aware `datetime`; raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is not an instant")
    return (moment - _EPOCH) // _MICROSECOND


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def describe_instant(instant: Instant) -> str:
    """`3 May 2026, 14:00 UTC`; seconds only when they are not zero."""
    moment = to_datetime(instant)
    clock = f"{moment:%H:%M:%S}" if moment.second or moment.microsecond else f"{moment:%H:%M}"
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {clock} UTC"


def describe_duration(span: int) -> str:
    """`30 days`, `2 hours`, `1 minute`: a span in the largest unit that divides it; below a second in seconds."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        if span % unit == 0 and span >= unit:
            count = span // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{span / SECOND:g} seconds"
