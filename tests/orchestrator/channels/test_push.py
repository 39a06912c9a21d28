"""Push: tokens, limits, links."""

import pytest

from services.kit.template import RenderError
from services.orchestrator.channels import BadAddress
from services.orchestrator.channels.push import PUSH


@pytest.mark.parametrize("token", ["", "a b", "a\n", "ä", "x" * 2049])
def test_a_token_is_visible_ascii(token: str) -> None:
    assert PUSH.normalise("token-c-1") == "token-c-1"
    with pytest.raises(BadAddress):
        PUSH.normalise(token)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"title": "a" * 101, "body": "x"}, "too_long"),
        ({"title": "a", "body": "x" * 1001}, "too_long"),
        ({"title": "☃" * 100, "body": "\U0001f600" * 1000}, "too_long"),  # 4,300 bytes
        ({"title": "a", "body": "x", "link": "http://example.org"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "https://u:p@example.org"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "javascript:alert(1)"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "https://"}, "unsafe_link"),
        ({"title": "a", "body": "x", "link": "https://example.org/a b"}, "unsafe_link"),
        ({"title": "a\nb", "body": "x"}, "control_character"),
        ({"title": "a", "body": "x", "link": "https://example.org/a?b=c#d"}, None),
    ],
)
def test_limits_hold_when_saved_and_when_rendered(content: dict[str, str], code: str | None) -> None:
    found = PUSH.check(content, True)
    assert [each for _, each, _ in found] == ([code] if code else [])
    if code:
        with pytest.raises(RenderError):
            PUSH.render(PUSH.compile(content), {}, True)
