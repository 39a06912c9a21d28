"""A mail as it leaves: the rendered content with its sender and its headers, the same for every attempt.

Adapters of providers with an API of their own take the parts; those that send a whole mail take `to_mime`.
"""

from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import msgspec

from schemas.message import Message
from schemas.times import Instant, to_datetime
from services.orchestrator.mail_settings import MailSettings, SenderSettings

MESSAGE_HEADER: Final = "X-Tactful-Message"
"""Our message id, where receipts and complaints that quote the mail bring it back."""


class Mail(msgspec.Struct, frozen=True):
    """One mail. `headers`: all but From, Reply-To, To, Subject and Date, in the order in which they are written."""

    message_id: str
    """Ours."""
    sender: Address
    reply_to: str | None
    to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]


class NoSender(ValueError):
    """No setting says in whose name mails of this kind are sent."""


def compose_mail(message: Message, settings: MailSettings) -> Mail:
    """The mail of a message. Raises NoSender."""
    sender = settings.find_sender(message.cls, message.topic)
    if sender.address is None:
        raise NoSender("no sender: set TACTFUL_MAIL__FROM_ADDRESS")
    return Mail(
        message.id,
        Address(sender.name or "", addr_spec=sender.address),
        sender.reply_to,
        message.to,
        message.content["subject"],
        message.content["html"],
        message.content["text"],
        _headers(message, sender, settings),
    )


def _headers(message: Message, sender: SenderSettings, settings: MailSettings) -> dict[str, str]:
    assert sender.address is not None
    headers = {
        "Message-ID": f"<{message.id}@{sender.address.rpartition('@')[2]}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: machines do not answer it
        "Feedback-ID": f"{message.campaign}:{message.topic or '-'}:{message.cls}:tactful",
        MESSAGE_HEADER: message.id,
    }
    if (page := message.content.get("unsubscribe")) is not None:
        ways = [f"<{page}>"]
        if settings.unsubscribe_address is not None:
            ways.append(f"<mailto:{settings.unsubscribe_address}?subject={message.id}>")
        headers["List-Unsubscribe"] = ", ".join(ways)
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    return headers


def to_mime(mail: Mail, date: Instant) -> bytes:
    """The whole mail: text and HTML as alternatives, lines ended by CR LF (RFC 5322). `date`: of its first attempt.

    No header can be injected: `EmailMessage` refuses line breaks in each of them.
    """
    mime = EmailMessage(policy=SMTP)
    mime["Date"] = format_datetime(to_datetime(date))
    mime["From"] = mail.sender
    if mail.reply_to is not None:
        mime["Reply-To"] = mail.reply_to
    mime["To"] = mail.to
    mime["Subject"] = mail.subject
    for name, value in mail.headers.items():
        mime[name] = value
    mime.set_content(mail.text, cte="quoted-printable")
    mime.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return mime.as_bytes()
