"""Chat: limits, facts, buttons, and parts that are left out."""

import json
from typing import Any

import pytest

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address
from schemas.documents import DocumentError, validate_document
from schemas.finding import Finding, Severity
from services.orchestrator.delivery.channels.chat.channel import CHANNEL as CHAT
from services.template import RenderError

ORDER = {
    "title": "Order {{ event.data.order }}",
    "text": "It is on its way.\nThanks!",
    "facts": '{"Order": "{{ event.data.order }}", "Carrier": "{{ event.data.carrier | default: \'\' }}"}',
    "button": "Track it",
    "link": "https://shop.example/orders/{{ event.data.order }}",
    "second_button": "{% if event.data.help %}Help{% endif %}",
    "second_link": "{% if event.data.help %}https://shop.example/help{% endif %}",
    "severity": "info",
    "image": "{{ event.data.image | default: '' }}",
    "image_text": "The parcel",
}


def render(content: dict[str, str], **values: Any) -> dict[str, str]:
    return CHAT.render(CHAT.compile_templates(content), {"event": {"data": values}}, False)


def errors_of_fields(content: dict[str, str]) -> list[Finding]:
    """What the model of the fields refuses."""
    try:
        validate_document(CHAT.fields, content)
    except DocumentError as error:
        return error.findings
    return []


def test_all_parts_are_rendered() -> None:
    assert errors_of_fields(ORDER) == []
    assert {each.code for each in CHAT.validate_content(ORDER, True)} <= {"may_fail"}
    rendered = render(ORDER, order=7, carrier="DHL", help=True, image="https://img.example/7.png")
    assert rendered == {
        "title": "Order 7",
        "text": "It is on its way.\nThanks!",
        "facts": '{"Order":"7","Carrier":"DHL"}',
        "button": "Track it",
        "link": "https://shop.example/orders/7",
        "second_button": "Help",
        "second_link": "https://shop.example/help",
        "severity": "info",
        "image": "https://img.example/7.png",
        "image_text": "The parcel",
    }
    assert CHAT.measure(rendered) == {"characters": len("Order 7It is on its way.\nThanks!Order7CarrierDHL")}


def test_optional_parts_that_render_to_nothing_are_left_out() -> None:
    rendered = render(ORDER, order=7)
    assert rendered.keys() == {"title", "text", "facts", "button", "link", "severity"}
    assert json.loads(rendered["facts"]) == {"Order": "7"}
    assert render({"text": "a", "title": " ", "facts": '{"A": ""}'}) == {"text": "a"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"text": "x" * 2000}, None),
        ({"text": "x" * 2001}, "too_long"),
        ({"text": "\U0001f600" * 1000}, None),
        ({"text": "\U0001f600" * 1001}, "too_long"),
        ({"text": "a", "title": "x" * 129}, "too_long"),
        ({"text": "a", "title": "\U0001f600" * 65}, "too_long"),
        ({"text": "a", "title": "a\nb"}, "control_character"),
        ({"text": " "}, "empty"),
        ({"text": "a", "button": "x" * 41, "link": "https://example.org"}, "too_long"),
        ({"text": "a", "button": "x", "link": "http://example.org"}, "unsafe_link"),
        ({"text": "a", "button": "x", "link": "javascript:alert(1)"}, "unsafe_link"),
        ({"text": "a", "button": "x", "link": ""}, "empty"),
        ({"text": "a", "button": "", "link": "https://example.org"}, "empty"),
        ({"text": "a", "button": "x", "link": "https://example.org/" + "x" * 500}, "too_long"),
        ({"text": "a", "image": "http://example.org/a.png"}, "unsafe_link"),
        ({"text": "a", "facts": json.dumps({"A": "x" * 201})}, "too_long"),
        ({"text": "a", "facts": json.dumps({"A": "x\ny"})}, "control_character"),
        ({"text": "x" * 1400, "facts": json.dumps({str(each): "x" * 199 for each in range(7)})}, None),
        ({"text": "x" * 1401, "facts": json.dumps({str(each): "x" * 199 for each in range(7)})}, "too_long"),
    ],
)
def test_limits_hold_when_saved_and_when_rendered(content: dict[str, str], code: str | None) -> None:
    found = [each for each in CHAT.validate_content(content, True) if each.severity is Severity.ERROR]
    assert {each.code for each in found} == ({code} if code else set())
    if code:
        with pytest.raises(RenderError):
            render(content)
    else:
        assert render(content)["text"] == content["text"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ("{", "not JSON, at line 1, column 2"),
        ('{"a": "{{ event.data.x | default: "y" }}"}', "not JSON"),
        ("[]", "not an object"),
        ('{"a": 5}', "`a` is no text"),
        ('{"a": "1", "a": "2"}', "a label twice"),
        ('{"": "x"}', "a label that is empty"),
        ('{" a": "x"}', "blanks around it"),
        (json.dumps({"x" * 41: "x"}), "more than 40 characters"),
        ('{"a/b": "x"}', "one of / ~ { }"),
        ('{"{{ event.data.x }}": "x"}', "one of / ~ { }"),
        (json.dumps({str(each): "x" for each in range(9)}), "has 9 facts, at most 8"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_facts_that_cannot_be_shown_are_refused_when_saved(facts: str, words: str) -> None:
    [found] = errors_of_fields({"text": "a", "facts": facts})
    assert found.pointer == "/facts" and words in found.detail


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"text": "a", "button": "x"}, "`button` and `link` belong together"),
        ({"text": "a", "link": "https://example.org"}, "`button` and `link` belong together"),
        ({"text": "a", "second_button": "x"}, "`second_button` and `second_link` belong together"),
        ({"text": "a", "image_text": "x"}, "`image_text` describes an `image`"),
        ({"text": "a", "severity": "urgent"}, "danger"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_when_saved(content: dict[str, str], words: str) -> None:
    [found] = errors_of_fields(content)
    assert words in found.detail


@pytest.mark.parametrize("value", ['", "Admin": "yes', "\\", "{{ 7 }}", "é☃", "</script>", "<!channel>"])
def test_no_value_adds_a_fact(value: str) -> None:
    rendered = render({"text": "a", "facts": '{"Order": "{{ event.data.order }}"}'}, order=value)
    assert json.loads(rendered["facts"]) == {"Order": value}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("slack:C024BE91L", "slack:C024BE91L"),
        (" Slack : C024BE91L ", "slack:C024BE91L"),
        ("telegram:-1001234567890", "telegram:-1001234567890"),
        ("telegram:@shop_news", "telegram:@shop_news"),
        ("discord:123456789012345678", "discord:123456789012345678"),
        ("teams:support", "teams:support"),
        ("acme:C024BE91L", "acme:C024BE91L"),
    ],
)
def test_a_destination_names_the_adapter_and_the_place(text: str, canonical: str) -> None:
    assert canonical_address("chat", text, None) == canonical
    assert canonical_address("chat", canonical, None) == canonical


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("C024BE91L", "bad_destination"),
        ("slack:", "bad_destination"),
        (":C024BE91L", "bad_destination"),
        ("slack:C0 24", "bad_destination"),
        ("slack:Ü", "bad_destination"),
        ("", "bad_destination"),
        ("slack:" + "x" * 201, "bad_destination"),
        ("slack:a\u200b", "control_character"),
        ("https://hooks.example/services/T0/B0/secret", "webhook_url"),
    ],
)
def test_what_is_no_destination_is_refused_without_being_repeated(text: str, code: str) -> None:
    with pytest.raises(BadAddress) as caught:
        canonical_address("chat", text, None)
    assert caught.value.code == code and "secret" not in str(caught.value).replace("a secret", "")
