"""Cuts texts for lines with little room, between whole characters as people see them."""

import unicodedata
from typing import Final

_JOINER: Final = "\u200d"
_MARKS: Final = frozenset({"Mn", "Mc", "Me"})


def cut_text(text: str, most: int) -> str:
    """The first `most` code points of a text, less the beginning of what they would cut apart: a letter with its
    accent, a family of emoji, a flag. One that is longer than `most` on its own is cut all the same.
    """
    end = min(most, len(text))
    while 0 < end < len(text) and _belongs_together(text, end):
        end -= 1
    return text[: end or most]


def _belongs_together(text: str, place: int) -> bool:
    """Whether what stands before a place and what follows are seen as one."""
    before, after = text[place - 1], text[place]
    if _JOINER in (before, after) or unicodedata.category(after) in _MARKS or _is_modifier(after):
        return True
    return _is_flag_letter(after) and _count_flag_letters(text, place) % 2 == 1


def _is_modifier(character: str) -> bool:
    """Whether it is a colour of skin, or a tag of a flag such as Scotland's."""
    return "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"


def _is_flag_letter(character: str) -> bool:
    """Whether it is a regional indicator: two of them are a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _count_flag_letters(text: str, end: int) -> int:
    """How many of them stand in a row just before a place."""
    start = end
    while start > 0 and _is_flag_letter(text[start - 1]):
        start -= 1
    return end - start
