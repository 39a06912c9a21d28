"""A mail as SMTP carries it: who sends it to whom, and the bytes of its content."""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.message import Message
from schemas.times import Instant
from services.orchestrator.delivery.adapters.smtp.signed_path import SIGNED_HEADER, sign_id, sign_return_path
from services.orchestrator.delivery.channels.email.attachments import Attachment
from services.orchestrator.delivery.channels.email.mail import NoSender, compose_mail, to_ascii_address, to_mime
from services.orchestrator.mail_settings import MailSettings

_ADDRESS: Final = re.compile(rb"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
"""Nothing that could end the address early, or begin another one."""


class UnwritableAddress(ValueError):
    """The address cannot be named in SMTP."""


@dataclass(frozen=True, slots=True)
class MailEnvelope:
    """One mail to one recipient. `content`: as written after DATA, without the final dot."""

    message_id: str
    sender: bytes
    recipient: bytes
    content: bytes


def create_envelope(
    message: Message,
    mail: MailSettings,
    return_path: str | None,
    date: Instant,
    secret: str | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> MailEnvelope:
    """The envelope of a message. `secret`: signs in the return path, and in the mail by which somebody unsubscribes,
    which message it is. Raises NoSender, UnwritableAddress, and others for content that is no mail.
    """
    subject = None if secret is None else sign_id(secret, "unsubscribe", message.id)
    composed = compose_mail(message, mail, attachments, subject)
    if secret is not None and return_path is not None:
        return_path = sign_return_path(secret, return_path, message.id)
        if (token := sign_id(secret, "bounce", message.id)) is not None:
            composed = msgspec.structs.replace(composed, headers={**composed.headers, SIGNED_HEADER: token})
    try:
        sender = encode_address(return_path or composed.sender.addr_spec)
    except UnwritableAddress:
        raise NoSender("the sender's address has letters before the @ that SMTP cannot carry") from None
    recipient = encode_address(message.to)
    return MailEnvelope(message.id, sender, recipient, stuff_dots(to_mime(composed, date)))


def encode_address(address: str) -> bytes:
    """An address as SMTP names it. Raises UnwritableAddress."""
    try:
        encoded = to_ascii_address(address).encode("ascii")
    except UnicodeError:
        raise UnwritableAddress from None
    if not _ADDRESS.fullmatch(encoded) or len(encoded) > 254:
        raise UnwritableAddress
    return encoded


def stuff_dots(mime: bytes) -> bytes:
    """The content as it is written: every line ends with CR LF, and one that begins with a dot gets a second one.

    So no content can end itself and go on as a command, whatever a server takes for the end of a line.
    """
    lines = mime.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    return b"\n".join((b"", lines, b"")).replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")[2:]
