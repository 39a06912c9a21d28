"""A mail as it leaves: the rendered content with its sender and its headers. All but its Date is the same for every
attempt, as long as the senders of the settings are.

Adapters of providers with an API of their own take the parts; those that send a whole mail take `to_mime`.
"""

import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Mapping
from email.header import Header
from email.headerregistry import Address
from email.utils import format_datetime
from typing import Final

import msgspec

from schemas.message import Message
from schemas.times import Instant, to_datetime
from services.orchestrator.delivery.channels.email.attachments import Attachment, media_type_of
from services.orchestrator.mail_settings import MailSettings, SenderSettings

MESSAGE_HEADER: Final = "X-Tactful-Message"
"""Our message id, where receipts and complaints that quote the mail bring it back."""

_LINE_END: Final = "\r\n"
_LINE_LENGTH: Final = 78
_MAX_LINE_LENGTH: Final = 998
_BETWEEN_WORDS: Final = re.compile(r"(?<=.) (?=\S)")
_NOT_IN_HEADERS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_BOUNDARY: Final = "=_part"
"""Quoted-printable writes no `=_`, and base64 no `_`, so no text and no file can hold it."""
_OUTER_BOUNDARY: Final = "=_whole"


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
    attachments: tuple[Attachment, ...] = ()


class NoSender(ValueError):
    """No setting says in whose name mails of this kind are sent."""


def compose_mail(
    message: Message,
    settings: MailSettings,
    attachments: tuple[Attachment, ...] = (),
    unsubscribe_subject: str | None = None,
) -> Mail:
    """The mail of a message with the files that were fetched for it. `unsubscribe_subject`: of the mail by which
    somebody unsubscribes; by default our message id. Raises NoSender.
    """
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
        _headers(message, sender, settings, unsubscribe_subject or message.id),
        attachments,
    )


def _headers(message: Message, sender: SenderSettings, settings: MailSettings, subject: str) -> dict[str, str]:
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
            ways.append(f"<mailto:{settings.unsubscribe_address}?subject={subject}>")
        headers["List-Unsubscribe"] = ", ".join(ways)
        if page.startswith("https:"):  # RFC 8058 knows no other
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def to_mime(mail: Mail, date: Instant) -> bytes:
    """The whole mail: text and HTML as alternatives, then attachments, lines ended by CR LF (RFC 5322). `date`: of the
    attempt.

    Raises ValueError for a header that cannot be written: none can be injected, as line breaks are refused in each.
    Not by `EmailMessage`: it would encode the long links of List-Unsubscribe as it encodes other alphabets, and no
    mailbox reads them then; and it takes 2.8 ms for a mail.
    """
    headers = {
        "Date": format_datetime(to_datetime(date)),
        **({} if mail.reply_to is None else {"Reply-To": mail.reply_to}),
        "To": to_ascii_address(mail.to),
        "Subject": mail.subject,
        **mail.headers,
        "MIME-Version": "1.0",
    }
    lines = [_write_sender(mail.sender), *(_write_header(name, value) for name, value in headers.items())]
    if mail.attachments:
        lines += [f'Content-Type: multipart/mixed; boundary="{_OUTER_BOUNDARY}"', "", f"--{_OUTER_BOUNDARY}"]
    lines.append(f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"')
    for subtype, text in (("plain", mail.text), ("html", mail.html)):
        lines += ["", f"--{_BOUNDARY}", f'Content-Type: text/{subtype}; charset="utf-8"']
        lines += ["Content-Transfer-Encoding: quoted-printable", "", _quote(text)]
    lines.append(f"--{_BOUNDARY}--")
    for each in mail.attachments:
        lines += ["", f"--{_OUTER_BOUNDARY}", *_write_attachment(each)]
    if mail.attachments:
        lines.append(f"--{_OUTER_BOUNDARY}--")
    return _LINE_END.join([*lines, ""]).encode("ascii")


def _write_attachment(attachment: Attachment) -> list[str]:
    """Raises ValueError for a name that is not one of `attachments.py`: it stands in headers as it is."""
    if media_type_of(attachment.name) is None:
        raise ValueError("not the name of an attachment")
    charset = '; charset="utf-8"' if attachment.media_type.startswith("text/") else ""
    return [
        f"Content-Type: {attachment.media_type}{charset}",
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{attachment.name}"',
        "",
        encodebytes(attachment.content).decode("ascii").rstrip("\n").replace("\n", _LINE_END),
    ]


def to_ascii_address(address: str) -> str:
    """An address with its domain as IDNA where it has to be. Raises UnicodeError where letters before the @ are not of
    ASCII: such an address needs servers with SMTPUTF8 all the way.
    """
    local, at, domain = address.rpartition("@")
    local.encode("ascii")
    return address if domain.isascii() else f"{local}{at}{domain.encode('idna').decode('ascii')}"


def _write_sender(sender: Address) -> str:
    name = sender.display_name
    if name.isascii():
        return _write_header("From", str(sender))
    return f"From: {Header(name, 'utf-8', header_name='From').encode(linesep=_LINE_END)} <{sender.addr_spec}>"


def _write_header(name: str, value: str) -> str:
    """One header, folded between words; other alphabets as encoded words (RFC 2047). Raises ValueError."""
    if _NOT_IN_HEADERS.search(value):
        raise ValueError(f"{name} has a line break or another control character")
    line = f"{name}: {value}"
    if not value.isascii() or "=?" in value:  # what looks like an encoded word would be taken for one
        return f"{name}: {Header(value, 'utf-8', header_name=name).encode(linesep=_LINE_END)}"
    first, *rest = _BETWEEN_WORDS.split(value) if len(line) > _LINE_LENGTH else [value]
    lines = [f"{name}: {first}"]
    for word in rest:
        if len(lines[-1]) + len(word) < _LINE_LENGTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    if max(map(len, lines)) > _MAX_LINE_LENGTH:
        raise ValueError(f"{name} has a word of more than {_MAX_LINE_LENGTH} characters")
    return _LINE_END.join(lines)


def _quote(text: str) -> str:
    """A text as quoted-printable, with one kind of line end."""
    lines = b2a_qp(text.replace(_LINE_END, "\n").replace("\r", "\n").encode(), istext=True)
    return lines.decode("ascii").replace("\n", _LINE_END)
