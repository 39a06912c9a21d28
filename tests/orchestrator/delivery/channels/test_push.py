"""Push: tokens, limits, links."""

import json

import pytest

from services.orchestrator.delivery.channels.push.channel import CHANNEL as PUSH
from services.template import RenderError


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
    found = PUSH.validate_content(content, True)
    assert [each.code for each in found] == ([code] if code else [])
    if code:
        with pytest.raises(RenderError):
            PUSH.render(PUSH.compile_templates(content), {}, True)


@pytest.mark.parametrize("piece", ["x", '"', "\\", "\n", "é", "☃", "\U0001f600", "\u200d"])
def test_the_payload_is_measured_in_bytes_of_json(piece: str) -> None:
    for length in (1, 500, 990, 1000):
        content = {"title": f"a{piece.strip() or 'x'}" * 10, "body": f"a{piece * (length - 2)}b"}
        content["link"] = "https://example.org/" + "x" * 1500
        size = len(json.dumps({"message": content}, ensure_ascii=False).encode())
        compiled = PUSH.compile_templates(content)
        assert (outcome := PUSH.validate_content(content, True)) == [] or size > 4096, outcome
        if size > 4096:
            with pytest.raises(RenderError) as caught:
                PUSH.render(compiled, {}, True)
            assert f"has {size} bytes" in caught.value.detail
