"""Locales of customers and of content: BCP 47 language tags, in the case that RFC 5646 recommends."""

import re
from functools import lru_cache

from langcodes import Language
from langcodes.tag_parser import LanguageTagError

_FIRST_SUBTAG = re.compile(r"[A-Za-z]{2,3}(-|$)|[ix]-", re.IGNORECASE)
_SINGLETON = re.compile(r"-([0-9a-wyz])(?=-)", re.IGNORECASE)
MAX_LOCALE_LENGTH = 128
_POSIX_LOCALE = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(-(?P<region>[A-Za-z]{2}))?(?=[.@])(\.[^@]*)?(@(?P<modifier>.*))?", re.DOTALL
)
_SUBTAGS_OF_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "valencia": "valencia"}


@lru_cache(4096)
def parse_locale(text: str) -> str:
    """The canonical spelling of a tag: `de_de` and `DE-de` are `de-DE`; extensions and private use are kept.

    Raises ValueError for what is not well-formed.
    """
    tag = text.replace("_", "-")
    try:
        if len(tag) > MAX_LOCALE_LENGTH or not _FIRST_SUBTAG.match(tag) or _repeats_an_extension(tag):
            raise ValueError
        Language.get(tag, normalize=False)
    except (LanguageTagError, ValueError):
        raise ValueError(f"not a language tag (BCP 47), such as de or en-GB{_suggestion(tag)}") from None
    return _write_in_recommended_case(tag)


def _write_in_recommended_case(tag: str) -> str:
    """The tag in the case of RFC 5646, section 2.1.1: two letters are a region, four a script, unless they come first
    or below a single letter. The order stays: `sl-rozaj-biske` must fall back to `sl-rozaj`, which langcodes, sorting
    variants, would not do.
    """
    first, *rest = tag.lower().split("-")
    written = [first]
    is_below_single_letter = len(first) == 1
    for subtag in rest:
        is_below_single_letter = is_below_single_letter or len(subtag) == 1
        if is_below_single_letter or len(subtag) not in (2, 4) or not subtag.isalpha():
            written.append(subtag)
        else:
            written.append(subtag.upper() if len(subtag) == 2 else subtag.title())
    return "-".join(written)


def _repeats_an_extension(tag: str) -> bool:
    """Whether an extension's letter appears twice; what follows `-x-` is private, and may be anything."""
    letters = _SINGLETON.findall(re.split("-x-", tag, maxsplit=1, flags=re.IGNORECASE)[0].lower())
    return len(set(letters)) != len(letters)


def _suggestion(tag: str) -> str:
    """The tag of a POSIX locale, such as `de_DE.UTF-8` or `sr_RS@latin`; else nothing."""
    found = _POSIX_LOCALE.fullmatch(tag)
    if found is None:
        return ""
    modifier = _SUBTAGS_OF_MODIFIERS.get((found["modifier"] or "").lower(), "")
    is_script = len(modifier) == 4
    parts = (found["language"], modifier if is_script else "", found["region"], "" if is_script else modifier)
    return f", did you mean `{parse_locale('-'.join(part for part in parts if part))}`?"
