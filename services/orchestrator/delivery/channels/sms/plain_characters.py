"""Which characters make a text expensive for nothing, and what to write in their place.

One typographic quote is enough for the whole text to be sent as UCS-2, with 70 characters a part in place of 160. Only
what changes neither the words nor their spelling is proposed: quotes, dashes, blanks, invisible characters and emoji;
letters such as ê are as their language wants them.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final

from services.orchestrator.delivery.channels.sms.parts import GSM, count_in_words, split_sms

PLAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys("‘’‚‛′´`ʼʻ‹›", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("•·‣●", "-"),
    **dict.fromkeys("\t\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
    **dict.fromkeys("\u00ad\u200b\u200c\u200e\u200f\u2060\ufeff", ""),
    "…": "...",
    "⁄": "/",
    "×": "x",
    "ﬁ": "fi",
    "ﬂ": "fl",
    "™": "TM",
    "©": "(c)",
    "®": "(R)",
    "№": "No.",
}
"""Character -> what to write for it."""
MAX_NAMED: Final = 4
"""How many characters a suggestion names."""
_PICTURES: Final = frozenset({"So", "Sk", "Cf"})
_VARIATION_SELECTORS: Final = range(0xFE00, 0xFE10)


def write_plainly(text: str) -> str:
    """The text with plain characters, without emoji and what is invisible."""
    return "".join(PLAIN.get(each, "" if _is_picture(each) else each) for each in text)


def suggest_plain_characters(text: str) -> str | None:
    """How to save parts without changing a word, such as `write ' for ’ (right single quotation mark): 1 part, not 2`;
    None where that saves none.
    """
    parts = split_sms(text)
    if parts.encoding == GSM:
        return None
    plain = write_plainly(text)
    fewer = len(split_sms(plain).texts)
    if not plain.strip() or fewer >= len(parts.texts):
        return None
    return f"{name_replacements(parts.outside)}: {count_in_words(fewer)}, not {len(parts.texts)}"


def name_replacements(outside: str) -> str:
    """What to write for these characters, and what to leave out; empty if nothing can be proposed."""
    mended = [each for each in without_joiners(outside) if each in PLAIN or _is_picture(each)]
    named = mended[:MAX_NAMED]
    written = [f"{_show_plain(PLAIN[each])} for {describe_character(each)}" for each in named if PLAIN.get(each)]
    left_out = [describe_character(each) for each in named if not PLAIN.get(each)]
    steps = [f"write {', '.join(written)}" if written else "", f"leave out {', '.join(left_out)}" if left_out else ""]
    more = f", and {len(mended) - MAX_NAMED} more likewise" if len(mended) > MAX_NAMED else ""
    return " and ".join(filter(None, steps)) + more


def _show_plain(plain: str) -> str:
    return "a blank" if plain == " " else plain


def describe_character(character: str) -> str:
    """A character and its name, or its code where it cannot be seen."""
    shown = character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"
    if unicodedata.category(character) == "Mn":
        shown = f"U+{ord(character):04X}"
    name = "tabulator" if character == "\t" else unicodedata.name(character, "").lower()
    return f"{shown} ({name})" if name else shown


def without_joiners(outside: str) -> str:
    """The characters without those that only join emoji or choose their look, unless there are no others."""
    return "".join(each for each in outside if each != "\u200d" and ord(each) not in _VARIATION_SELECTORS) or outside


def _is_picture(character: str) -> bool:
    """Whether it is an emoji or a part of one, or shows nothing."""
    return unicodedata.category(character) in _PICTURES or ord(character) in _VARIATION_SELECTORS
