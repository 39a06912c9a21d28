"""In whose name mails are sent, and from where their attachments come: `TACTFUL_MAIL__...`."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

from schemas.vocabulary import Class
from services.kit.runtime.section import Section
from services.kit.runtime.settings import BearerKey


def _check_address(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False).ascii_email or address
    except EmailNotValidError:
        raise ValueError("not an e-mail address") from None


MailAddress = Annotated[str, AfterValidator(_check_address)]
DisplayName = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00-\x1f\x7f<>@\"]*$")]
ImprintLine = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f<>]*$")]
"""One line of what the law wants to be read of a sender."""
_TOPIC: Final = "topic:"
_HOST: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")


def _check_hosts(text: str) -> str:
    for host in filter(None, map(str.strip, text.split(","))):
        if not _HOST.fullmatch(host):
            raise ValueError(
                f"`{host[:80]}` is no host: write files.shop.example, in small letters and without https://"
            )
    return text


class SenderSettings(Section):
    """One sender. Addresses are of a domain whose mails the provider may send.

    `legal_name`, `postal_address`: who is liable and where letters reach them, each on one line.
    """

    address: MailAddress | None = None
    name: DisplayName | None = None
    reply_to: MailAddress | None = None
    legal_name: ImprintLine | None = None
    postal_address: ImprintLine | None = None

    @property
    def imprint(self) -> Mapping[str, str]:
        """What templates read as `sender`; empty where it is not set."""
        return {"legal_name": self.legal_name or self.name or "", "postal_address": self.postal_address or ""}


_SENDERS: Final = TypeAdapter(dict[str, SenderSettings])


@lru_cache(maxsize=8)
def _parse_senders(text: str) -> dict[str, SenderSettings]:
    return _SENDERS.validate_json(text) if text else {}


def _check_senders(text: str) -> str:
    try:
        kinds = _parse_senders(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'/'.join(map(str, first['loc']))}: {first['msg']}") from None
    for kind in kinds:
        if kind not in set(Class) and not kind.startswith(_TOPIC):
            raise ValueError(f"{kind}: use {', '.join(Class)}, or topic: and the key of a topic")
    return text


class MailSettings(Section):
    """The sender of all mails, and others for a class or a topic.

    `senders`: JSON, from `transactional`, `service`, `marketing` or `topic:news` to a sender; what one leaves out
    is that of all mails. `unsubscribe_address`: where mails that ask to stop are read, for the header List-Unsubscribe.
    `attachment_hosts`: from which hosts attachments are fetched, by https; `attachment_key`: what is sent to them as
    `Authorization: Bearer`.
    """

    from_address: MailAddress | None = None
    from_name: DisplayName | None = None
    reply_to: MailAddress | None = None
    legal_name: ImprintLine | None = None
    postal_address: ImprintLine | None = None
    unsubscribe_address: MailAddress | None = None
    attachment_hosts: Annotated[str, AfterValidator(_check_hosts)] = ""
    attachment_key: BearerKey | None = None
    senders: Annotated[str, AfterValidator(_check_senders)] = ""

    @property
    def has_sender(self) -> bool:
        """Whether mails of some kind have a sender."""
        return self.from_address is not None or any(each.address for each in _parse_senders(self.senders).values())

    def find_sender(self, cls: str, topic: str | None) -> SenderSettings:
        """The sender of a message: that of its topic, of its class, or of all. Its address is None if none is set."""
        senders = _parse_senders(self.senders)
        own = senders.get(f"{_TOPIC}{topic}") or senders.get(cls) or SenderSettings()
        return SenderSettings(
            address=own.address or self.from_address,
            name=own.name or self.from_name,
            reply_to=own.reply_to or self.reply_to,
            legal_name=own.legal_name or self.legal_name,
            postal_address=own.postal_address or self.postal_address,
        )

    @property
    def hosts_of_attachments(self) -> frozenset[str]:
        """The hosts of `attachment_hosts`."""
        return frozenset(filter(None, map(str.strip, self.attachment_hosts.split(","))))
