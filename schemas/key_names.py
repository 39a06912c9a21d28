"""Names of keys: of a person or a program. Two names that people cannot tell apart are one name.

That an approver is another person than the editor is decided by names, so `eve` in Cyrillic or full-width letters, or
with an invisible character, must not be somebody else. After the idea of Unicode Technical Standard 39: a name has one
normal form, letters of one script, and a skeleton by which it is compared.
"""

import unicodedata
from typing import Final

from schemas.text import is_visible

_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, invisible format characters, surrogates, private use, unassigned, separators of lines."""
_COMPARED_SCRIPTS: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")
"""Scripts with letters that look like those of another. Names in other scripts may have Latin letters beside them."""
_LOOK_ALIKES: Final = str.maketrans(
    (  # Cyrillic, Greek, Armenian, Latin letters and digits
        "аеёорсухіїјѕһԁԛԝѵӏкмнтвгпьαορνυικτχγϲϳεηβωμոսօհցզյքıɑɡʋłøđ01|"
    ),
    ("aeeopcyxiijshdqwvlkmhtbrnbaopvuiktxycjenbwunuohgqjfiagulodoll"),
)
"""What is taken for a Latin letter, after folding of case and accents."""


def describe_bad_name(name: str) -> str | None:
    """What is wrong with a name for a key; None for a good one."""
    bad = next((each for each in name if unicodedata.category(each) in _FORBIDDEN_CATEGORIES), None)
    if bad is not None:
        return f"holds the invisible or control character U+{ord(bad):04X}; leave it out"
    if name != name.strip() or not name.strip():
        return "begins or ends with a blank; leave it out"
    if not is_visible(name):
        return "consists of marks alone; begin with a letter"
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
        if unicodedata.category(each) not in _FORBIDDEN_CATEGORIES and not unicodedata.combining(each)
    )
    return "".join("".join(visible).translate(_LOOK_ALIKES).split())


def _script_of(letter: str) -> str | None:
    if unicodedata.category(letter)[0] != "L":
        return None
    first = unicodedata.name(letter, "").partition(" ")[0]
    return first if first in _COMPARED_SCRIPTS else None
