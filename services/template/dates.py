"""The filter `date`: strftime directives with English names, the same on every host.

The standard library's `strftime` is the C library's: `%s` follows the host's `TZ`, names of days and months its
locale, and what a letter means at all depends on the platform. So the directives are spelt out here.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from services.template.value_text import value_text

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIVE: Final = re.compile(r"%([-_0^#]?)([a-zA-Z%])")
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
#: Letter -> value, number of digits, and what fills them up.
_NUMBERS: Final[dict[str, tuple[Callable[[datetime], int], int, str]]] = {
    "C": (lambda t: t.year // 100, 2, "0"),
    "d": (lambda t: t.day, 2, "0"),
    "e": (lambda t: t.day, 2, " "),
    "f": (lambda t: t.microsecond, 6, "0"),
    "G": (lambda t: t.isocalendar().year, 4, "0"),
    "g": (lambda t: t.isocalendar().year % 100, 2, "0"),
    "H": (lambda t: t.hour, 2, "0"),
    "I": (lambda t: (t.hour + 11) % 12 + 1, 2, "0"),
    "j": (lambda t: t.timetuple().tm_yday, 3, "0"),
    "k": (lambda t: t.hour, 2, " "),
    "l": (lambda t: (t.hour + 11) % 12 + 1, 2, " "),
    "L": (lambda t: t.microsecond // 1000, 3, "0"),
    "M": (lambda t: t.minute, 2, "0"),
    "m": (lambda t: t.month, 2, "0"),
    "N": (lambda t: t.microsecond * 1000, 9, "0"),
    "S": (lambda t: t.second, 2, "0"),
    "s": (lambda t: (t - _EPOCH) // timedelta(seconds=1), 1, "0"),
    "U": (lambda t: (t.timetuple().tm_yday + 6 - t.isoweekday() % 7) // 7, 2, "0"),
    "u": (lambda t: t.isoweekday(), 1, "0"),
    "V": (lambda t: t.isocalendar().week, 2, "0"),
    "W": (lambda t: (t.timetuple().tm_yday + 6 - t.weekday()) // 7, 2, "0"),
    "w": (lambda t: t.isoweekday() % 7, 1, "0"),
    "Y": (lambda t: t.year, 4, "0"),
    "y": (lambda t: t.year % 100, 2, "0"),
}
_TEXTS: Final[dict[str, Callable[[datetime], str]]] = {
    "A": lambda t: _DAYS[t.weekday()],
    "a": lambda t: _DAYS[t.weekday()][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "h": lambda t: _MONTHS[t.month - 1][:3],
    "n": lambda _: "\n",
    "P": lambda t: "am" if t.hour < 12 else "pm",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "t": lambda _: "\t",
    "Z": lambda t: t.tzname() or "",
    "z": lambda t: _describe_offset(t.utcoffset() or timedelta()),
    "%": lambda _: "%",
}
_SHORTHANDS: Final = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "v": "%e-%b-%Y",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
}


def format_date(value: object, pattern: object = "%Y-%m-%d") -> str:
    """Formats a time (RFC 3339 text, or seconds since 1970) by strftime directives, in UTC unless the text names a
    zone. Letters that are no directive stay as they are written.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a time")
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    else:
        moment = _EPOCH + timedelta(seconds=value)
    return _format(moment, pattern if isinstance(pattern, str) else value_text(pattern))


def _format(moment: datetime, pattern: str) -> str:
    return _DIRECTIVE.sub(lambda found: _replace(moment, found), pattern)


def _replace(moment: datetime, found: re.Match[str]) -> str:
    flag, letter = found.groups()
    if letter in _NUMBERS:
        read, width, fill = _NUMBERS[letter]
        fill = {"-": "", "_": " ", "0": "0"}.get(flag, fill)
        number = read(moment)
        return f"{number:{fill}>{width}}" if fill else str(number)
    if letter in _SHORTHANDS:
        text = _format(moment, _SHORTHANDS[letter])
    elif letter in _TEXTS:
        text = _TEXTS[letter](moment)
    else:
        return found.group()
    if flag == "^" or (flag == "#" and letter not in "pPZ"):
        return text.upper()
    return text.lower() if flag == "#" else text


def _describe_offset(offset: timedelta) -> str:
    minutes = abs(offset) // timedelta(minutes=1)
    return f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}{minutes % 60:02}"
