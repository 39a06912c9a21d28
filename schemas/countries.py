"""Countries by their ISO 3166 codes of two letters, as the tz database's `iso3166.tab` lists them."""

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from babel.core import get_global

_USED_WITHOUT_ISO = frozenset({"XK"})
"""Kosovo has no code of ISO 3166 yet; the EU, CLDR, banks and airlines use this one of its private range."""
_USUAL_MISTAKES: Mapping[str, str] = {"EL": "GR", "ENGLAND": "GB", "USA": "US", "HOLLAND": "NL", "DEUTSCHLAND": "DE"}


@cache
def country_names() -> Mapping[str, str]:
    """The English name of each country, by its code."""
    text = resources.files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


def parse_country(text: str) -> str:
    """The code in capital letters. Raises ValueError, with a suggestion, for what is not a country's code."""
    code = text.upper()
    if len(text) == 2 and (code in country_names() or code in _USED_WITHOUT_ISO):  # `ß` in capitals is `SS`
        return code
    raise ValueError(f"not a country's code of ISO 3166, such as DE{_suggestion(code)}")


def _suggestion(word: str) -> str:
    """`, did you mean ...?` for a former code, one of three letters or digits, and for a name; else nothing."""
    known = _USUAL_MISTAKES.get(word) or next(iter(get_global("territory_aliases").get(word, ())), None)
    if known in country_names():
        return f", did you mean `{known}`?"
    codes = {name.upper(): code for code, name in country_names().items()}
    if word in codes:
        return f", did you mean `{codes[word]}`?"
    similar = difflib.get_close_matches(word, codes, 1, 0.75) if len(word) > 3 else []
    return f", did you mean `{codes[similar[0]]}`?" if similar else ""
