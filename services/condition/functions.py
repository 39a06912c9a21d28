"""The functions of conditions: one table, name -> how many values it takes, where they stand, what it does."""

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from cel_expr_python import cel

from services.condition import values
from services.condition.values import ConditionError

Function = Callable[..., object]


class Signature(NamedTuple):
    """`method`: the first value stands before the dot; `plain`: all stand in the parentheses."""

    least: int
    most: int
    method: bool
    plain: bool
    run: Function


def _texts(run: Callable[[str, str], bool]) -> Function:
    def checked(text: object, part: object) -> bool:
        if isinstance(text, str) and isinstance(part, str):
            return run(text, part)
        raise ConditionError(f"needs two texts, not a {values.kind(text)} and a {values.kind(part)}")

    return checked


def size(value: object) -> int:
    """Characters of a text, elements of a list, fields of a map."""
    of = values.kind(value)
    if of == "map":
        return len(values.present(value))
    if of in ("text", "list"):
        return len(value)  # type: ignore[arg-type]
    raise ConditionError(f"a {of} has no size")


def negate(value: object) -> object:
    """`-value`."""
    if type(value) is int:
        return values.whole(-value)
    if isinstance(value, float):
        return -value
    raise ConditionError(f"no negative of a {values.kind(value)}")


def invert(value: object) -> bool:
    """`!value`."""
    if isinstance(value, bool):
        return not value
    raise ConditionError(f"`!` needs a bool, not a {values.kind(value)}")


def pattern(text: str) -> Callable[[object], bool]:
    """A test whether a text holds the RE2 pattern somewhere, in linear time. Raises ValueError for a bad pattern."""
    environment = cel.NewEnv(variables={"text": cel.Type.STRING, "pattern": cel.Type.STRING})
    search = environment.compile("text.matches(pattern)")

    def found(value: object) -> bool:
        if not isinstance(value, str):
            raise ConditionError(f"matches() needs a text, not a {values.kind(value)}")
        answer = search.eval(data={"text": value, "pattern": text})
        if answer.type() != cel.Type.BOOL:  # an error comes back as a value, and a truthy one
            raise ConditionError("matches() failed")
        return answer.value() is True

    try:
        found("")
    except ConditionError as error:
        raise ValueError("the pattern is not a regular expression of RE2") from error
    return found


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConditionError("unknown time zone") from error


def _part(read: Callable[[datetime], int], of_span: timedelta | None = None) -> Function:
    def part(value: object, zone: object = "UTC") -> int:
        if isinstance(value, datetime) and isinstance(zone, str):
            return read(value.astimezone(_zone(zone)))
        if isinstance(value, timedelta) and of_span is not None:
            return (abs(value) // of_span) * (-1 if value < timedelta() else 1)
        raise ConditionError(f"a {values.kind(value)} has no such part")

    return part


def _convert(run: Function) -> Signature:
    return Signature(1, 1, False, True, run)


FUNCTIONS: Final[dict[str, Signature]] = {
    "size": Signature(1, 1, True, True, size),
    "contains": Signature(2, 2, True, False, _texts(lambda text, part: part in text)),
    "startsWith": Signature(2, 2, True, False, _texts(str.startswith)),
    "endsWith": Signature(2, 2, True, False, _texts(str.endswith)),
    "matches": Signature(2, 2, True, True, lambda *_: False),  # compiled apart, from its pattern
    "int": _convert(values.to_int),
    "double": _convert(values.to_double),
    "string": _convert(values.to_text),
    "bool": _convert(values.to_bool),
    "timestamp": _convert(values.to_timestamp),
    "duration": _convert(values.to_duration),
    "dyn": _convert(lambda value: value),
    "getFullYear": Signature(1, 2, True, False, _part(lambda t: t.year)),
    "getMonth": Signature(1, 2, True, False, _part(lambda t: t.month - 1)),
    "getDate": Signature(1, 2, True, False, _part(lambda t: t.day)),
    "getDayOfMonth": Signature(1, 2, True, False, _part(lambda t: t.day - 1)),
    "getDayOfWeek": Signature(1, 2, True, False, _part(lambda t: t.isoweekday() % 7)),
    "getDayOfYear": Signature(1, 2, True, False, _part(lambda t: t.timetuple().tm_yday - 1)),
    "getHours": Signature(1, 2, True, False, _part(lambda t: t.hour, timedelta(hours=1))),
    "getMinutes": Signature(1, 2, True, False, _part(lambda t: t.minute, timedelta(minutes=1))),
    "getSeconds": Signature(1, 2, True, False, _part(lambda t: t.second, timedelta(seconds=1))),
    "getMilliseconds": Signature(1, 2, True, False, _part(lambda t: t.microsecond // 1000, timedelta(milliseconds=1))),
}
