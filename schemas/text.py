"""Text that can be kept: JSON and YAML can write characters that neither UTF-8 nor PostgreSQL can store.

These are NUL, and halves of surrogate pairs without their other half. One check at the border, for every key and value
at any depth, keeps them out; what has passed it is text everywhere else. Other control characters are data: events
bring texts from old systems, and a form feed in a comment is no reason to lose an opt-out.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

_UNUSABLE: Final = re.compile("[\x00\ud800-\udfff]")
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and symbols by their category that show nothing: fillers of Hangul, inherent vowels, the blank of Braille."""
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_NUL_ESCAPE: Final = rb"\u0000"
BAD_TEXT: Final = "bad_text"
BAD_TEXT_DETAIL: Final = "holds a NUL character or half of a surrogate pair: send text that UTF-8 can encode"


def is_storable(text: str) -> bool:
    """Whether the text can be kept."""
    return _UNUSABLE.search(text) is None


def is_visible(text: str) -> bool:
    """Whether the text shows anything: a letter, digit, sign or symbol. Blanks, control and format characters (such as
    the zero-width space) and marks that belong above or below a letter show nothing by themselves.
    """
    return any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK_LETTERS for each in text)


def clean_text(text: str) -> str:
    """The text with a question mark for each character that cannot be kept: to name a key that is refused."""
    return _UNUSABLE.sub("?", text)


def mark_half_pairs(raw: bytes) -> bytes:
    """JSON in which each escaped half of a surrogate pair has become an escaped NUL.

    That cannot be kept either, so the check finds it in the same place; but every parser takes it, while some refuse
    the whole text for half a pair. One bad character must not hide what the rest says.
    """
    return _ESCAPE.sub(lambda found: _NUL_ESCAPE if found["half"] else found[0], raw) if _HALF_PAIR.search(raw) else raw


def find_bad_texts(value: Any, pointer: str = "") -> Iterator[tuple[str, str, str]]:
    """Each text below plain values that cannot be kept, as (JSON pointer, code, detail). A key is named by itself."""
    stack: list[tuple[str, Any]] = [(pointer, value)]
    while stack:
        place, item = stack.pop()
        if isinstance(item, str):
            if not is_storable(item):
                yield place, BAD_TEXT, BAD_TEXT_DETAIL
        elif isinstance(item, dict):
            for key, child in item.items():
                inner = f"{place}/{escape_pointer(clean_text(key))}"
                if not is_storable(key):
                    yield inner, BAD_TEXT, f"the name {BAD_TEXT_DETAIL}"
                stack.append((inner, child))
        elif isinstance(item, list | tuple):
            stack.extend((f"{place}/{index}", child) for index, child in enumerate(item))


def escape_pointer(part: int | str) -> str:
    """One part of a JSON pointer."""
    return str(part).replace("~", "~0").replace("/", "~1")
