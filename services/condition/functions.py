"""The functions of conditions: a table from name to number of arguments, notation and implementation."""

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Final, NamedTuple

import re2

from schemas.zones import find_zone_info
from services.condition import values
from services.condition.condition_error import ConditionError

Function = Callable[..., object]


class FunctionSignature(NamedTuple):
    """`as_method`: may be written `value.name(...)`; `as_function`: may be written `name(value, ...)`."""

    min_args: int
    max_args: int
    as_method: bool
    as_function: bool
    function: Function


def _text_predicate(function: Callable[[str, str], bool]) -> Function:
    def checked(text: object, part: object) -> bool:
        if isinstance(text, str) and isinstance(part, str):
            return function(text, part)
        raise ConditionError("needs two texts", "text", operand=0 if not isinstance(text, str) else 1)

    return checked


def size(value: object) -> int:
    """Counts the characters of a text, the elements of a list or the fields of a map."""
    value_kind = values.kind_of(value)
    if value_kind == "map":
        return len(values.without_nulls(value))
    if value_kind in ("text", "list"):
        return len(value)  # type: ignore[arg-type]
    raise ConditionError("has no size", "text", "list", "map")


def negate(value: object) -> object:
    """Evaluates `-value`."""
    if type(value) is int:
        return values.require_int64(-value)
    if isinstance(value, float):
        return -value
    raise ConditionError("has no negative", "number")


def logical_not(value: object) -> bool:
    """Evaluates `!value`."""
    if isinstance(value, bool):
        return not value
    raise ConditionError("is neither true nor false", "bool")


def compile_pattern(text: str) -> Callable[[object], bool]:
    """Returns a test whether a text contains a match of the RE2 pattern; its time is linear in the length of the text.

    Raises ValueError for a bad pattern. The test raises ConditionError for what is not a text.
    """
    options = re2.Options()
    options.log_errors = False  # RE2 would write a bad pattern to stderr itself
    try:
        search = re2.compile(text, options).search
    except (re2.error, UnicodeEncodeError) as error:
        raise ValueError("the pattern is not a regular expression of RE2") from error

    def matches(value: object) -> bool:
        if not isinstance(value, str):
            raise ConditionError("is no text", "text")
        try:
            # Bytes, because for a str the library maps every offset of the match back to characters.
            return search(value.encode()) is not None
        except UnicodeEncodeError:  # half of a surrogate pair
            raise ConditionError("searches in what is no text") from None

    return matches


def _zone(name: str) -> tzinfo:
    found = find_zone_info(name)
    if found is None:
        raise ConditionError("names an unknown time zone")
    return found


def _time_part(read: Callable[[datetime], int], of_span: timedelta | None = None) -> Function:
    def part(value: object, zone: object = "UTC") -> int:
        if isinstance(value, datetime) and isinstance(zone, str):
            return read(value.astimezone(_zone(zone)))
        if isinstance(value, timedelta) and of_span is not None:
            return (abs(value) // of_span) * (-1 if value < timedelta() else 1)
        if not isinstance(zone, str):
            raise ConditionError("names a time zone by what is no text", "text", operand=1)
        raise ConditionError("is no time", *(("timestamp",) if of_span is None else ("timestamp", "duration")))

    return part


def _conversion(function: Function) -> FunctionSignature:
    return FunctionSignature(1, 1, False, True, function)


FUNCTIONS: Final[dict[str, FunctionSignature]] = {
    "size": FunctionSignature(1, 1, True, True, size),
    "contains": FunctionSignature(2, 2, True, False, _text_predicate(lambda text, part: part in text)),
    "startsWith": FunctionSignature(2, 2, True, False, _text_predicate(str.startswith)),
    "endsWith": FunctionSignature(2, 2, True, False, _text_predicate(str.endswith)),
    "matches": FunctionSignature(2, 2, True, True, lambda *_: False),  # compiled separately from its pattern
    "int": _conversion(values.to_int),
    "double": _conversion(values.to_double),
    "string": _conversion(values.to_text),
    "bool": _conversion(values.to_bool),
    "timestamp": _conversion(values.to_timestamp),
    "duration": _conversion(values.to_duration),
    "dyn": _conversion(lambda value: value),
    "getFullYear": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.year)),
    "getMonth": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.month - 1)),
    "getDate": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.day)),
    "getDayOfMonth": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.day - 1)),
    "getDayOfWeek": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.isoweekday() % 7)),
    "getDayOfYear": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.timetuple().tm_yday - 1)),
    "getHours": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.hour, timedelta(hours=1))),
    "getMinutes": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.minute, timedelta(minutes=1))),
    "getSeconds": FunctionSignature(1, 2, True, False, _time_part(lambda t: t.second, timedelta(seconds=1))),
    "getMilliseconds": FunctionSignature(
        1, 2, True, False, _time_part(lambda t: t.microsecond // 1000, timedelta(milliseconds=1))
    ),
}
