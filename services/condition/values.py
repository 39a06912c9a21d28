"""Values in conditions: kinds, equality, ordering, arithmetic, conversions.

Numbers compare by value; fields that are null count as absent.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.condition.condition_error import ConditionError, MissingField
from services.condition.syntax import INT_MAX, INT_MIN

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


MAX_NUMBER_LENGTH: Final = 1000
"""Characters of a text that is read as a number or a duration."""

_KINDS: Final[dict[type, str]] = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    tuple: "list",
    dict: "map",
    type(None): "null",
    datetime: "timestamp",
    timedelta: "duration",
}
_ORDERED: Final = frozenset({"bool", "number", "text", "timestamp", "duration"})


def kind_of(value: object) -> str:
    """Returns the kind of a value: bool number text list map null timestamp duration."""
    found = _KINDS.get(type(value))
    if found is None:
        if isinstance(value, Mapping):
            return "map"
        if isinstance(value, str):
            return "text"
        raise ConditionError("meets a value of an unknown kind")
    return found


def kinds_of(values: Iterable[object]) -> list[str]:
    """Returns the kinds of operands, for an error about them."""
    return [_KINDS.get(type(value), "value of an unknown kind") for value in values]


def equal(a: Any, b: Any) -> bool:
    """Compares by value; values of different kinds are unequal, also inside lists and maps."""
    value_kind = kind_of(a)
    if value_kind != kind_of(b):
        return False
    if value_kind == "list":
        return len(a) == len(b) and all(map(equal, a, b))
    if value_kind == "map":
        left, right = without_nulls(a), without_nulls(b)
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return bool(a == b)


def unequal(a: object, b: object) -> bool:
    """Compares by value."""
    return not equal(a, b)


def without_nulls(value: object) -> dict[object, object]:
    """Returns a map without its null fields."""
    if not isinstance(value, Mapping):
        raise ConditionError("has no fields", "map")
    return {key: item for key, item in value.items() if item is not None}


def is_in(item: object, within: Any) -> bool:
    """Evaluates `item in within`: an element of a list, or a key of a map."""
    value_kind = kind_of(within)
    if value_kind == "list":
        return any(equal(item, each) for each in within)
    if value_kind == "map":
        key = require_map_key(item)
        return any(equal(key, each) for each in without_nulls(within))
    raise ConditionError("looks into what holds nothing", "list", "map", operand=1)


def require_map_key(value: object) -> object:
    """Returns the value if it can be a map key: a text, a number or a bool."""
    if kind_of(value) in ("text", "number", "bool"):
        return value
    raise ConditionError("uses as the key of a map what can be none")


def elements(value: Any) -> Iterator[object]:
    """Returns what a macro iterates over: the elements of a list, or the keys of a map."""
    value_kind = kind_of(value)
    if value_kind == "list":
        yield from value
    elif value_kind == "map":
        yield from without_nulls(value)
    else:
        raise ConditionError("walks over what has no elements", "list", "map")


def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[object, object], bool]:
    """Builds `<`, `<=`, `>` or `>=` over two values of one ordered kind."""

    def compare_ordered(a: object, b: object) -> bool:
        value_kind, other_kind = kind_of(a), kind_of(b)
        if value_kind not in _ORDERED and (other_kind not in _ORDERED or other_kind == value_kind):
            raise ConditionError("compares what has no order")
        if value_kind != other_kind:
            raise ConditionError("compares different kinds", other_kind)
        return bool(compare(a, b))

    return compare_ordered


def index(value: Any, key: Any) -> object:
    """Evaluates `value[key]`. Raises MissingField for a key that a map lacks."""
    value_kind, key_kind = kind_of(value), kind_of(key)
    if value_kind == "map":
        wanted = require_map_key(key)
        same = (item for each, item in value.items() if equal(each, wanted))
        found = value.get(key) if key_kind == "text" else next(same, None)
        if found is None:
            raise MissingField
        return found
    if value_kind == "list" and key_kind == "number" and key == int(key):
        if 0 <= key < len(value):
            return value[int(key)]
        raise ConditionError("reads a place outside of the list")
    if value_kind == "list":
        raise ConditionError("reads a place of the list by no whole number", "number", operand=1)
    raise ConditionError("reads a place of what has none", "list", "map")


def require_int64(value: int) -> int:
    """Returns an integer within 64 bits, or raises ConditionError."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise ConditionError("computes a whole number beyond 64 bits")


def add(a: object, b: object) -> object:
    """Evaluates `a + b` for two numbers of one type, texts, lists, or times."""
    if type(a) is type(b) is int:
        return require_int64(a + b)
    if type(a) is type(b) and isinstance(a, float | str | list | timedelta):
        return a + b  # type: ignore[operator]
    if {type(a), type(b)} == {datetime, timedelta}:
        return a + b  # type: ignore[operator]
    raise _operator_error("+", a, b)


