"""The adapter `resend`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings


class ResendSettings(MailApiSettings):
    """An API key, and the API."""

    url: str = "https://api.resend.com"


DECLARATION: Final = AdapterDeclaration(
    id="resend",
    order=27,
    summary="",
    channels=frozenset({"email"}),
    settings=ResendSettings,
    sample=("The adapter resend (docs/adapters/resend.md): an API key with sending access, and the URL of the API.",),
    check=check_settings("resend", "key"),
)
