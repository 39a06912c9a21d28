"""In whose name mails are sent: `TACTFUL_MAIL__...`."""

from functools import lru_cache
from typing import Annotated, Final

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

from schemas.vocabulary import Class
from services.kit.runtime.section import Section


def _check_address(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False).ascii_email or address
    except EmailNotValidError:
        raise ValueError("not an e-mail address") from None


MailAddress = Annotated[str, AfterValidator(_check_address)]
DisplayName = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00-\x1f\x7f<>@\"]*$")]
_TOPIC: Final = "topic:"


class SenderSettings(Section):
    """One sender. Addresses are of a domain whose mails the provider may send."""

    address: MailAddress | None = None
    name: DisplayName | None = None
    reply_to: MailAddress | None = None


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
    """

    from_address: MailAddress | None = None
    from_name: DisplayName | None = None
    reply_to: MailAddress | None = None
    unsubscribe_address: MailAddress | None = None
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
        )