def subtract(a: object, b: object) -> object:
    """Evaluates `a - b` for two numbers of one type, or times."""
    if type(a) is type(b) is int:
        return require_int64(a - b)
    if type(a) is type(b) and isinstance(a, float | timedelta | datetime):
        return a - b  # type: ignore[operator]
    if isinstance(a, datetime) and isinstance(b, timedelta):
        return a - b
    raise _operator_error("-", a, b)


def multiply(a: object, b: object) -> object:
    """Evaluates `a * b` for two numbers of one type."""
    if type(a) is type(b) is int:
        return require_int64(a * b)
    if type(a) is type(b) is float:
        return a * b
    raise _operator_error("*", a, b)


def divide(a: object, b: object) -> object:
    """Evaluates `a / b`: integers round towards zero; `1.0 / 0.0` is infinite."""
    if type(a) is type(b) is int:
        return require_int64(_quotient(a, b))
    if type(a) is type(b) is float:
        if b == 0.0:
            return math.nan if a == 0.0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
        return a / b
    raise _operator_error("/", a, b)


def remainder(a: object, b: object) -> object:
    """Evaluates `a % b` for integers, with the sign of a."""
    if type(a) is type(b) is int:
        return a - b * _quotient(a, b)
    raise _operator_error("%", a, b)


def _quotient(a: int, b: int) -> int:
    if b == 0:
        raise ConditionError("divides by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _operator_error(sign: str, a: object, b: object) -> ConditionError:
    kinds = kind_of(a), kind_of(b)
    if kinds == ("number", "number"):
        return ConditionError(
            f"has whole and decimal numbers on the two sides of {sign}; convert one with int() or double()"
        )
    if kinds[0] == kinds[1]:
        return ConditionError(f"has on both sides of {sign} what cannot be calculated with")
    return ConditionError(f"has different kinds on the two sides of {sign}", kinds[1])


def to_timestamp(value: object) -> datetime:
    """Converts RFC 3339 text with a zone, or whole seconds since 1970, to a timestamp."""
    if isinstance(value, datetime):
        return value
    if type(value) is int:
        return EPOCH + timedelta(seconds=value)
    if isinstance(value, str) and (found := _RFC3339.fullmatch(value)):
        day, clock, fraction, zone = found.groups()
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    raise _unreadable(value, "text", "number")


def _unreadable(value: object, *kinds: str) -> ConditionError:
    """The error of a conversion: a kind that it does not take, or a value of the right kind in another form."""
    if kind_of(value) in kinds:
        return ConditionError("cannot convert the value, which has another form")
    return ConditionError("cannot convert the value", *kinds)


_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DURATION: Final = re.compile(r"([+-]?)((?:\d{1,12}(?:\.\d{1,9})?(?:h|ms|us|ns|m|s))+|0)", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+)(?:\.(\d+))?(h|ms|us|ns|m|s)", re.ASCII)
_NANOSECONDS: Final = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}


def to_duration(value: object) -> timedelta:
    """Converts text such as `1h30m` or `-1.5s` to a duration; units h m s ms us ns."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and len(value) <= MAX_NUMBER_LENGTH and (found := _DURATION.fullmatch(value)):
        total = 0
        for digits, fraction, unit in _DURATION_PART.findall(found.group(2)):
            total += int(digits + fraction) * _NANOSECONDS[unit] // 10 ** len(fraction)
        return (-1 if found.group(1) == "-" else 1) * timedelta(microseconds=total // 1000)
    raise _unreadable(value, "text")


def to_int(value: object) -> int:
    """Converts text, a double (towards zero) or a timestamp (seconds) to an integer."""
    if type(value) is int:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return require_int64(int(value))
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value, re.ASCII):
        return require_int64(int(value))
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(seconds=1)
    raise _unreadable(value, "number", "text", "timestamp")


def to_double(value: object) -> float:
    """Converts a number or text to a double."""
    if type(value) in (int, float):
        return float(value)  # type: ignore[arg-type]
    if (
        isinstance(value, str)
        and len(value) <= MAX_NUMBER_LENGTH
        and re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", value, re.ASCII)
    ):
        return float(value)
    raise _unreadable(value, "number", "text")


def to_text(value: object) -> str:
    """Converts a number, a bool, a timestamp or a duration to text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{to_text(value / timedelta(seconds=1))}s"
    if isinstance(value, int | str):
        return str(value)
    raise _unreadable(value, "number", "text", "bool", "timestamp", "duration")


def to_bool(value: object) -> bool:
    """Converts a bool, or the text `true` or `false`, to a bool."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise _unreadable(value, "bool")
