"""Template filters with limits on input and output: the engine's own limits apply between filters, not inside them."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final

from liquid.exceptions import FilterArgumentError, ResourceLimitError
from liquid.undefined import Undefined

MAX_TEXT_LENGTH: Final = 256 * 1024  # characters, in and out
MAX_ITEMS: Final = 1000  # elements of a list
MAX_NUMBER: Final = 2**63
MAX_DIGITS: Final = 20

#: `safe` and `escapejs` would let values write markup; base64 hides what a text says.
REFUSED_FILTERS: Final = (
    "safe",
    "escapejs",
    "base64_encode",
    "base64_decode",
    "base64_url_safe_encode",
    "base64_url_safe_decode",
)
_DIRECTIVES: Final = re.compile(r"%[-_0^#]?[a-zA-Z%]")


def bound_filter(name: str, filter_function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a filter with size checks before and after it. The wrapped filter raises ResourceLimitError."""

    @wraps(filter_function)
    def limited(value: Any, *args: Any, **options: Any) -> Any:
        for operand in (value, *args):
            check_size(operand)
        if name.startswith("replace") and isinstance(value, str) and args:
            _check_growth(value, str(args[0]), str(args[1]) if len(args) > 1 else "")
        if name == "join" and isinstance(value, list | tuple) and args:
            _refuse_above(len(value) * len(str(args[0])), MAX_TEXT_LENGTH)
        if name == "round" and args and isinstance(args[0], int | float):
            _refuse_above(args[0], MAX_DIGITS)
        try:
            result = filter_function(value, *args, **options)
        except (ArithmeticError, ValueError, RecursionError) as error:
            raise FilterArgumentError(f"{name} does not fit this value", token=None) from error
        check_size(result)
        return result

    return limited


def check_size(value: Any) -> None:
    """Raises ResourceLimitError for a text, list or number beyond the limits."""
    if isinstance(value, str):
        _refuse_above(len(value), MAX_TEXT_LENGTH)
    elif isinstance(value, Sequence):
        _refuse_above(len(value), MAX_ITEMS)
        _refuse_above(sum(len(item) for item in value if isinstance(item, str)), MAX_TEXT_LENGTH)
    elif isinstance(value, int):
        _refuse_above(abs(value), MAX_NUMBER)


def _check_growth(text: str, old: str, new: str) -> None:
    occurrences = text.count(old) if old else len(text) + 1
    _refuse_above(len(text) + occurrences * max(0, len(new) - len(old)), MAX_TEXT_LENGTH)


def _refuse_above(size: float, limit: int) -> None:
    if size > limit:
        raise ResourceLimitError(f"more than {limit}", token=None)


def format_date(value: object, pattern: object = "%Y-%m-%d") -> str:
    """Formats a time (RFC 3339 text, or seconds since 1970) by strftime directives, in UTC unless the text names a
    zone.
    """
    if isinstance(value, Undefined):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise FilterArgumentError("date needs a time", token=None)
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    else:
        moment = datetime.fromtimestamp(value, UTC)
    return _DIRECTIVES.sub(lambda found: moment.strftime(found.group()), str(pattern))
