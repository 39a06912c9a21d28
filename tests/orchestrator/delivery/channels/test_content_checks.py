"""The checks that channels share: no character that they refuse slips through a quicker way of looking."""

import sys

import pytest

from services.orchestrator.delivery.channels import content_checks
from services.orchestrator.delivery.channels.content_checks import (
    clean_https_link,
    clean_line,
    clean_text,
    has_control_character,
)
from services.template import RenderError

CONTROLS = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000)}


@pytest.mark.parametrize("around", ["a{}b", "é{}"])
@pytest.mark.parametrize("allowed", ["", "\n\r\t"])
def test_every_control_character_is_found_and_no_other(around: str, allowed: str) -> None:
    found = {code for code in range(0x11000) if has_control_character(around.format(chr(code)), allowed)}
    assert found == CONTROLS - {ord(each) for each in allowed}


def test_a_link_holds_no_white_space_and_no_quotes() -> None:
    refused = {chr(code) for code in range(sys.maxunicode + 1) if content_checks._NOT_IN_LINKS.search(chr(code))}
    assert refused == {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()} | set('<>"\\')
    for each in ("\u3000", "\u00a0", "\\"):
        with pytest.raises(RenderError):
            clean_https_link("link", f"https://example.org/a{each}b")


@pytest.mark.parametrize("text", ["=?utf-8?q?a=0Ab?=", "a =?utf-8?b?AA==?=", "=?nope?q?a?=", "a\u2028b", "a\x85b"])
def test_one_line_has_no_controls_not_even_in_encoded_words(text: str) -> None:
    with pytest.raises(RenderError) as caught:
        clean_line("title", text, 100)
    assert caught.value.code == "control_character"
    assert clean_line("title", " =?utf-8?q?a?= ", 100) == "=?utf-8?q?a?="


def test_a_body_may_have_lines_and_tabs() -> None:
    assert clean_text("body", " a\r\n\tb ☃\n", 100) == "a\r\n\tb ☃"
    with pytest.raises(RenderError):
        clean_text("body", "a\x0bb", 100)
