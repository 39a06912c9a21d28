"""Small pieces of sentences that declarations of rules share: plurals, lists, channels and kinds of values."""

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.times import describe_duration, parse_duration

_KINDS: Final = {
    "text": "a text",
    "number": "a number",
    "bool": "true or false",
    "list": "a list",
    "map": "an object",
    "timestamp": "a time",
    "duration": "a duration",
}


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 contact`, `3 contacts`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def join_words(words: Iterable[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = list(words)
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def some_of(words: Sequence[str], most: int = 3) -> str:
    """The words as a list; of many only the first, and how many more there are."""
    return join_words(words if len(words) <= most + 1 else [*words[:most], f"{len(words) - most} more"])


def channel_words(channel: object) -> str:
    """A channel within a sentence, such as `e-mail`."""
    declaration = CHANNEL_REGISTRY.declarations.get(str(channel))
    return str(channel) if declaration is None else declaration.in_sentence


def duration_words(text: object) -> str:
    """`90 days` of the duration `90d`; anything else as it is."""
    try:
        return describe_duration(parse_duration(str(text)))
    except ValueError:
        return str(text)


def kind_words(kinds: object) -> str:
    """`a number`, `a list or an object`: kinds of values, as evidence names them (`list or map`)."""
    return join_words((_KINDS.get(kind, kind) for kind in str(kinds).split(" or ")), "or")


def bare_kind_words(kind: object) -> str:
    """`text`, `true or false`: a kind of value without an article."""
    return kind_words(kind).removeprefix("a ").removeprefix("an ")
