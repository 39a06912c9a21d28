"""The fonts of letters: how wide a text is, and which characters they have. DejaVu Sans Condensed, which is shipped."""

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from fontTools.ttLib import TTFont

from services.orchestrator.delivery.channels.content_checks import has_control_character
from services.template import RenderError

FOLDER: Final = Path(__file__).parent / "fonts"
FILES: Final = {False: FOLDER / "DejaVuSansCondensed.ttf", True: FOLDER / "DejaVuSansCondensed-Bold.ttf"}
"""The file of each weight; True is bold."""
POINT: Final = 25.4 / 72
"""Millimetres."""
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f"))
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"})


class _Metrics(NamedTuple):
    widths: dict[int, float]
    """Of each character, in parts of the font's size."""


@lru_cache(maxsize=2)
def _metrics(bold: bool) -> _Metrics:
    with TTFont(FILES[bold], lazy=True) as font:
        em = font["head"].unitsPerEm
        advances = font["hmtx"].metrics
        return _Metrics({code: advances[name][0] / em for code, name in font.getBestCmap().items()})


def width_of(text: str, bold: bool, size: float) -> float:
    """Millimetres of a text in one line. `size`: points."""
    widths = _metrics(bold).widths
    return sum(widths[ord(character)] for character in text) * size * POINT


def printable(field: str, text: str) -> str:
    """The text as it can be printed: composed letters, without what is invisible. Raises RenderError `unprintable` for
    a character that the fonts lack, or whose script is written from right to left or joins its letters.
    """
    composed = unicodedata.normalize("NFC", text).translate(_INVISIBLE)
    if has_control_character(composed, allowed="\n\r\t"):
        raise RenderError("control_character", f"{field} holds a control character", field=field)
    if composed.isascii():
        return composed
    for character in composed:
        if unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
            detail = f"{field} holds text that is written from right to left, which letters cannot show"
            raise RenderError("unprintable", detail, field=field)
        is_known = all(ord(character) in _metrics(bold).widths for bold in (False, True))
        if character not in "\n\t\r" and (not is_known or unicodedata.category(character) in ("Mn", "Me")):
            script = unicodedata.name(character, "unnamed").split()[0]
            detail = f"{field} holds a character that the font of letters lacks ({script})"
            raise RenderError("unprintable", detail, field=field)
    return composed
