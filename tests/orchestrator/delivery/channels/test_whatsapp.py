"""WhatsApp: templates with their parameters and wording, and free text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.finding import Severity
from services.orchestrator.delivery.channels.whatsapp.channel import CHANNEL as WHATSAPP
from services.template import RenderError

TEMPLATE = {
    "template": "order_shipped",
    "language": "de",
    "header_parameter": "{{ event.data.order }}",
    "body_parameters": '["{{ customer.traits.name }}", "{{ event.data.order | upcase }}"]',
    "button_parameters": '{"url/0": "track/{{ event.data.order }}"}',
    "header_text": "Bestellung {{1}}",
    "body_text": "Hallo {{1}}, *{{ 2 }}* ist unterwegs. {{1}}!",
    "footer_text": "Der Laden",
}
VALUES = {"customer": {"traits": {"name": "Ada"}}, "event": {"data": {"order": "a-1"}}}


def render(content: Mapping[str, str], values: Any = VALUES) -> dict[str, str]:
    return WHATSAPP.render(WHATSAPP.compile_templates(content), values, True)


def codes(content: Mapping[str, str], severity: Severity = Severity.ERROR) -> list[tuple[str, str]]:
    WHATSAPP.fields.model_validate(content)
    return [(each.pointer, each.code) for each in WHATSAPP.validate_content(content, True) if each.severity is severity]


def test_a_template_is_rendered_with_its_parameters_and_shown_in_its_wording() -> None:
    assert codes(TEMPLATE) == []
    assert render(TEMPLATE) == {
        "template": "order_shipped",
        "language": "de",
        "header_parameter": "a-1",
        "body_parameters": '["Ada","A-1"]',
        "button_parameters": '{"url/0":"track/a-1"}',
        "header_text": "Bestellung a-1",
        "body_text": "Hallo Ada, *A-1* ist unterwegs. Ada!",
        "footer_text": "Der Laden",
        "text": "Bestellung a-1\n\nHallo Ada, *A-1* ist unterwegs. Ada!\n\nDer Laden",
    }


def test_parameters_may_have_names() -> None:
    named = {
        **{name: TEMPLATE[name] for name in ("template", "language")},
        "body_parameters": '{"name": "{{ customer.traits.name }}"}',
        "body_text": "Hallo {{name}}",
    }
    assert codes(named) == []
    rendered = render(named)
    assert (json.loads(rendered["body_parameters"]), rendered["text"]) == ({"name": "Ada"}, "Hallo Ada")


def test_a_template_may_have_a_picture() -> None:
    media = {"template": "t", "language": "en_US", "header_media": "image", "header_link": "https://x.example/{{ 1 }}"}
    assert codes({**media, "body_text": "Hi"}) == []
    assert render({**media, "body_text": "Hi"})["text"] == "[image]\n\nHi"
    with pytest.raises(RenderError, match="unsafe_link"):
        render({**media, "header_link": "http://x.example"})


@pytest.mark.parametrize(
    ("left_out", "text"),
    [
        (("body_text",), "Template order_shipped (de): a-1, Ada, A-1"),
        (("body_text", "body_parameters", "header_parameter", "header_text"), "Template order_shipped (de)"),
    ],
)
def test_without_its_wording_the_parameters_are_shown(left_out: tuple[str, ...], text: str) -> None:
    content = {name: value for name, value in TEMPLATE.items() if name not in left_out}
    assert render(content)["text"] == text
    assert codes(content, Severity.WARNING)[-1] == ("/template", "no_wording")


def test_a_value_cannot_become_a_place_or_a_parameter() -> None:
    values = {"customer": {"traits": {"name": '{{2}}","x\ue000' + "2\ue001"}}, "event": {"data": {"order": "a"}}}
    rendered = render(TEMPLATE, values)
    assert json.loads(rendered["body_parameters"]) == ['{{2}}","x\ue0002\ue001', "A"]
    assert rendered["body_text"].startswith('Hallo {{2}}","x\ue0002\ue001, *A*')


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"body_text": "Hi {{1}}"}, ("/body_text", "parameters_differ")),
        ({"body_text": "Hi {{1}} {{2}} {{3}}"}, ("/body_text", "parameters_differ")),
        ({"body_text": "Hi {{name}} {{1}} {{2}}"}, ("/body_text", "parameters_differ")),
        ({"header_text": "Hi"}, ("/header_text", "parameters_differ")),
        ({"footer_text": "Hi {{1}}"}, ("/footer_text", "parameters_differ")),
        ({"body_text": "{{1}} {{2}} {% if x %}"}, ("/body_text", "bad_wording")),
        ({"body_text": "{{1}} {{2}} {{ customer.id }}"}, ("/body_text", "bad_wording")),
        ({"body_text": "\ue000{{1}} {{2}}"}, ("/body_text", "bad_wording")),
        ({"body_parameters": '["{{ customer.traits.name", "x"]'}, ("/body_parameters/1", "template_syntax")),
        ({"body_parameters": '["x", "{{ today }}"]'}, ("/body_parameters/2", "unknown_name")),
        ({"button_parameters": '{"url/0": "a b"}'}, ("/button_parameters/url/0", "unsafe_link")),
        ({"button_parameters": json.dumps({"copy_code/0": "x" * 16})}, ("/button_parameters/copy_code/0", "too_long")),
        ({"header_parameter": "x" * 61}, ("/header_parameter", "too_long")),
        ({"footer_text": "x" * 61}, ("/footer_text", "too_long")),
        ({"body_text": "{{1}}{{2}}" + "x" * 1023}, ("/body_text", "too_long")),
    ],
)
def test_what_meta_would_refuse_is_refused_when_saved(changes: dict[str, str], expected: tuple[str, str]) -> None:
    found = codes({**TEMPLATE, **changes})
    assert expected in found, found


def test_a_wording_with_room_for_short_parameters_is_taken_and_too_long_ones_are_not() -> None:
    content = {**TEMPLATE, "body_text": "{{1}}{{2}}" + "x" * 1020}
    assert codes(content) == []
    assert len(render(content, {"customer": {"traits": {"name": "A"}}, "event": {"data": {"order": "a-1"}}})) == 9
    with pytest.raises(RenderError, match="too_long"):
        render(content)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("body_parameters", "x"),
        ("body_parameters", '"x"'),
        ("body_parameters", "[]"),
        ("body_parameters", "[1]"),
        ("body_parameters", '{"1": "x"}'),
        ("body_parameters", '{"a": "x", "a": "y"}'),
        ("body_parameters", "[" * 100_000),
        ("body_parameters", json.dumps(["x"] * 31)),
        ("button_parameters", '["x"]'),
        ("button_parameters", '{"url": "x"}'),
        ("button_parameters", '{"other/0": "x"}'),
        ("button_parameters", '{"url/0": "x", "copy_code/0": "y"}'),
        ("template", "Order Shipped"),
        ("template", "HX1"),
        ("language", "german"),
        ("language", "de_"),
        ("header_media", "sound"),
        ("text", "free"),
    ],
)
def test_fields_of_another_form_are_refused(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        WHATSAPP.fields.model_validate({**TEMPLATE, field: text})


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"template": "x"},
        {"language": "de"},
        {"text": "x", "language": "de"},
        {"text": "x", "body_text": "y"},
        {"template": "x", "language": "de", "header_media": "image"},
        {"template": "x", "language": "de", "header_link": "https://x.example"},
        {
            "template": "x",
            "language": "de",
            "header_media": "image",
            "header_link": "https://x.example",
            "header_text": "y",
        },
    ],
)
def test_fields_that_do_not_belong_together_are_refused(content: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WHATSAPP.fields.model_validate(content)


@pytest.mark.parametrize("template", ["order_shipped", "HX" + "0a" * 16])
@pytest.mark.parametrize("language", ["de", "en_US", "zh_CN", "fil", "es_419"])
def test_names_and_languages_of_templates(template: str, language: str) -> None:
    WHATSAPP.fields.model_validate({"template": template, "language": language})


def test_a_parameter_is_one_line_with_few_blanks() -> None:
    content = {"template": "t", "language": "de", "body_parameters": '["{{ event.data.order }}"]', "body_text": "{{1}}"}
    blanks = {"event": {"data": {"order": f"a{' ' * 9}b"}}}
    assert render(content, blanks)["text"] == "a    b"
    with pytest.raises(RenderError, match="control_character") as caught:
        render(content, {"event": {"data": {"order": "a\nb"}}})
    assert caught.value.field == "body_parameters/1"


def test_a_variable_that_may_be_too_long_is_warned_of() -> None:
    assert ("/body_parameters/1", "may_fail") in codes(TEMPLATE, Severity.WARNING)


@pytest.mark.parametrize(("length", "good"), [(4096, True), (4097, False)])
def test_free_text_has_lines_and_a_limit(length: int, good: bool) -> None:
    assert render({"text": "a\r\nb"})["text"] == "a\nb"
    assert (codes({"text": "x" * length}) == []) is good


def test_people_see_how_a_message_is_sent() -> None:
    rendered = render(TEMPLATE)
    assert WHATSAPP.measure(rendered) == {"kind": "template", "body_characters": 36}
    assert WHATSAPP.summarise(rendered) == "template order_shipped (de)"
    free = render({"text": "Hi"})
    assert WHATSAPP.measure(free) == {"kind": "free text", "body_characters": 2}
    assert "24 hours" in WHATSAPP.summarise(free)


def test_only_what_is_no_template_has_a_window() -> None:
    window = CHANNEL_REGISTRY.declarations["whatsapp"].reply_window
    assert window is not None and window.hours == 24
    assert window.free_without in render(TEMPLATE) and window.free_without not in render({"text": "Hi"})


@pytest.mark.parametrize(
    ("member", "others"),
    [
        ("+5215512345678", {"+525512345678"}),
        ("+525512345678", {"+5215512345678"}),
        ("+551187654321", {"+5511987654321"}),
        ("+5511987654321", {"+551187654321"}),
        ("+551132654321", set()),
        ("+5491123456789", {"+541123456789"}),
        ("+541123456789", {"+5491123456789"}),
        ("+4915112345678", set()),
        ("+15215551234", set()),
        ("", set()),
    ],
)
def test_a_member_may_be_known_by_the_number_that_was_dialled_before(member: str, others: set[str]) -> None:
    first, *further = CHANNEL_REGISTRY.declarations["whatsapp"].sender_spellings(member)
    assert (first, set(further), len(further)) == (member, others, len(others))
