"""Names of keys: of a person or a program. Two names that people cannot tell apart are one name.

That an approver is another person than the editor is decided by names, so `eve` in Cyrillic or full-width letters, or
with an invisible character, must not be somebody else. After the idea of Unicode Technical Standard 39: a name has one
normal form, letters of one script that is in common use, and a skeleton by which it is compared.
"""

import re
import unicodedata
from typing import Final

from schemas.text import is_visible

_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, invisible format characters, surrogates, private use, unassigned, separators of lines."""
_COMPARED_SCRIPTS: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN")
"""Scripts with letters that look like those of another. Names in other scripts may have Latin letters beside them."""
_OTHER_SCRIPTS: Final = frozenset(
    {"ARABIC", "BENGALI", "BOPOMOFO", "CJK", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GUJARATI", "GURMUKHI", "HANGUL"}
    | {"HEBREW", "HIRAGANA", "IDEOGRAPHIC", "KANNADA", "KATAKANA", "KATAKANA-HIRAGANA", "KHMER", "LAO", "MALAYALAM"}
    | {"MYANMAR", "ORIYA", "SINHALA", "TAMIL", "TELUGU", "THAANA", "THAI", "TIBETAN"}
)
"""The other scripts that the standard recommends for names, by the first word of their letters' names. The rest write
whole words of Latin letters with their own: those of Lisu, Cherokee and Canadian Aboriginal do."""
_BASE_LETTER: Final = re.compile(
    r"LATIN (?:(?:SMALL|CAPITAL) LETTER (?:DOTLESS |SCRIPT |OPEN |REVERSED |LONG )?|LETTER SMALL CAPITAL )([A-Z])"
    r"(?: WITH .*)?"
)
"""Letters that are another one with a stroke or a hook, or a small capital: what no decomposition takes apart."""
_LOOK_ALIKES: Final = str.maketrans(
    (  # Cyrillic, Greek, Armenian, Latin letters and digits
        "аеёорсухіїјѕһԁԛԝѵӏкмнтвгпьαορνυικτχγϲϳεηβωμոսօհցզյքıɑɡʋłøđ01|"
    ),
    ("aeeopcyxiijshdqwvlkmhtbrnbaopvuiktxycjenbwunuohgqjfiagulodoll"),
)
"""What is taken for a Latin letter, after folding of case and accents."""
_KEPT: Final = frozenset(chr(each) for each in _LOOK_ALIKES)


def describe_bad_name(name: str) -> str | None:
    """What is wrong with a name for a key; None for a good one."""
    bad = next((each for each in name if unicodedata.category(each) in _FORBIDDEN_CATEGORIES), None)
    if bad is not None:
        return f"holds the invisible or control character U+{ord(bad):04X}; leave it out"
    if name != name.strip() or not name.strip():
        return "begins or ends with a blank; leave it out"
    if not is_visible(name):
        return "consists of marks alone; begin with a letter"
    odd = next((each for each in name if not each.isascii() and _is_odd(each)), None)
    if odd is not None:
        return f"holds U+{ord(odd):04X}, which may be taken for something else; use letters in common use, digits and -"
    normal = unicodedata.normalize("NFKC", name)
    if normal != name:
        return f"has letters in another form than usual; write `{normal}`"
    scripts = {script for script in map(_script_of, name) if script is not None}
    if len(scripts) > 1:
        return f"mixes letters of {' and '.join(sorted(each.title() for each in scripts))}; use those of one"
    return None


def skeleton(name: str) -> str:
    """By what two names are compared: equal for names that people may take for the same."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    visible = (
        each
        for each in decomposed
        if unicodedata.category(each) not in _FORBIDDEN_CATEGORIES
        and not unicodedata.combining(each)
        and unicodedata.category(each) not in ("Mn", "Me")
    )
    return "".join("".join(map(_base_letter, visible)).translate(_LOOK_ALIKES).split())


def _base_letter(letter: str) -> str:
    if letter.isascii() or letter in _KEPT:
        return letter
    if unicodedata.category(letter) == "Pd":
        return "-"
    found = _BASE_LETTER.fullmatch(unicodedata.name(letter, ""))
    return found[1].lower() if found else letter


def _is_odd(letter: str) -> bool:
    """Whether a letter, mark or sign is of no use in a name but to look like another."""
    category = unicodedata.category(letter)
    if category[0] == "L":
        first = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "").partition(" ")[0]
        return first not in _COMPARED_SCRIPTS and first not in _OTHER_SCRIPTS
    return category[0] == "S" or category in ("Me", "Pd") or "VARIATION SELECTOR" in unicodedata.name(letter, "")


def _script_of(letter: str) -> str | None:
    if unicodedata.category(letter)[0] != "L":
        return None
    first = unicodedata.name(letter, "").partition(" ")[0]
    return first if first in _COMPARED_SCRIPTS else None
