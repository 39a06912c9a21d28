"""Template filters with limits on input and output: the engine's own limits apply between filters, not inside them."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import isfinite
from typing import Any, Final

from liquid.builtin.filters import array as list_filters
from liquid.builtin.filters import math as number_filters
from liquid.builtin.filters import string as text_filters
from liquid.exceptions import FilterArgumentError, LiquidError, ResourceLimitError, UndefinedError
from liquid.filter import flatten, math_filter, string_filter
from liquid.limits import to_int
from liquid.undefined import is_undefined

from schemas.extent import extent
from services.template import dates
from services.template.value_text import MisfitError, kind_of, round_half_away, value_text

MAX_TEXT_LENGTH: Final = 256 * 1024  # characters, in and out
MAX_ITEMS: Final = 1000  # elements of a list
MAX_WORK: Final = 10_000  # elements of a list at all levels, and pieces of 256 characters
MAX_NUMBER: Final = 2**63
MAX_PATTERN_LENGTH: Final = 200  # characters of the argument of `date`
MAX_DIGITS: Final = 20
_A_TEXT: Final = "a text of more than {} characters"

#: `safe` and `escapejs` would let values write markup; base64 hides what a text says.
REFUSED_FILTERS: Final = (
    "safe",
    "escapejs",
    "base64_encode",
    "base64_decode",
    "base64_url_safe_encode",
    "base64_url_safe_decode",
)
_FILTERS_WITH_COUNTS: Final = {"slice": 2, "truncate": 1, "truncatewords": 1}
"""Filters of texts whose first arguments may be numbers, and how many of them."""
_FILTERS_WITH_LISTS: Final = frozenset({"concat", "default"})
"""Filters whose arguments may be lists or objects."""
_A_TIME: Final = "a time (RFC 3339, or seconds since 1970)"
_EXPECTED: Final = {
    list_filters.__name__: "a list with items that fit", number_filters.__name__: "a number", dates.__name__: _A_TIME
}  # fmt: skip
"""What filters expect, by the module that defines them."""


def bound_filter(name: str, filter_function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a filter with size checks before and after it. The wrapped filter raises ResourceLimitError."""

    takes_numbers = filter_function.__module__ == number_filters.__name__ or name == "round"
    takes_text = filter_function.__module__ == text_filters.__name__ or name in _FILTERS_WITH_COUNTS

    @wraps(filter_function)
    def limited(value: Any, *args: Any, **options: Any) -> Any:
        for operand in (value, *args):
            check_size(operand)
            if name != "default" and is_undefined(operand):
                str(operand)  # raises UndefinedError; arithmetic would take a missing value for 0
        if takes_numbers:
            for position, operand in enumerate((value, *args)):
                _check_number(name, operand, is_argument=position > 0)
        if takes_text:
            value, *args = _text_operands(name, value, args)  # type: ignore[assignment]
        if name not in _FILTERS_WITH_LISTS:
            for operand in args:
                _check_argument(name, operand)
        if name.startswith("replace") and isinstance(value, str) and args:
            _check_growth(value, str(args[0]), str(args[1]) if len(args) > 1 else "")
        if name == "sum":
            _check_items_to_add(value, args)
        if name == "join":
            value, args = _joined_operands(value, args)
        if name == "date" and args:
            _refuse_above(len(str(args[0])), MAX_PATTERN_LENGTH, "a pattern of more than {} characters")
        if name == "round" and args and isinstance(args[0], int | float):
            _check_digits(args[0])
        try:
            result = filter_function(value, *args, **options)
        except (MisfitError, ResourceLimitError, UndefinedError):
            raise
        except (ArithmeticError, ValueError, TypeError, RecursionError, LiquidError) as error:
            raise _misfit(name, filter_function.__module__, value, error) from error
        check_size(result)
        return result

    return limited


def _check_argument(name: str, value: object) -> None:
    """Raises MisfitError for a list or an object, which python-liquid writes out for each item to compare with it."""
    if isinstance(value, list | tuple | dict):
        detail = f"the filter `{name}` needs a text or a number, not {kind_of(value)}"
        raise MisfitError(detail, kind_of(value), "text or a number", is_argument=True)


