"""The adapter `mailgun`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

DomainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]


class MailgunSettings(MailApiSettings):
    """A sending key, the domain that it is for, the API of the domain's region, and the key that signs receipts."""

    url: str = "https://api.mailgun.net"
    domain: DomainName | None = None
    signing_key: SecretKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="mailgun",
    order=28,
    summary="",
    channels=frozenset({"email"}),
    sends_mail=True,
    settings=MailgunSettings,
    sample=(
        "The adapter mailgun (docs/adapters/mailgun.md): a sending key, the URL of the API, and the domain that sends;",
        "for domains of the region EU: https://api.eu.mailgun.net. For receipts: the HTTP webhook signing key.",
    ),
    check=check_settings("mailgun", "key", "domain"),
    has_receipts=True,
    receipts_need=("signing_key",),
)
