"""Settings of links of our own: what is refused, and why."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.orchestrator.link_settings import LinkSettings

KEY, OTHER = "a-key-of-the-tests-0123456789-abc", "another-key-of-the-tests-0123456789"


def test_nothing_is_on_by_default() -> None:
    assert (LinkSettings().base_url, LinkSettings().keys) == (None, ())


def test_the_first_key_is_the_one_that_seals() -> None:
    given = LinkSettings.model_validate({"key": KEY, "previous_key": OTHER})
    assert given.keys == (KEY, OTHER)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://links.example/", "https://links.example"),
        ("https://links.example/mail/", "https://links.example/mail"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
    ],
)
def test_the_base_may_be(given: str, expected: str) -> None:
    assert LinkSettings.model_validate({"base_url": given, "key": KEY}).base_url == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"base_url": "https://links.example"}, "KEY is not set"),
        ({"previous_key": KEY}, "KEY is not set"),
        ({"key": "short"}, "16"),
        ({"key": "a" * 40}, "different characters"),
        ({"base_url": "http://links.example", "key": KEY}, "https://"),
        ({"base_url": "https://links.example/?a=b", "key": KEY}, "host and path alone"),
        ({"base_url": "https://me@links.example/", "key": KEY}, "host and path alone"),
        ({"base_url": "https://bücher.example/", "key": KEY}, "host and path alone"),
        ({"base_url": f"https://links.example/{'a' * 200}", "key": KEY}, "at most 200"),
        ({"base_url": "links.example", "key": KEY}, "whole address"),
        ({"classes": "marketing, servce"}, "service"),
        ({"days": 30}, "90"),
        ({"machine_seconds": -1}, "0"),
    ],
)
def test_what_is_refused_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as refused:
        LinkSettings.model_validate(given)
    assert KEY not in str(refused.value)
