"""The content of a campaign as a whole: what is refused when saved, and which locale a customer gets."""

from typing import Any

import pytest

from schemas.campaign import Campaign
from services.orchestrator.delivery.channels.content import check_content, compile_content
from services.template import RenderError

HTML = '<p>{{ customer.id }}</p><a href="{{ links.unsubscribe }}">Stop</a>'
CONTEXT = {"customer": {"id": "c-1"}, "links": {"unsubscribe": "https://example.org/u"}}


def campaign(content: dict[str, dict[str, Any]], **fields: Any) -> Campaign:
    return Campaign.model_validate(
        {
            "key": "offer", "name": "Offer", "owner": "growth", "class": "marketing", "intent": "advertise",
            "topic": "news", "trigger": {"event": "shop.offer"}, "channels": list(content), "default_locale": "en",
            "content": content, **fields,
        }
    )  # fmt: skip


def sms(*locales: str) -> Campaign:
    return campaign({"sms": {locale: {"text": locale} for locale in locales}}, default_locale=locales[0])


@pytest.mark.parametrize(
    ("locales", "customer", "chosen"),
    [
        (("en", "de"), "de-DE", "de"),
        (("en", "de", "de-AT"), "de-AT", "de-AT"),
        (("en", "de", "de-AT"), "de-CH", "de"),
        (("en", "de-AT"), "de-CH", "en"),
        (("en", "de_AT"), "DE-at", "de_AT"),
        (("en", "de"), None, "en"),
        (("en", "de"), "fr", "en"),
        (("en", "zh-Hant"), "zh-Hant-TW", "zh-Hant"),
        (("en", "zh", "zh-Hant", "zh-hant-tw"), "zh-Hant-TW", "zh-hant-tw"),
        (("en", "zh"), "zh-Hant-TW", "zh"),
        (("en", "zh-Hans"), "zh-Hant-TW", "en"),
        (("en", "sr", "sr-Latn"), "sr-Latn-RS", "sr-Latn"),
        (("de", "en-GB"), "en-GB-oxendict", "en-GB"),
        (("en", "SR_latn"), "sr-LATN-rs", "SR_latn"),
        (("de", "en-US"), "en-US-u-mu-celsius", "en-US"),
        (("de", "en"), "en-x-twain", "en"),
        (("en", "de-CH-1996"), "de-CH-1996-x-a-b", "de-CH-1996"),
        (("en", "hy-Latn"), "hy-Latn-IT-arevela", "hy-Latn"),
        (("en", "es-419"), "es-419-u-co-phonebk", "es-419"),
        (("en",), "x-klingon", "en"),
    ],
)
def test_the_locale_is_looked_up_by_taking_subtags_off_the_customers(
    locales: tuple[str, ...], customer: str | None, chosen: str
) -> None:
    rendered = compile_content(sms(*locales)).render("sms", customer, {})
    assert (rendered.locale, rendered.fields) == (chosen, {"text": chosen})


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ({"sms": {"de": {"text": "x"}}}, [("/content/sms", "missing_default_locale")]),
        ({"sms": {"en": {"text": "x"}, "de": {"text": "{{ x"}}}, [("/content/sms/de/text", "template_syntax")]),
        (
            {"sms": {"en": {"txt": "x"}}},
            [("/content/sms/en/text", "missing"), ("/content/sms/en/txt", "unknown_field")],
        ),
        ({"sms": {"en": {"text": "x"}, "EN": {"text": "y"}}}, [("/content/sms", "duplicate_locale")]),
        ({"email": {"en": {"subject": "a", "html": "<p>x</p>"}}}, [("/content/email/en/html", "no_unsubscribe")]),
        ({"email": {"en": {"subject": "a"}}}, [("/content/email/en", "value_error")]),
        ({"email": {"en": {"subject": "a", "html": HTML}}, "push": {"en": {"title": "a", "body": "b"}}}, []),
    ],
)
def test_all_faults_of_all_channels_and_locales_are_told_at_once(
    content: dict[str, dict[str, Any]], problems: list[tuple[str, str]]
) -> None:
    assert sorted((each.pointer, each.code) for each in check_content(campaign(content))) == problems


def test_an_unknown_field_comes_with_a_suggestion() -> None:
    details = [each.detail for each in check_content(campaign({"sms": {"en": {"text": "x", "txt": "y"}}}))]
    assert details == ["unknown field `txt`, did you mean `text`?"]


def test_a_channel_without_content_is_a_render_error() -> None:
    with pytest.raises(RenderError) as caught:
        compile_content(sms("en")).render("push", "en", {})
    assert caught.value.code == "no_content"


def test_marketing_is_rendered_with_its_way_out() -> None:
    content = compile_content(campaign({"email": {"en": {"subject": "a", "html": HTML}}}))
    assert "https://example.org/u" in content.render("email", "en", CONTEXT).fields["text"]
    with pytest.raises(RenderError):
        content.render("email", "en", {"customer": {"id": "c-1"}, "links": {"unsubscribe": ""}})


def mail(subject: str = "Hi", html: str = HTML) -> dict[str, dict[str, Any]]:
    return {"email": {"en": {"subject": subject, "html": html}}}


@pytest.mark.parametrize(
    ("content", "data", "cause"),
    [
        (
            mail("Order {{ event.data.order }} of {{ event.data.name }}"),
            {"order": "o-1", "name": "a\nsecret"},
            ("event.data.name", 1, 36, "text with a line break or another control character", "text on one line"),
        ),
        (
            mail("Hi {{ event.data.name | upcase }}"),
            {"name": "secret" * 100},
            ("event.data.name", 1, 7, "text that is too long", "a shorter text"),
        ),
        (
            mail(html=f'{HTML}\n<a href="{{{{ event.data.link }}}}">{{{{ event.data.name }}}}</a>'),
            {"name": "x", "link": "javascript:secret"},
            ("event.data.link", 2, 13, "a link that is not allowed", "a link that is allowed"),
        ),
        (
            {"sms": {"en": {"text": "{{ event.data.name }}{{ links.unsubscribe }}"}}},
            {"name": "secret" * 400},
            ("event.data.name", 1, 4, "text that is too long", "a shorter text"),
        ),
    ],
)
def test_a_value_that_makes_content_fail_is_named_with_its_place_and_never_shown(
    content: dict[str, dict[str, Any]], data: dict[str, str], cause: tuple[Any, ...]
) -> None:
    (channel,) = content
    compiled = compile_content(campaign(content))
    with pytest.raises(RenderError) as caught:
        compiled.render(channel, "en", {**CONTEXT, "event": {"data": data}})
    error = caught.value
    assert (error.variable, error.line, error.column, error.found, error.expected) == cause
    assert error.detail.startswith(f"line {error.line}, column {error.column}: `{error.variable}`: ")
    assert "secret" not in str(error.to_finding())


def test_a_fault_of_two_values_at_once_is_blamed_on_neither() -> None:
    compiled = compile_content(campaign(mail("{{ event.data.a }}{{ event.data.b }}")))
    with pytest.raises(RenderError) as caught:
        compiled.render("email", "en", {**CONTEXT, "event": {"data": {"a": "a\nb", "b": "a\nb"}}})
    assert (caught.value.code, caught.value.variable) == ("control_character", None)
