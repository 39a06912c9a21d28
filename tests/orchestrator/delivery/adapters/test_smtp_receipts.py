"""Mails about mails: bounces, reports of abuse and unsubscribes, and who is believed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from email import message_from_bytes
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.receipt import Receipt
from schemas.times import parse_instant
from services.kit.errors import Malformed
from services.kit.runtime.settings import load_settings
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.smtp.declaration import SmtpSettings
from services.orchestrator.delivery.adapters.smtp.envelope import create_envelope
from services.orchestrator.delivery.adapters.smtp.receipts import read_receipts
from services.orchestrator.delivery.adapters.smtp.signed_path import find_signed_id, sign_id, sign_return_path
from services.orchestrator.mail_settings import MailSettings
from services.orchestrator.settings import OrchestratorSettings
from tests.support.receipt_requests import MESSAGE, NOW, check_form, kinds
from tests.support.webhook_receiver import message

KEY = "a-secret-for-the-return-path"
SETTINGS = SmtpSettings(host="mail.example", return_path="bounces@shop.example", bounce_secret=SecretStr(KEY))
PATH = sign_return_path(KEY, "bounces@shop.example", MESSAGE)
AT = parse_instant("2026-03-02T08:59:00Z")

POSTFIX = """\
Return-Path: <>
Date: Mon,  2 Mar 2026 09:59:00 +0100 (CET)
From: MAILER-DAEMON@relay.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4F1A.1772441940/relay.example"

This is a MIME-encapsulated message.

--4F1A.1772441940/relay.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

<ada@example.org>: host mx.example.org[192.0.2.1] said: {said} (in reply to RCPT TO command)

--4F1A.1772441940/relay.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example
X-Postfix-Queue-ID: 4F1A
X-Postfix-Sender: rfc822; {to}
Arrival-Date: Mon,  2 Mar 2026 09:58:00 +0100 (CET)

Final-Recipient: rfc822; ada@example.org
Original-Recipient: rfc822;ada@example.org
Action: {action}
Status: {status}
Remote-MTA: dns; mx.example.org
Diagnostic-Code: smtp; {said}

--4F1A.1772441940/relay.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

From: Shop <shop@shop.example>
To: ada@example.org
Subject: Hello

--not a part
--4F1A.1772441940/relay.example--
"""
"""As Postfix writes it."""
ABUSE = """\
From: <feedback@mailbox.example>
Date: Mon, 2 Mar 2026 08:59:00 +0000
Subject: FW: Hello
To: <abuse@shop.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--part
Content-Type: message/feedback-report

Feedback-Type: {feedback}
User-Agent: SomeGenerator/1.0
Version: 1
{fields}
--part
Content-Type: {kind}
Content-Disposition: inline

{quoted}
From: <shop@shop.example>
To: <redacted>
Subject: Hello

