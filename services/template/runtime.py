"""What translated templates call while they render. Each function answers as python-liquid would, or raises.

Whatever is raised here, or by anything a translation does, is a doubt: python-liquid then renders the same values and
has the only word, also on what is wrong.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from liquid.builtin.expressions.logical import is_truthy
from liquid.exceptions import LiquidError
from liquid.limits import to_int
from liquid.stringify import to_liquid_string

from services.template.engine import MAX_OUTPUT

MAX_TEXT: Final = MAX_OUTPUT // 16  # characters; in bytes at most a quarter of what python-liquid allows
MAX_ITERATIONS: Final = 500  # of all loops together
MAX_SECONDS: Final = 0.005  # of any time


class EngineRequired(Exception):
    """This is a case for python-liquid."""


_NUMBERS: Final = frozenset({int, float})
FALLBACK_ERRORS: Final = (
    EngineRequired, LiquidError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip


def require_engine() -> Any:
    """Raises Doubt; for places where only an expression fits."""
    raise EngineRequired


def check_deadline(value: object, stop: float) -> object:
    """The value, which the next filter works on only if there is time left."""
    if perf_counter() > stop:
        raise EngineRequired
    return value


def lookup(value: Any, keys: tuple[str, ...], missing: object) -> object:
    """The value at a path below `value`; `missing` for null and for what is not there."""
    try:
        for key in keys:
            value = value[key]
    except (KeyError, TypeError, IndexError):
        return missing
    return missing if value is None else value


def indexed_lookup(item: Callable[[Any, object], Any]) -> Callable[[Any, tuple[object, ...], object], object]:
    """`find` for paths with indexes, `size`, `first` or `last`; `item` is python-liquid's own step."""

    def found(value: Any, keys: tuple[object, ...], missing: object) -> object:
        try:
            for key in keys:
                value = item(value, key)
        except (KeyError, TypeError, IndexError):
            return missing
        return missing if value is None else value

    return found


def lookup_root(own: Mapping[str, object], context: Mapping[str, object], name: str) -> object:
    """The value of a name that the template itself may have assigned."""
    return own[name] if name in own else context[name]


def is_true(value: object) -> bool:
    """Whether a value counts as true."""
    return value if isinstance(value, bool) else is_truthy(value)


def value_formatter(html: bool) -> Callable[[object], str]:
    """How a value of any type is written; with `html` it is escaped."""

    def text(value: object) -> str:
        return str(value) if value.__class__ in _NUMBERS else to_liquid_string(value, html)

    return text


def path_formatter(html: bool) -> Callable[[object], str]:
    """`shown` for what a path leads to: null is undefined there."""

    def text(value: object) -> str:
        if value is None:
            raise EngineRequired
        return str(value) if value.__class__ in _NUMBERS else to_liquid_string(value, html)

    return text


def loop_items(value: object) -> Sequence[Any]:
    """What a loop goes through."""
    if isinstance(value, list | tuple | range):
        return value
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, dict):
        return tuple(value.items())
    if isinstance(value, int | float):
        return ()
    raise EngineRequired


def slice_items(values: Sequence[Any], limit: object, offset: object, backwards: bool) -> Sequence[Any]:
    """The part of a loop's values that `limit`, `offset` (... where not given) and `reversed` leave."""
    start = 0 if offset is ... else to_int(offset)
    length = len(values)
    stop = 0 if limit is ... else to_int(limit) + start
    if stop < 0:
        raise EngineRequired
    kept = values[max(start, 0) : stop or length]
    return kept[::-1] if backwards else kept


def assign_variable(own: dict[str, object], name: str, value: object, limit: int = MAX_OUTPUT) -> None:
    """Keeps a value under a name; the sizes of all values together are bounded as in python-liquid."""
    own[name] = value
    if sum(sys.getsizeof(each, 1) for each in own.values()) > limit:
        raise EngineRequired


def join_parts(parts: list[str]) -> str:
    """The text that parts make. Line ends that python-liquid's buffer would change are a doubt, and what is large."""
    if sum(map(len, parts)) > MAX_TEXT:
        raise EngineRequired
    text = "".join(parts)
    if "\r" in text:
        raise EngineRequired
    if not text.isascii():
        text.encode()  # a lone surrogate is a ValueError
    return text
