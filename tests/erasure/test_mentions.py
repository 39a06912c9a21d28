"""Texts are found in bytes in whatever form they are written, and only as whole words."""

import json
from html import escape
from urllib.parse import quote, urlencode

import pytest

from services.erasure.mentions import is_mentioned

WHO = 'zoë "z" <b>/7'


@pytest.mark.parametrize(
    "written",
    [WHO, json.dumps({"a": WHO}), json.dumps(WHO, ensure_ascii=False), escape(WHO), quote(WHO), urlencode({"c": WHO})],
)
def test_every_form_is_found(written: str) -> None:
    assert is_mentioned([WHO], b"\x00" + written.encode() + b"\xff")


@pytest.mark.parametrize(
    ("data", "found"), [(b"27", False), (b"7a", False), (b'"7"', True), (b"/7/", True), (b"", False)]
)
def test_only_whole_words_count(data: bytes, found: bool) -> None:
    assert is_mentioned(["7"], data) is found
