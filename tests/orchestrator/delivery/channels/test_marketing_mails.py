"""What the law and Gmail want of advertising by mail: who sends it and from where, and HTML that is not cut off."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

import schemas.campaign
from schemas.documents import validate_document
from services.orchestrator.campaigns.lint import with_senders
from services.orchestrator.delivery.channels.email.channel import CHANNEL as EMAIL
from services.orchestrator.delivery.channels.email.channel import MAX_MARKETING_HTML, MUCH_MARKETING_HTML
from services.orchestrator.delivery.rendering import read_senders
from services.orchestrator.mail_settings import MailSettings
from services.template import RenderError
from tests.support.document_builders import campaign

OUT = "https://example.org/u/1?token=a"
SENDER = {"legal_name": "Müller & Söhne GmbH", "postal_address": "Lange Straße 1, 10115 Berlin"}
LINE = "Müller & Söhne GmbH, Lange Straße 1, 10115 Berlin"
STOP = '<a href="{{ links.unsubscribe }}">Stop</a>'


def render(html: str, sender: Any = SENDER, marketing: bool = True, **content: str) -> dict[str, str]:
    compiled = EMAIL.compile_templates({"subject": "Hi", "html": html, **content})
    return EMAIL.render(compiled, {"links": {"unsubscribe": OUT}, "sender": sender}, marketing)


def test_marketing_gets_name_and_address_of_its_sender_in_both_parts() -> None:
    message = render(f"<html><body><p>Offer</p>{STOP}</body></html>")
    assert message["text"].endswith(f"\n\n{LINE}")
    assert "Müller &amp; Söhne GmbH, Lange Straße 1, 10115 Berlin</div></body></html>" in message["html"]


@pytest.mark.parametrize(
    "html",
    ["{{ sender.legal_name }}, {{ sender.postal_address }}", "Lange Stra&szlig;e 1<br>10115 Berlin",
     "<p>LANGE STRAßE 1</p><p>10115 BERLIN</p>"],
)  # fmt: skip
def test_content_that_shows_the_address_stays_as_it_is(html: str) -> None:
    message = render(f"<p>Offer</p>{html}{STOP}")
    assert "<div" not in message["html"] and message["text"].lower().count("berlin") == 1


def test_a_written_text_gets_the_address_where_the_html_has_it_already() -> None:
    message = render(f"<p>{{{{ sender.postal_address }}}}</p>{STOP}", text="Stop: {{ links.unsubscribe }}")
    assert message["text"] == f"Stop: {OUT}\n\n{LINE}" and "<div" not in message["html"]


@pytest.mark.parametrize(("sender", "marketing"), [({}, True), ({"postal_address": ""}, True), (SENDER, False)])
def test_nothing_is_added_without_an_address_and_outside_marketing(sender: Any, marketing: bool) -> None:
    assert render(f"<p>x</p>{STOP}", sender, marketing)["html"] == f'<p>x</p><a href="{OUT}">Stop</a>'


def test_a_topic_has_its_own_address_before_its_class_and_the_organisation() -> None:
    senders = {"topic:news": {"postal_address": "Press Lane 2"}, "marketing": {"legal_name": "Shop Ltd"}}
    read = read_senders(MailSettings(from_name="Shop", postal_address="Main Road 1", senders=json.dumps(senders)))
    assert read("marketing", "news") == {"legal_name": "Shop", "postal_address": "Press Lane 2"}
    assert read("marketing", None) == {"legal_name": "Shop Ltd", "postal_address": "Main Road 1"}


@pytest.mark.parametrize("line", ["Road 1\nCity", "<b>Road</b>", "x" * 201])
def test_an_address_is_one_plain_line(line: str) -> None:
    with pytest.raises(ValidationError):
        MailSettings(postal_address=line)


def codes_of(mail: MailSettings, sending: str = "email", **fields: Any) -> list[tuple[str, str]]:
    document = validate_document(schemas.campaign.Campaign, campaign(**fields))
    return [(each.pointer, each.code) for each in with_senders(lambda document: [], mail, [sending])(document)]


def test_a_save_warns_of_marketing_whose_sender_has_no_postal_address() -> None:
    assert codes_of(MailSettings()) == [("/content/email", "no_postal_address")]
    assert codes_of(MailSettings(postal_address="Main Road 1")) == []
    assert codes_of(MailSettings(), sending="sms") == []  # nothing leaves by mail: it lies in the sandbox
    assert codes_of(MailSettings(), **{"class": "service", "intent": "inform"}) == []
    only_news = MailSettings(senders='{"topic:news": {"postal_address": "Press Lane 2"}}')
    assert codes_of(only_news, topic="news") == []


# --- size ---


def page_of(size: int) -> str:
    """HTML whose rendered form has this many bytes; ä has two. A template itself is shorter: a loop fills the page."""
    rest = size - len(f'<p></p><a href="{OUT}">Stop</a>')
    return f"<p>{{% for n in (1..100) %}}{'ä' * (rest // 200)}{{% endfor %}}{'x' * (rest % 200)}</p>{STOP}"


def test_marketing_that_gmail_would_cut_is_not_sent_and_says_how_large_it_is() -> None:
    assert len(render(page_of(MAX_MARKETING_HTML), {})["html"].encode()) == MAX_MARKETING_HTML
    with pytest.raises(RenderError) as caught:
        render(page_of(MAX_MARKETING_HTML + 1), {})
    assert (caught.value.code, caught.value.field) == ("too_large", "html")
    assert "104,449 bytes" in caught.value.detail and "104,448" in caught.value.detail
    assert "shorten" in caught.value.detail
    render(page_of(MAX_MARKETING_HTML + 1), {}, marketing=False)


def test_what_is_added_to_the_html_counts() -> None:
    with pytest.raises(RenderError):
        render(page_of(MAX_MARKETING_HTML - 20))


@pytest.mark.parametrize(
    ("size", "found"),
    [(MUCH_MARKETING_HTML - 300, []), (MUCH_MARKETING_HTML + 300, [("nearly_too_large", "warning")]),
     (MAX_MARKETING_HTML + 300, [("too_large", "error")])],
)  # fmt: skip
def test_a_save_warns_of_much_html_and_refuses_too_much(size: int, found: list[tuple[str, str]]) -> None:
    findings = EMAIL.validate_content({"subject": "Hi", "html": page_of(size)}, True)
    assert [(each.code, each.severity.value) for each in findings] == found
    assert all(each.pointer == "/html" for each in findings)
    assert EMAIL.validate_content({"subject": "Hi", "html": page_of(size)}, False) == []
