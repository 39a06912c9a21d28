"""Finds customers by name or address: keys that are kept beside the states, in the table `customer_lookup`.

A key is written with the state that it is made of, in the same transaction. It holds nothing that the state does not
hold. Names are folded, so that case and accents do not matter, and kept once from each of their words on, so that a
surname is found by a prefix too. Addresses have their canonical form.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_by_channel, comparable_form
from schemas.facts import Preference

NAME: Final = "name"
ADDRESS: Final = "address"
MAX_KEY_LENGTH = 200
MIN_NAME_LENGTH = 2
"""Of a name in Latin letters. One character of another script can be a whole name."""
MAX_WORDS = 6
"""At most so many words of a name are keys."""
_WORD = re.compile(r"\w+")

LookupKey = tuple[str, str]
"""NAME or ADDRESS, and the value."""


def lookup_keys(preference: Preference) -> frozenset[LookupKey]:
    """The keys under which this customer is found."""
    names = {key for name in _names(preference) for key in _name_keys(name)}
    addresses = {comparable_form(item.channel, item.canonical_form)[:MAX_KEY_LENGTH] for item in preference.addresses}
    return frozenset({(NAME, key) for key in names} | {(ADDRESS, key) for key in addresses if key})


def fold_name(text: str) -> str:
    """A name without case, accents and punctuation: `Zoë O'Brien` and `zoe o brien` are one."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(_WORD.findall(plain.casefold()))


def name_to_find(text: str) -> str:
    """The folded beginning of a name to look for; empty for what would match too many."""
    folded = fold_name(text)[:MAX_KEY_LENGTH]
    return folded if len(folded) >= MIN_NAME_LENGTH or not folded.isascii() else ""


def address_values(text: str, region: str | None) -> list[str]:
    """What an address could be stored as, by each channel for which the text is an address."""
    try:
        forms = canonical_by_channel(None, text, region)
    except BadAddress:
        return []
    return sorted({comparable_form(channel, form)[:MAX_KEY_LENGTH] for channel, form in forms.items()})


def _names(preference: Preference) -> Iterator[str]:
    traits: Any = msgspec.json.decode(preference.traits)
    if not isinstance(traits, dict):
        return
    for parts in (("name",), ("first_name", "last_name"), ("given_name", "family_name")):
        texts = [traits[part] for part in parts if isinstance(traits.get(part), str)]
        if texts:
            yield " ".join(texts)


def _name_keys(name: str) -> Iterator[str]:
    words = fold_name(name[: 2 * MAX_KEY_LENGTH]).split()[:MAX_WORDS]
    for start in range(len(words)):
        yield " ".join(words[start:] + words[:start])[:MAX_KEY_LENGTH]
