"""A mail as it leaves: senders, headers, the whole mail in its form of RFC 5322."""

from __future__ import annotations

import email
import json
import re
from email.policy import default
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from schemas.message import Message
from schemas.times import parse_instant
from services.orchestrator.delivery.channels.email.mail import NoSender, compose_mail, to_mime
from services.orchestrator.mail_settings import MailSettings

SHOP = MailSettings(
    from_address="news@shop.example", from_name="Müller & Söhne", unsubscribe_address="stop@shop.example"
)
LINK = "https://example.org/u/1?token=a&signature=b"


def message(**fields: Any) -> Message:
    content = {"subject": "Grüße", "html": "<p>Hällo</p>", "text": "Hällo\n.\nFrom here", "unsubscribe": LINK}
    given: dict[str, Any] = {
        "id": "msg_1", "customer": "ada", "campaign": "welcome", "version": 1, "channel": "email", "cls": "marketing",
        "to": "ada@example.org", "content": content, "event_source": "/shop", "event_id": "e-1", "topic": "news",
        **fields,
    }  # fmt: skip
    return Message(**given)


@pytest.mark.parametrize(
    ("cls", "topic", "address"),
    [("transactional", None, "orders@shop.example"), ("marketing", "news", "press@shop.example"),
     ("marketing", "offers", "news@shop.example")],
)  # fmt: skip
def test_a_topic_has_its_sender_before_a_class_has(cls: str, topic: str | None, address: str) -> None:
    senders = {"topic:news": {"address": "press@shop.example"}, "transactional": {"address": "orders@shop.example"}}
    settings = MailSettings(from_address="news@shop.example", from_name="Shop", senders=json.dumps(senders))
    mail = compose_mail(message(cls=cls, topic=topic), settings)
    assert (mail.sender.addr_spec, mail.sender.display_name) == (address, "Shop")


def test_without_a_sender_nothing_is_composed() -> None:
    with pytest.raises(NoSender, match="TACTFUL_MAIL__FROM_ADDRESS"):
        compose_mail(message(), MailSettings())


def test_marketing_has_the_way_out_in_its_headers_and_nothing_else_has() -> None:
    headers = compose_mail(message(), SHOP).headers
    assert headers["List-Unsubscribe"] == f"<{LINK}>, <mailto:stop@shop.example?subject=msg_1>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    content = {"subject": "Your order", "html": "<p>Hello</p>", "text": "Hello"}
    assert "List-Unsubscribe" not in compose_mail(message(cls="transactional", content=content), SHOP).headers


def test_a_whole_mail_is_read_as_it_was_written() -> None:
    whole = to_mime(compose_mail(message(), SHOP), parse_instant("2026-03-02T09:00:00Z"))
    parsed = email.message_from_bytes(whole, policy=default)
    assert parsed["From"].addresses[0].display_name == "Müller & Söhne"
    assert (parsed["To"], parsed["Subject"]) == ("ada@example.org", "Grüße")
    assert parsed["Message-ID"] == "<msg_1@shop.example>"
    assert (parsed["Auto-Submitted"], parsed["X-Tactful-Message"]) == ("auto-generated", "msg_1")
    assert parsed["Date"] == "Mon, 02 Mar 2026 09:00:00 +0000"
    text, html = parsed.iter_parts()
    assert text.get_content().splitlines() == ["Hällo", ".", "From here"]
    assert html.get_content().splitlines() == ["<p>Hällo</p>"]
    assert max(map(len, whole.split(b"\r\n"))) <= 998
    assert b"\n" not in whole.replace(b"\r\n", b"")


def test_links_in_headers_are_read_by_mailboxes_however_long_they_are() -> None:
    link = "https://tactful.example/v1/unsubscribe/" + "aZ09_-" * 60
    composed = compose_mail(message(), SHOP)
    headers = {**composed.headers, "List-Unsubscribe": f"<{link}>, <mailto:stop@shop.example?subject=msg_1>"}
    whole = to_mime(msgspec.structs.replace(composed, headers=headers), 0)
    assert f"List-Unsubscribe: <{link}>,\r\n <mailto:stop@shop.example?subject=msg_1>\r\n".encode() in whole


@pytest.mark.parametrize(
    "subject",
    [
        "word " * 60 + "end",
        "Größe " * 60 + "end",
        "東京" * 200,
        "👩‍👩‍👧 family",
        "=?utf-8?q?not_encoded?=",
        "two  blanks  " * 20 + "end",
    ],
)
def test_subjects_are_read_as_they_were_written(subject: str) -> None:
    whole = to_mime(msgspec.structs.replace(compose_mail(message(), SHOP), subject=subject), 0)
    assert email.message_from_bytes(whole, policy=default)["Subject"] == subject
    assert max(map(len, whole.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("text", ["", ".", "--=_part--", "a\rb\nc\r\nd", "tail  ", "x" * 2000, "From me", "\0=3D ü"])
def test_texts_are_read_as_they_were_written(text: str) -> None:
    whole = to_mime(msgspec.structs.replace(compose_mail(message(), SHOP), text=text, html=text), 0)
    for part in email.message_from_bytes(whole, policy=default).iter_parts():
        assert part.get_content().splitlines() == re.split("\r\n|\r|\n", text) or text == ""
    assert max(map(len, whole.split(b"\r\n"))) <= 78 and whole.count(b"--=_part--") == 1


@pytest.mark.parametrize("field", ["subject", "to"])
def test_no_header_can_be_injected(field: str) -> None:
    mail = msgspec.structs.replace(compose_mail(message(), SHOP), **{field: "x\r\nBcc: all@example.org"})
    with pytest.raises(ValueError):
        to_mime(mail, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"from_address": "nobody"},
        {"from_address": "a@b.example", "from_name": "A\r\nB"},
        {"from_address": "a@b.example", "from_name": "A <b>"},
        {"senders": "{"},
        {"senders": '{"promotion": {}}'},
        {"senders": '{"marketing": {"from": "x"}}'},
    ],
)
def test_senders_that_no_mail_can_have_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        MailSettings.model_validate(fields)
