"""Declaration of the adapter `pager`."""

from typing import Final

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings


class PagerSettings(MailApiSettings):
    """The key of the account, the API, and the secret that signs receipts and replies."""

    url: str = "https://api.pager.example"
    signing_secret: SecretKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="pager",
    order=45,
    summary="",
    channels=frozenset({"sms"}),
    remembers_for=2 * 60 * 60,
    settings=PagerSettings,
    sample=(
        "The adapter pager: the key of the account, the URL of the API, and the secret that signs receipts and",
        "replies, which Pager posts to https://HOST/v1/receipts/pager.",
    ),
    check=check_settings("pager", "key"),
    has_receipts=True,
    receipts_need=("signing_secret",),
)
