"""The text of a value as people write it: numbers without exponents, and never Python's text for a list or an object.

python-liquid prints what Python's `str` gives. This module replaces that in output, in filters that take texts, and in
`join` (docs/decisions/0018 has the rules).
"""

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from liquid import escape
from liquid.exceptions import LiquidTypeError
from liquid.undefined import Undefined

_EXACT: Final = Context(prec=400)
"""Holds every float with all its digits: the largest one has 309 before the point."""
_ROUNDING_GAIN: Final = 3
"""Digits that rounding to 15 must save: 0.30000000000000004 is rounding noise, 2.857142857142857 is not."""

_PLAIN_LENGTH: Final = 16
"""A decimal point and 15 digits: rounding to 15 changes no number that is no longer, as most are."""


class MisfitError(LiquidTypeError):
    """A value of a kind that does not fit. The text names kinds, never the value.

    `is_argument`: it is an argument of the filter, not what the filter is applied to.
    """

    def __init__(self, detail: str, found: str, expected: str, *, is_argument: bool = False) -> None:
        super().__init__(detail, token=None)
        self.found, self.expected, self.is_argument = found, expected, is_argument


def kind_of(value: object) -> str:
    """Returns the kind of a value in words, such as `a list`."""
    match value:
        case None | Undefined():
            return "nothing"
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case str():
            return "text"
        case list() | tuple() | range():
            return "a list"
    return "an object"


def number_text(number: float) -> str:
    """Returns a number in decimal notation, without an exponent, without `.0`, and without rounding noise."""
    if not math.isfinite(number):
        raise MisfitError("a number is too large or none at all", "no finite number", "a number")
    shortest = repr(number)
    if len(shortest) <= _PLAIN_LENGTH and "e" not in shortest:
        plain = shortest
    else:
        rounded = f"{number:.15g}"
        plain = format(Decimal(rounded if len(rounded) <= len(shortest) - _ROUNDING_GAIN else shortest), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


def value_text(value: object) -> str:
    """Returns the text of a value that is not HTML. Raises MisfitError for lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(value)
    if value is None:
        return ""
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, Decimal):
        return number_text(float(value))
    if isinstance(value, list | tuple | Mapping) and not isinstance(value, Undefined):
        kind = kind_of(value)
        remedy = "join its items or loop over them" if kind == "a list" else "print one of its fields"
        raise MisfitError(f"{kind} cannot be printed; {remedy}", kind, "text or a number")
    return str(value)  # python-liquid's own objects: nil and empty; undefined values raise here


def output_text(value: object, html: bool) -> str:
    """Returns the text of a value as `{{ }}` writes it; with `html` it is escaped."""
    text = value_text(value)
    return escape(text) if html else text


def round_half_away(number: float, digits: Any = None) -> float:
    """Rounds as people do: half away from zero, in decimal. Without digits the result is whole."""
    places = int(digits or 0)
    if isinstance(number, int) and places >= 0:
        return number
    step = Decimal(1).scaleb(-places)
    rounded = Decimal(repr(number)).quantize(step, rounding=ROUND_HALF_UP, context=_EXACT)
    return int(rounded) if places <= 0 else float(rounded)
