"""Who asks for links: browsers, programs that fetch ahead, and scanners."""

from __future__ import annotations

import pytest

from services.orchestrator.delivery.links.machine_requests import is_machine, is_prefetch


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari", False),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)", False),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", False),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", False),
        ("Mozilla/5.0 (Linux; Android 14; CUBOT NOTE 50) AppleWebKit/537.36 Chrome/130.0 Mobile Safari", True),
        ("Mozilla/5.0", True),  # Apple's proxy
        ("", True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        ("Mozilla/5.0 (compatible; MSIE 9.0) BingPreview/1.0b", True),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", True),
        ("WhatsApp/2.23", True),
        ("facebookexternalhit/1.1", True),
        ("python-requests/2.32", True),
        ("curl/8.5.0", True),
        ("Go-http-client/2.0", True),
        ("Mozilla/5.0 HeadlessChrome/130.0", True),
        ("Barracuda Sentinel (EE)", True),
    ],
)
def test_user_agents(user_agent: str, expected: bool) -> None:
    assert is_machine(user_agent) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sec-purpose": "prefetch;prerender"}, True),
        ({"purpose": "prefetch"}, True),
        ({"x-purpose": "preview"}, True),
        ({"x-moz": "prefetch"}, True),
        ({}, False),
        ({"sec-fetch-mode": "navigate"}, False),
    ],
)
def test_what_is_fetched_ahead(headers: dict[str, str], expected: bool) -> None:
    assert is_prefetch(headers) is expected