def _check_number(name: str, value: object, *, is_argument: bool) -> None:
    """Raises MisfitError for what is no number. python-liquid takes it for 0, and a message would say so."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, str):
        try:
            is_number = "_" not in value and isfinite(float(value))  # Python alone reads 1_000 as a number
        except ValueError:
            is_number = False
    if not is_number:
        detail = f"the filter `{name}` needs a number, not {kind_of(value)}"
        raise MisfitError(detail, kind_of(value), "a number", is_argument=is_argument)


def _check_items_to_add(value: object, args: Sequence[object]) -> None:
    """Raises MisfitError for true and false among the items, which Python adds as 1 and 0."""
    items = flatten(value) if isinstance(value, list | tuple) else [value]
    if args:
        items = [item.get(args[0]) for item in items if isinstance(item, Mapping)]
    if any(isinstance(item, bool) for item in items):
        raise MisfitError("the filter `sum` needs numbers, not true or false", "true or false", "a number")


def _check_digits(digits: float) -> None:
    if digits > MAX_DIGITS:
        raise ResourceLimitError(f"the filter `round` takes at most {MAX_DIGITS} digits", token=None)


def _text_operands(name: str, value: Any, args: Sequence[Any]) -> list[Any]:
    """Returns the operands of a filter of texts as texts; counts stay numbers, and `slice` may cut a list."""
    texts = value if name == "slice" and isinstance(value, list | tuple | range) else _plain_text(value)
    counts = _FILTERS_WITH_COUNTS.get(name, 0)
    return [
        texts,
        *(
            each if position < counts and isinstance(each, int | float) else _plain_text(each)
            for position, each in enumerate(args)
        ),
    ]


def _plain_text(value: Any) -> Any:
    return value if isinstance(value, str) or value is None else value_text(value)


def _joined_operands(value: Any, args: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Returns the items of a list and its separator as texts."""
    separator = tuple(_plain_text(each) for each in args)
    if not isinstance(value, list | tuple | range):
        return _plain_text(value), separator
    texts = ["" if each is None else _plain_text(each) for each in flatten(value)]
    _refuse_above(len(texts) * sum(len(str(each)) for each in separator), MAX_TEXT_LENGTH, _A_TEXT)
    return texts, separator


def _misfit(name: str, module: str, value: object, error: Exception) -> LiquidError:
    """Returns the error of a filter in words that hold no value."""
    text = str(error)
    if "divide by" in text:
        detail = f"the filter `{name}` cannot divide by zero"
        return MisfitError(detail, "zero", "another number", is_argument=True)
    takes_text = module == text_filters.__name__ or name in _FILTERS_WITH_COUNTS
    if "argument" in text or isinstance(error, TypeError) or takes_text or name == "concat":
        return FilterArgumentError(f"the filter `{name}` cannot work with these arguments", token=None)
    expected = "a number" if name == "round" else _EXPECTED.get(module, "another value")
    return MisfitError(f"the filter `{name}` needs {expected}, not {kind_of(value)}", kind_of(value), expected)


@string_filter
def truncate_text(text: str, length: Any = 50, end: str = "...") -> str:
    """Cuts a text that is longer, so that with `end` it has the length; python-liquid cuts one that fits exactly."""
    limit = to_int(length)
    return text if len(text) <= limit else text[: max(0, limit - len(end))] + end


@string_filter
def truncate_words(text: str, count: Any = 15, end: str = "...") -> str:
    """Cuts a text of more words; python-liquid puts `end` behind one that fits exactly too."""
    words, limit = text.split(), max(1, to_int(count))
    return text if len(words) <= limit else " ".join(words[:limit]) + end


@math_filter
def round_number(number: float, digits: Any = None) -> float:
    """Rounds half away from zero."""
    if isinstance(digits, str):
        digits = float(digits)
    return round_half_away(number, digits)


def check_size(value: Any) -> None:
    """Raises ResourceLimitError for a text, list or number beyond the limits."""
    if isinstance(value, str):
        _refuse_above(len(value), MAX_TEXT_LENGTH, _A_TEXT)
    elif isinstance(value, Sequence):
        _refuse_above(len(value), MAX_ITEMS, "a list of more than {} items")
        _refuse_above(sum(len(item) for item in value if isinstance(item, str)), MAX_TEXT_LENGTH, _A_TEXT)
        _refuse_above(extent(value, MAX_WORK), MAX_WORK, "a list of more than {} elements at all levels")
    elif isinstance(value, int):
        _refuse_above(abs(value), MAX_NUMBER, "a whole number beyond 64 bits")


def _check_growth(text: str, old: str, new: str) -> None:
    occurrences = text.count(old) if old else len(text) + 1
    _refuse_above(len(text) + occurrences * max(0, len(new) - len(old)), MAX_TEXT_LENGTH, _A_TEXT)


def _refuse_above(size: float, limit: int, what: str) -> None:
    if size > limit:
        raise ResourceLimitError(what.format(limit), token=None)
