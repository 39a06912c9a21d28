"""The adapter `mailgun`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

DomainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]


class MailgunSettings(MailApiSettings):
    """A sending key, the domain that it is for, and the API of the domain's region."""

    url: str = "https://api.mailgun.net"
    domain: DomainName | None = None


DECLARATION: Final = AdapterDeclaration(
    id="mailgun",
    order=28,
    summary="",
    channels=frozenset({"email"}),
    settings=MailgunSettings,
    sample=(
        "The adapter mailgun (docs/adapters/mailgun.md): a sending key, the URL of the API, and the domain that sends;",
        "for domains of the region EU: https://api.eu.mailgun.net.",
    ),
    check=check_settings("mailgun", "key", "domain"),
)
