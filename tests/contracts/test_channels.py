"""What every channel keeps, whichever it is."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.vocabulary import CHANNELS
from services.orchestrator.delivery.channels.definition import ChannelDefinition
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.template import RenderError

LINKS = {"unsubscribe": "https://example.org/u/1?a=1&b=2", "preferences": "https://example.org/p/1"}

every_channel = pytest.mark.parametrize("channel", CHANNELS_BY_ID.values(), ids=lambda channel: channel.id)


def context(value: str) -> dict[str, Mapping[str, str]]:
    """What the samples of channels read is the value."""
    return {"customer": {"id": value}, "event": {"type": value}, "links": LINKS}


def test_the_list_is_the_vocabulary() -> None:
    assert tuple(channel.id for channel in CHANNELS_BY_ID.values()) == CHANNELS
    assert CHANNELS[:4] == ("email", "sms", "push", "in_app")


@every_channel
def test_good_content_passes_and_renders_text(channel: ChannelDefinition) -> None:
    content = channel.sample_content
    assert channel.validate_content(content, True) == []
    rendered = channel.render(channel.compile_templates(content), context("c-1"), True)
    assert content.keys() <= rendered.keys() | {"mjml"}
    assert all(isinstance(value, str) and value for value in rendered.values())
    assert channel.measure(rendered)


@every_channel
def test_unknown_fields_are_refused(channel: ChannelDefinition) -> None:
    with pytest.raises(ValidationError):
        channel.fields.model_validate({**channel.sample_content, "colour": "red"})


@every_channel
def test_a_syntax_error_is_found_when_saved(channel: ChannelDefinition) -> None:
    field = next(iter(channel.sample_content))
    [found] = channel.validate_content({**channel.sample_content, field: "a\n{{ x"}, False)
    assert (found.pointer, found.code, found.line) == (f"/{field}", "template_syntax", 2)
    assert "line 2" in found.detail


@every_channel
def test_a_name_that_templates_do_not_see_is_found_when_saved(channel: ChannelDefinition) -> None:
    field = next(iter(channel.sample_content))
    found = channel.validate_content({**channel.sample_content, field: "{{ today }}"}, False)
    assert [each.code for each in found] == ["unknown_name"]


@every_channel
def test_a_missing_value_is_a_render_error_without_personal_data(channel: ChannelDefinition) -> None:
    nothing: dict[str, Mapping[str, str]] = {"customer": {}, "event": {}, "links": LINKS}
    with pytest.raises(RenderError) as caught:
        channel.render(channel.compile_templates(channel.sample_content), nothing, False)
    assert caught.value.code == "undefined"


@every_channel
@pytest.mark.parametrize("value", ["", " ", "\x00", "a\x1bb", "x" * 300_000])
def test_values_that_no_message_can_carry_are_render_errors(channel: ChannelDefinition, value: str) -> None:
    with pytest.raises(RenderError) as caught:
        channel.render(channel.compile_templates(channel.sample_content), context(value), False)
    assert value.strip() == "" or value not in caught.value.detail


@every_channel
@given(st.text(max_size=200))
def test_any_value_renders_or_is_a_render_error(channel: ChannelDefinition, value: str) -> None:
    try:
        rendered = channel.render(channel.compile_templates(channel.sample_content), context(value), False)
    except RenderError:
        return
    for field in ("subject", "title", "preheader"):
        assert not set(rendered.get(field, "")) & set("\r\n\0\u2028\u2029\x85")
