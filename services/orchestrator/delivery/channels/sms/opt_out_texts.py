"""The table in the setting `opt_out_texts`: what advertising says, in each country, of how to stop it."""

import re
from functools import lru_cache
from typing import Annotated, Final

from pydantic import StringConstraints, TypeAdapter, ValidationError

from schemas.address_kinds import REGIONS
from services.orchestrator.delivery.channels.sms.parts import GSM, split_sms
from services.orchestrator.delivery.channels.sms.prices import OTHER_COUNTRIES

MAX_OPT_OUT_TEXT: Final = 70
"""Characters: half of a part is left for the message."""
OptOutText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=4, max_length=MAX_OPT_OUT_TEXT)]
_TABLE: Final = TypeAdapter(dict[str, OptOutText])
_TELLING_WORD: Final = re.compile(r"\b(?:[A-Z]{3,}|[0-9]{3,})\b")
"""A keyword, or the number that it is sent to."""


@lru_cache(maxsize=8)
def parse_opt_out_texts(text: str) -> dict[str, str]:
    """Country, or `*` for all others -> the text. Raises ValidationError."""
    return _TABLE.validate_json(text) if text else {}


def check_opt_out_texts(text: str) -> str:
    """The text of a table, or an empty one. Raises ValueError, which says what is wrong."""
    try:
        table = parse_opt_out_texts(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'/'.join(map(str, first['loc']))}: {first['msg']}") from None
    for country, words in table.items():
        if country != OTHER_COUNTRIES and country not in REGIONS:
            raise ValueError(f"{country}: write a country such as US, or {OTHER_COUNTRIES} for all others")
        parts = split_sms(words)
        if parts.encoding != GSM or not words.isprintable():
            raise ValueError(f"{country}: use characters of the GSM alphabet alone, on one line")
    return text


def holds_opt_out(text: str, words: str) -> bool:
    """Whether a message says already how to stop: it has the words, or their keywords in capitals and their numbers,
    as `Text STOP to end` has of `Reply STOP to opt out`.
    """
    if " ".join(words.casefold().split()) in " ".join(text.casefold().split()):
        return True
    telling = set(_TELLING_WORD.findall(words))
    return bool(telling) and telling.issubset(_TELLING_WORD.findall(text))
