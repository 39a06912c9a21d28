"""The adapter `sendgrid`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings


class SendgridSettings(MailApiSettings):
    """An API key, and the API of its region."""

    url: str = "https://api.sendgrid.com"


DECLARATION: Final = AdapterDeclaration(
    id="sendgrid",
    order=25,
    summary="",
    channels=frozenset({"email"}),
    settings=SendgridSettings,
    sample=(
        "The adapter sendgrid (docs/adapters/sendgrid.md): an API key with the right Mail Send, and the URL of its API",
        "(https://api.eu.sendgrid.com for subusers of the region EU).",
    ),
    check=check_settings("sendgrid", "key"),
)
