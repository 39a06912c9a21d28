"""Functions called by translated templates. Each behaves as python-liquid would, or raises.

Invariant: whatever is raised here, or anywhere in a translation, means that python-liquid renders the same values
instead and decides, including on errors. So a translation may refuse at any point but must never differ.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from liquid.builtin.expressions.logical import is_truthy
from liquid.exceptions import LiquidError
from liquid.limits import to_int

from services.template.engine import MAX_OUTPUT
from services.template.value_text import output_text

MAX_TEXT: Final = MAX_OUTPUT // 16  # characters; in bytes at most a quarter of what python-liquid allows
MAX_ITERATIONS: Final = 500  # of all loops together
MAX_SECONDS: Final = 0.005  # wall-clock
MAX_COMPARED: Final = 4096  # characters or items of one side of a comparison


class EngineRequired(Exception):
    """This case must be rendered by python-liquid."""


FALLBACK_ERRORS: Final = (
    EngineRequired, LiquidError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip


def require_engine() -> Any:
    """Raises EngineRequired; for places where only an expression fits."""
    raise EngineRequired


def check_deadline(value: object, stop: float) -> object:
    """Returns the value if there is time left for the next filter."""
    if perf_counter() > stop:
        raise EngineRequired
    return value


def lookup(value: Any, keys: tuple[str, ...], missing: object) -> object:
    """Returns the value at a path below `value`; `missing` for null and absent values."""
    try:
        for key in keys:
            value = value[key]
    except (KeyError, TypeError, IndexError):
        return missing
    return missing if value is None else value


def indexed_lookup(item: Callable[[Any, object], Any]) -> Callable[[Any, tuple[object, ...], object], object]:
    """Like `lookup`, for paths with indexes, `size`, `first` or `last`; `item` is python-liquid's own step."""

    def found(value: Any, keys: tuple[object, ...], missing: object) -> object:
        try:
            for key in keys:
                value = item(value, key)
        except (KeyError, TypeError, IndexError):
            return missing
        return missing if value is None else value

    return found


def lookup_root(own: Mapping[str, object], context: Mapping[str, object], name: str) -> object:
    """Returns the value of a name that the template itself may have assigned."""
    return own[name] if name in own else context[name]


def is_true(value: object) -> bool:
    """Whether a value counts as true."""
    return value if isinstance(value, bool) else is_truthy(value)


def small_operands(compare: Callable[..., bool]) -> Callable[..., bool]:
    """Returns the comparison for what is small; the rest is left to python-liquid, which checks the time meanwhile."""

    def compared(*operands: object) -> bool:
        for each in operands:
            if each.__class__ is not int and isinstance(each, str | list | dict) and len(each) > MAX_COMPARED:
                raise EngineRequired
        return compare(*operands)

    return compared


def value_formatter(html: bool) -> Callable[[object], str]:
    """Returns a function that formats a value of any type; with `html` it escapes."""

    def text(value: object) -> str:
        return str(value) if value.__class__ is int else output_text(value, html)

    return text


def path_formatter(html: bool) -> Callable[[object], str]:
    """Like `value_formatter`, for the value of a path, where null counts as undefined."""

    def text(value: object) -> str:
        if value is None:
            raise EngineRequired
        return str(value) if value.__class__ is int else output_text(value, html)

    return text


def loop_items(value: object) -> Sequence[Any]:
    """Returns the items that a loop iterates over."""
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
    """Applies `limit`, `offset` (`...` if absent) and `reversed` to a loop's items."""
    start = 0 if offset is ... else to_int(offset)
    length = len(values)
    stop = 0 if limit is ... else to_int(limit) + start
    if stop < 0:
        raise EngineRequired
    kept = values[max(start, 0) : stop or length]
    return kept[::-1] if backwards else kept


def assign_variable(own: dict[str, object], name: str, value: object, limit: int = MAX_OUTPUT) -> None:
    """Assigns a variable; the total size of assigned values is limited as in python-liquid."""
    own[name] = value
    if sum(sys.getsizeof(each, 1) for each in own.values()) > limit:
        raise EngineRequired


def join_parts(parts: list[str]) -> str:
    """Joins the parts to the text. Line ends that python-liquid's buffer would change, and large texts, require the
    engine.
    """
    if sum(map(len, parts)) > MAX_TEXT:
        raise EngineRequired
    text = "".join(parts)
    if "\r" in text:
        raise EngineRequired
    if not text.isascii():
        text.encode()  # a lone surrogate is a ValueError
    return text
