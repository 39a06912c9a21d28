"""SMS: numbers, and parts as networks count them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smsutil import split as oracle

from services.orchestrator.delivery.channels.sms.channel import CHANNEL as SMS
from services.orchestrator.delivery.channels.sms.channel import split_sms
from services.template import RenderError


@pytest.mark.parametrize(
    ("text", "encoding", "parts"),
    [
        ("a" * 160, "gsm-7", 1),
        ("a" * 161, "gsm-7", 2),
        ("€" * 80, "gsm-7", 1),
        ("€" * 81, "gsm-7", 2),
        ("a" * 152 + "€" + "a" * 10, "gsm-7", 2),  # the escape pair moves to the second part as a whole
        ("a" * 152 + "€" + "a" * 152, "gsm-7", 3),
        ("☃" * 70, "ucs-2", 1),
        ("☃" * 71, "ucs-2", 2),
        ("☃" * 66 + "😀" + "☃" * 66, "ucs-2", 3),  # so does a surrogate pair
    ],
)
def test_parts_are_counted_as_networks_do(text: str, encoding: str, parts: int) -> None:
    found = split_sms(text)
    assert (found.encoding, len(found.texts), "".join(found.texts)) == (encoding, parts, text)


@given(st.text(alphabet="ab€[]{}^~é☃😀\n", max_size=400))
def test_parts_agree_with_another_implementation(text: str) -> None:
    assert tuple(part.content for part in oracle(text).parts) == split_sms(text).texts


def test_more_than_ten_parts_are_refused() -> None:
    compiled = SMS.compile_templates({"text": "{{ customer.id }}"})
    assert SMS.render(compiled, {"customer": {"id": "☃" * 670}}, False) == {"text": "☃" * 670}
    with pytest.raises(RenderError):
        SMS.render(compiled, {"customer": {"id": "☃" * 671}}, False)
    assert [each.code for each in SMS.validate_content({"text": "☃" * 671}, False)] == ["too_long"]


def test_the_preview_says_what_makes_parts_short() -> None:
    assert SMS.measure({"text": "Hi “Ada”"}) == {"encoding": "ucs-2", "parts": 1, "outside_gsm": "“”"}
