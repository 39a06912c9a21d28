"""Lint of what an installation's settings say of senders and attachments."""

from collections.abc import Callable, Container, Iterator

import schemas.campaign
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.finding import Finding, warning
from schemas.text import escape_pointer
from schemas.vocabulary import Class
from services.orchestrator.campaigns.lint.fallback_lint import FindProblems
from services.orchestrator.mail_settings import MailSettings

ATTACHMENTS_FIELD = "attachments"


def with_senders(check: FindProblems, mail: MailSettings, sending: Container[str]) -> Callable[..., list[Finding]]:
    """The check with warnings about marketing whose sender has no postal address, and about attachments that would be
    fetched from nowhere. `sending`: the channels whose messages leave this installation.
    """

    def find_with_senders(document: schemas.campaign.Campaign) -> list[Finding]:
        missing = _missing_imprint(document, mail, sending)
        return [*check(document), *missing, *_attachments_without_hosts(document, mail)]

    return find_with_senders


def _missing_imprint(
    document: schemas.campaign.Campaign, mail: MailSettings, sending: Container[str]
) -> Iterator[Finding]:
    sender = mail.find_sender(document.class_.value, document.topic)
    if document.class_ is not Class.MARKETING or sender.postal_address:
        return
    for channel in document.content:
        declaration = CHANNEL_REGISTRY.declarations.get(channel)
        if declaration is not None and declaration.shows_sender and channel in sending:
            yield warning(
                f"/content/{channel}",
                "no_postal_address",
                "no postal address is set for the sender: nothing adds one to this advertising, and the law of many "
                "countries wants the sender's name and postal address in it",
                "set TACTFUL_MAIL__LEGAL_NAME and TACTFUL_MAIL__POSTAL_ADDRESS, or those of a class or topic in "
                "TACTFUL_MAIL__SENDERS",
            )


def _attachments_without_hosts(document: schemas.campaign.Campaign, mail: MailSettings) -> Iterator[Finding]:
    if mail.hosts_of_attachments:
        return
    for channel, locales in document.content.items():
        for locale, fields in locales.items():
            if ATTACHMENTS_FIELD in fields:
                yield warning(
                    f"/content/{escape_pointer(channel)}/{escape_pointer(locale)}/{ATTACHMENTS_FIELD}",
                    "no_attachment_hosts",
                    "attachments are fetched from the hosts of TACTFUL_MAIL__ATTACHMENT_HOSTS, and none is set: such "
                    "messages are not sent",
                    "set TACTFUL_MAIL__ATTACHMENT_HOSTS to the host where the files are",
                )
