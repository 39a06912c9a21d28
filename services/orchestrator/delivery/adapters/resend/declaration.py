"""The adapter `resend`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings


class ResendSettings(MailApiSettings):
    """An API key, the API, and the secret that signs receipts."""

    url: str = "https://api.resend.com"
    signing_secret: SecretKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="resend",
    order=27,
    summary="",
    channels=frozenset({"email"}),
    remembers_for=24 * 60 * 60,
    sends_mail=True,
    settings=ResendSettings,
    sample=(
        "The adapter resend (docs/adapters/resend.md): an API key with sending access, the URL of the API, and for",
        "receipts the signing secret of the webhook, whsec_...",
    ),
    check=check_settings("resend", "key"),
    has_receipts=True,
    receipts_need=("signing_secret",),
)
