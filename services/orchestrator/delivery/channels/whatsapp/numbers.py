"""The numbers that one member of WhatsApp may be known by.

WhatsApp knows its members by numbers that stem from the day on which they joined (`wa_id`). In three countries the
numbers that one dials have changed since, or are dialled otherwise from abroad [from memory, not from Meta's
documents]: in Mexico the 1 after 52 is gone, in Brazil mobile numbers have got a 9 after the area, in Argentina mobile
numbers have a 9 after 54 in the international form alone.
"""

import re
from typing import Final

_SPELLINGS: Final = (
    (re.compile(r"\+521?(\d{10})"), ("+52{}", "+521{}")),
    (re.compile(r"\+55(\d\d)9?([6-9]\d{7})"), ("+55{}9{}", "+55{}{}")),
    (re.compile(r"\+549?(\d{10})"), ("+549{}", "+54{}")),
)
"""Numbers -> how each is written now, and how else."""


def number_spellings(number: str) -> tuple[str, ...]:
    """The number itself, and what else the same member may be written to under."""
    for pattern, forms in _SPELLINGS:
        if (found := pattern.fullmatch(number)) is not None:
            return tuple(dict.fromkeys((number, *(form.format(*found.groups()) for form in forms))))
    return (number,)