--part--
"""


def mail(template: str, **fields: str) -> bytes:
    return template.format(**fields).encode()


def bounce(status: str, said: str, action: str = "failed", to: str = PATH) -> bytes:
    return mail(POSTFIX, to=to, status=status, said=said, action=action)


def read(raw: bytes, configured: SmtpSettings = SETTINGS, **query: str) -> list[Receipt]:
    found = read_receipts(configured, ReceiptRequest({"content-type": "message/rfc822"}, query, raw, NOW))
    assert all(isinstance(each, Receipt) for each in found)
    receipts: list[Any] = list(found)
    check_form(receipts, "smtp")
    return receipts


@pytest.mark.parametrize(
    ("status", "said", "permanent"),
    [
        ("5.1.1", "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown", True),
        ("5.1.2", "550 5.1.2 no such domain", True),
        ("5.0.0", "550 5.1.1 <ada@example.org> no such user", True),  # the last server says more
        ("5.0.0", "550 User unknown", True),
        ("", "550 5.1.1 gone", True),
        ("5.1.1", "", True),
        ("5.2.2", "552 5.2.2 mailbox full", False),
        ("4.2.2", "452 4.2.2 mailbox full", False),
        ("4.4.1", "connect to mx.example.org: Connection timed out", False),
        ("5.7.1", "550 5.7.1 rejected by policy", False),
        ("5.0.0", "554 spam", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_a_bounce_says_whether_the_address_is_dead(status: str, said: str, permanent: bool) -> None:
    (receipt,) = read(bounce(status, said))
    assert (receipt.message_id, receipt.kind, receipt.permanent) == (MESSAGE, "bounced", permanent)
    assert receipt.at == AT
    assert "ada" not in (receipt.detail or "")


def test_codes_are_kept_and_texts_are_not() -> None:
    (receipt,) = read(bounce("5.1.1", "550 5.1.1 <ada@example.org>: User unknown"))
    assert receipt.detail == "failed, 5.1.1"


@pytest.mark.parametrize(
    ("action", "found"), [("delayed", []), ("relayed", []), ("expanded", []), ("Delivered", ["delivered"])]
)
def test_what_may_still_arrive_is_no_bounce(action: str, found: list[str]) -> None:
    assert [each.kind for each in read(bounce("4.4.7", "", action=action))] == found


def test_a_repeated_bounce_has_the_same_key_and_another_one_has_not() -> None:
    first, again, other = (read(bounce(code, "")) for code in ("5.1.1", "5.1.1", "5.2.2"))
    assert first[0].key == again[0].key != other[0].key


@pytest.mark.parametrize(
    "to",
    [
        "bounces@shop.example",
        f"bounces+{MESSAGE}@shop.example",
        f"bounces+{MESSAGE}.aaaaaaaaaaaaaaaa@shop.example",
        f"bounces+msg_{'1' * 32}.{PATH.split('.')[1][:16]}@shop.example",
        sign_return_path("another-secret-of-somebody", "bounces@shop.example", MESSAGE),
        f"stop+{sign_id(KEY, 'unsubscribe', MESSAGE)}@shop.example",  # a token for something else
    ],
)
def test_what_is_forged_is_refused(to: str) -> None:
    with pytest.raises(Malformed):
        read(bounce("5.1.1", "", to=to))


def test_a_token_that_only_the_quoted_mail_has_makes_no_bounce() -> None:
    forged = bounce("5.1.1", "", to="bounces@shop.example").replace(b"Subject: Hello", f"X: {PATH}".encode())
    with pytest.raises(Malformed):
        read(forged)


def test_the_address_may_be_where_servers_put_it_and_in_any_case() -> None:
    hidden = bounce("5.1.1", "", to="bounces@shop.example")
    for header in ("Delivered-To", "X-Original-To", "Envelope-To"):
        assert len(read(f"{header}: {PATH.upper()}\n".encode() + hidden)) == 1
    named = hidden.replace(b"X-Postfix-Sender: rfc822; bounces@shop.example", f"X-Sender: {PATH}".encode())
    assert len(read(named, recipient=PATH)) == 1
    with pytest.raises(Malformed):
        read(named)


def test_without_a_secret_nobody_is_believed() -> None:
    with pytest.raises(ReceiptRefused) as found:
        read(bounce("5.1.1", ""), SmtpSettings(host="mail.example"))
    assert "TACTFUL_SMTP__BOUNCE_SECRET" in str(found.value)


@pytest.mark.parametrize(
    ("feedback", "found"),
    [
        ("abuse", [("complained", False, False)]),
        ("fraud", [("complained", False, False)]),
        ("something-new", [("complained", False, False)]),
        ("opt-out", [("unsubscribed", False, False)]),
        ("not-spam", []),
    ],
)
@pytest.mark.parametrize("place", ["fields", "quoted", "headers"])
def test_a_report_of_abuse_is_a_complaint_about_the_mail_that_it_quotes(
    feedback: str, found: Sequence[tuple[str, bool, bool]], place: str
) -> None:
    fields = {"fields": "", "quoted": "X: y", "kind": "message/rfc822"}
    if place == "fields":
        fields["fields"] = f"Original-Mail-From: <{PATH}>\n"
    else:
        fields["quoted"] = f"X-Tactful-Token: {sign_id(KEY, 'bounce', MESSAGE)}"
        fields["kind"] = "message/rfc822" if place == "quoted" else "text/rfc822-headers"
    receipts = read(mail(ABUSE, feedback=feedback, **fields))
    assert kinds(receipts) == list(found)
    assert {each.message_id for each in receipts} <= {MESSAGE}


def test_a_report_about_no_mail_of_ours_is_refused() -> None:
    with pytest.raises(Malformed):
        read(mail(ABUSE, feedback="abuse", fields="", quoted="X: y", kind="message/rfc822"))


def unsubscribe(subject: str) -> bytes:
    written = EmailMessage()
    written["From"], written["To"], written["Subject"] = "ada@example.org", "stop@shop.example", subject
    written.set_content("")
    return written.as_bytes()


def test_a_mail_with_the_signed_subject_unsubscribes() -> None:
    token = sign_id(KEY, "unsubscribe", MESSAGE)
    (receipt,) = read(unsubscribe(f"{token}"))
    assert (receipt.message_id, receipt.kind, receipt.at) == (MESSAGE, "unsubscribed", NOW)
    assert len(read(unsubscribe(f"Re: {token}"))) == 1
    for other in (MESSAGE, f"{MESSAGE}.aaaaaaaaaaaaaaaa", f"{sign_id(KEY, 'bounce', MESSAGE)}"):
        with pytest.raises(Malformed):
            read(unsubscribe(other))


def test_a_note_of_absence_changes_nothing() -> None:
    written = EmailMessage()
    written["From"], written["To"], written["Subject"] = "ada@example.org", PATH, "I am away"
    written.set_content("Back on Monday")
    assert read(written.as_bytes()) == []


def test_a_mail_as_it_is_sent_brings_back_what_is_needed() -> None:
    content = {"subject": "Hi", "html": "<p>x</p>", "text": "x", "unsubscribe": "https://x.example/u"}
    sent = message(MESSAGE, content=content)
    own = MailSettings(from_address="shop@shop.example", unsubscribe_address="stop@shop.example")
    envelope = create_envelope(sent, own, "bounces@shop.example", NOW, KEY)
    assert envelope.sender.decode() == PATH and len(PATH.partition("@")[0]) <= 64
    (receipt,) = read(bounce("5.1.1", "", to=envelope.sender.decode()))
    assert receipt.message_id == MESSAGE
    headers = message_from_bytes(envelope.content)
    (link,) = [each for each in str(headers["List-Unsubscribe"]).split(", ") if "mailto" in each]
    (receipt,) = read(unsubscribe(link.partition("subject=")[2].rstrip(">")))
    assert receipt.kind == "unsubscribed"
    assert find_signed_id(KEY, "bounce", [str(headers["X-Tactful-Token"])]) == MESSAGE


def test_an_id_that_does_not_survive_servers_leaves_the_return_path_alone() -> None:
    for id in ("MSG_1", "m" * 37):
        assert sign_return_path(KEY, "bounces@shop.example", id) == "bounces@shop.example"


@pytest.mark.parametrize(
    "fields",
    [
        {"return_path": None},
        {"return_path": "much-too-long@shop.example"},
    ],
)
def test_a_secret_needs_a_return_path_with_room_for_the_token(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="RETURN_PATH"):
        SmtpSettings.model_validate({"host": "mail.example", "bounce_secret": KEY, **fields})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2_000), st.integers(0, 60))
def test_whatever_a_mail_holds_it_is_read_or_refused(noise: bytes, place: int) -> None:
    lines = bounce("5.1.1", "550 5.1.1 gone").split(b"\n")
    for raw in (noise, b"\n".join([*lines[:place], noise, *lines[place:]]), b"\n".join(lines[:place]) + noise):
        with suppress(Malformed):
            read(raw)


@pytest.mark.parametrize(
    "body",
    [
        b"--part\n" * 100_000,
        b"Content-Type: message/rfc822\n\n" * 10_000,
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 10_000,
        b"\n\n" * 100_000,
        b"a" * 10_000_000,
    ],
)
def test_a_mail_that_would_take_long_is_cut(body: bytes) -> None:
    head = f"To: {PATH}\nContent-Type: multipart/report; report-type=delivery-status; boundary=part\n\n".encode()
    status = b"--part\nContent-Type: message/delivery-status\n\n"
    started = time.process_time()
    for raw in (head + body, head + status + body, b"\n".join([head, *[b"x"] * 9, body])):
        with suppress(Malformed):
            read(raw)
    assert time.process_time() - started < 2


def test_what_was_accepted_counts_as_arrived_for_campaigns_that_fall_back() -> None:
    """Mails about mails say what bounces, and never what arrives."""
    assert ADAPTER_REGISTRY.declarations["smtp"].has_receipts
    settings = load_settings(
        OrchestratorSettings,
        smtp=SmtpSettings(return_path="b@shop.example", bounce_secret=SecretStr("0123456789abcdef")),
    )
    assert not settings.gives_receipts("smtp")
