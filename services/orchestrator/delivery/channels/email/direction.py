"""Finds HTML whose text runs from right to left while no element says so.

Mail programs set such a text from left to right: its lines begin on the wrong side, and full stops and numbers stand in
the wrong place. The sandbox inbox shows it so, too, because that is what customers would see.
"""

import re
from typing import Final

from schemas.finding import Finding, warning
from services.orchestrator.delivery.channels.email.html_text import html_to_text
from services.template import blank_markups

_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
"""Letters of Hebrew, Arabic, Syriac, Thaana, N'Ko, Adlam and others that are written so."""
_SAYS_SO: Final = re.compile(r"\bdir\s*=\s*[\"']?(?:rtl|auto)|\bdirection\s*:\s*rtl", re.IGNORECASE)
_LETTER: Final = re.compile(r"[^\W\d_]")


def find_missing_direction(field: str, source: str) -> list[Finding]:
    """A warning where most letters of a field's text are written from right to left, and it never says so."""
    if _RIGHT_TO_LEFT.search(source) is None or _SAYS_SO.search(source) is not None:
        return []
    text = html_to_text(blank_markups(source))
    written_so = len(_RIGHT_TO_LEFT.findall(text))
    if 2 * written_so <= len(_LETTER.findall(text)):
        return []
    detail = "the text is written from right to left, and mail programs set it from left to right unless it says so"
    return [warning(f"/{field}", "no_direction", detail, f"write {_remedy(field)} around all of it")]


def _remedy(field: str) -> str:
    return '<mjml dir="rtl">' if field == "mjml" else '<div dir="rtl">'
