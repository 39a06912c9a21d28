"""What every channel keeps, whichever it is."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.vocabulary import CHANNELS as KEYS
from services.orchestrator.delivery.channels import CHANNELS, CHANNELS_BY_KEY, BadAddress, ChannelDefinition
from services.template import RenderError

GOOD: dict[str, dict[str, str]] = {
    "email": {
        "subject": "{{ customer.id }}",
        "html": '<p>{{ customer.id }}</p><a href="{{ links.unsubscribe }}">out</a>',
    },
    "sms": {"text": "{{ customer.id }}"},
    "push": {"title": "{{ customer.id }}", "body": "{{ customer.id }}"},
    "in_app": {"title": "{{ customer.id }}", "body": "{{ customer.id }}"},
}
ADDRESSES = {"email": "Ada@example.org", "sms": "+49 151 12345678", "push": "token-c-1", "in_app": "c-1"}
LINKS = {"unsubscribe": "https://example.org/u/1?a=1&b=2", "preferences": "https://example.org/p/1"}

every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.key)


def context(customer: str) -> dict[str, Mapping[str, str]]:
    return {"customer": {"id": customer}, "links": LINKS}


def test_the_list_is_the_vocabulary() -> None:
    assert tuple(channel.key for channel in CHANNELS) == KEYS
    assert CHANNELS_BY_KEY.keys() == set(KEYS)


@every_channel
def test_good_content_passes_and_renders_text(channel: ChannelDefinition) -> None:
    content = GOOD[channel.key]
    assert channel.validate_content(content, True) == []
    rendered = channel.render(channel.compile_templates(content), context("c-1"), True)
    assert content.keys() <= rendered.keys() | {"mjml"}
    assert all(isinstance(value, str) and value for value in rendered.values())
    assert channel.measure(rendered)


@every_channel
def test_unknown_fields_are_refused(channel: ChannelDefinition) -> None:
    with pytest.raises(ValidationError):
        channel.fields.model_validate({**GOOD[channel.key], "colour": "red"})


@every_channel
def test_a_syntax_error_is_found_when_saved(channel: ChannelDefinition) -> None:
    field = next(iter(GOOD[channel.key]))
    [(pointer, code, detail)] = channel.validate_content({**GOOD[channel.key], field: "a\n{{ x"}, False)
    assert (pointer, code) == (f"/{field}", "template_syntax")
    assert "line 2" in detail


@every_channel
def test_a_name_that_templates_do_not_see_is_found_when_saved(channel: ChannelDefinition) -> None:
    field = next(iter(GOOD[channel.key]))
    found = channel.validate_content({**GOOD[channel.key], field: "{{ today }}"}, False)
    assert [code for _, code, _ in found] == ["unknown_name"]


@every_channel
def test_a_missing_value_is_a_render_error_without_personal_data(channel: ChannelDefinition) -> None:
    with pytest.raises(RenderError) as caught:
        channel.render(channel.compile_templates(GOOD[channel.key]), {"customer": {}, "links": LINKS}, False)
    assert caught.value.code == "undefined"


@every_channel
@pytest.mark.parametrize("value", ["", " ", "\x00", "a\x1bb", "x" * 300_000])
def test_values_that_no_message_can_carry_are_render_errors(channel: ChannelDefinition, value: str) -> None:
    with pytest.raises(RenderError) as caught:
        channel.render(channel.compile_templates(GOOD[channel.key]), context(value), False)
    assert value.strip() == "" or value not in caught.value.detail


@every_channel
@given(st.text(max_size=200))
def test_any_value_renders_or_is_a_render_error(channel: ChannelDefinition, value: str) -> None:
    try:
        rendered = channel.render(channel.compile_templates(GOOD[channel.key]), context(value), False)
    except RenderError:
        return
    for field in ("subject", "title", "preheader"):
        assert not set(rendered.get(field, "")) & set("\r\n\0\u2028\u2029\x85")


@every_channel
def test_an_address_has_one_form(channel: ChannelDefinition) -> None:
    once = channel.normalise_address(ADDRESSES[channel.key])
    assert channel.normalise_address(once) == once


@every_channel
@given(st.text(max_size=400))
def test_any_text_is_an_address_in_its_one_form_or_refused_in_silence(channel: ChannelDefinition, text: str) -> None:
    once, words = "", ""
    try:
        once = channel.normalise_address(text)
    except BadAddress as error:
        words = str(error)
    if words:
        assert len(text) < 4 or text not in words
        return
    assert channel.normalise_address(once) == once
    assert not set(once) & set("\r\n\0")
