"""What a template's source must keep to before anything parses it: every `{{` and `{%` has an end, none is long, and
there are not too many.

python-liquid's scanner, and ours for HTML, look for the end of each opening with regular expressions. Without an end
they look through the whole rest of the text for each opening, and white space makes that worse: 16 KB took a quarter
of a minute. This scan is linear, and what it lets through is parsed in milliseconds.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from services.template.template_errors import TemplateSyntaxError

MAX_MARKUP_LENGTH: Final = 2000
"""Characters between an opening and its end."""
MAX_MARKUPS: Final = 2000
"""Outputs and tags of one template."""
MAX_BLANKS: Final = 200
"""Blanks in a row within an output or a tag."""
MAX_WORDS: Final = 10_000
"""Names, numbers and texts in all outputs and tags of one template. As measured, each takes 20 us to compile."""
MAX_BRACKETS: Final = 8
"""Brackets in brackets: python-liquid writes the path `a[b[c]]` out anew at each level."""
_WORD: Final = re.compile(r"\w+")
_BRACKET: Final = re.compile(r"[\[\]]")
_OPENING: Final = re.compile(r"\{[{%]")
_ENDS: Final = {"{{": "}}", "{%": "%}"}
_VERBATIM: Final = ("raw", "comment", "doc")
"""Blocks whose content is no markup."""


class Markup(NamedTuple):
    """An output or a tag: its first and one past its last character."""

    start: int
    end: int


def check_source(source: str) -> None:
    """Raises TemplateSyntaxError, with the place, for what would take long to parse."""
    openings = [found.start() for found in islice(_OPENING.finditer(source), MAX_MARKUPS + 1)]
    if len(openings) > MAX_MARKUPS:  # those within `raw` and `comment` count as well: parsers look at them
        raise _error(source, openings[-1], f"a template has at most {MAX_MARKUPS} outputs and tags")
    words = 0
    for start, end in find_markups(source):
        words += sum(1 for _ in _WORD.finditer(source, start, end))
        if words > MAX_WORDS:
            raise _error(source, start, f"the outputs and tags of a template have at most {MAX_WORDS} words")
        _check_brackets(source, start, end)


def count_words(source: str) -> int:
    """Returns how many words there are in the outputs and tags of a template; 0 for one that `check_source` refuses."""
    try:
        return sum(1 for start, end in find_markups(source) for _ in _WORD.finditer(source, start, end))
    except TemplateSyntaxError:
        return 0


def _check_brackets(source: str, start: int, end: int) -> None:
    depth = 0
    for found in _BRACKET.finditer(source, start, end):
        depth = depth + 1 if found[0] == "[" else max(0, depth - 1)
        if depth > MAX_BRACKETS:
            raise _error(source, start, f"brackets in more than {MAX_BRACKETS} others")


def find_markups(source: str) -> Iterator[Markup]:
    """Yields the outputs and tags in order; the content of `raw` and `comment` is text. Raises TemplateSyntaxError."""
    position = 0
    while (found := _OPENING.search(source, position)) is not None:
        start, end = found.start(), _end_of(source, found.start())
        yield Markup(start, end)
        position = end
        name = _tag_name(source, start, end)
        if name in _VERBATIM:
            position = _end_of_block(source, start, end, name)


def blank_markups(source: str) -> str:
    """Returns the source with blanks in place of outputs and tags, of the same length and with the same lines."""
    pieces: list[str] = []
    position = 0
    for start, end in find_markups(source):
        inside = source[start:end]
        pieces += [source[position:start], "".join("\n" if each == "\n" else " " for each in inside)]
        position = end
    return "".join((*pieces, source[position:]))


def _end_of(source: str, start: int) -> int:
    opening = source[start : start + 2]
    limit = start + MAX_MARKUP_LENGTH
    end = source.find(_ENDS[opening], start + 2, limit)
    if end < 0:
        detail = (
            f"`{opening}` is never closed"
            if len(source) <= limit
            else (f"`{opening}` is not closed within {MAX_MARKUP_LENGTH} characters")
        )
        raise _error(source, start, detail)
    if " " * MAX_BLANKS in source[start:end].translate(_AS_BLANKS):
        raise _error(source, start, f"more than {MAX_BLANKS} blanks in a row")
    return end + 2


def _tag_name(source: str, start: int, end: int) -> str:
    if source[start + 1] != "%":
        return ""
    words = source[start + 2 : end - 2].strip("-").split(None, 1)
    return words[0] if words else ""


def _end_of_block(source: str, start: int, position: int, name: str) -> int:
    """Returns the position after the tag that ends a verbatim block."""
    while (at := source.find("{%", position)) >= 0:
        end = source.find("%}", at + 2, at + MAX_MARKUP_LENGTH)
        if end >= 0 and source[at + 2 : end].strip("- \t\r\n") == f"end{name}":
            return end + 2
        position = at + 2
    raise _error(source, start, f"the block `{name}` is never closed")


def _error(source: str, index: int, detail: str) -> TemplateSyntaxError:
    line, column = source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)
    return TemplateSyntaxError(line, column, detail)


_AS_BLANKS: Final = str.maketrans("\t\r\n\v\f", "     ")
