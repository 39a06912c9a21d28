"""Finds whether bytes mention an id: in stored answers and reports, which no column ties to a customer."""

import html
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

_WORD: Final = rb"[0-9A-Za-z_]"


def written_forms(text: str) -> tuple[bytes, ...]:
    """The text as bytes in each encoding in which JSON, HTML and URLs write it."""
    forms = (
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        html.escape(text),
        quote(text, safe=""),
        quote(text),
        quote_plus(text),
    )
    return tuple(dict.fromkeys(form.encode("utf-8", "surrogatepass") for form in forms))


def is_mentioned(texts: Iterable[str], data: bytes) -> bool:
    """Whether one of the texts stands in the data as a whole word: `7` is not mentioned in `27`."""
    return any(
        re.search(rb"(?<!%s)%s(?!%s)" % (_WORD, re.escape(form), _WORD), data)
        for text in texts
        for form in written_forms(text)
    )
