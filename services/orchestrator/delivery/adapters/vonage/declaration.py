"""The adapter `vonage`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings
from services.orchestrator.delivery.adapters.text_api_settings import ReceiptsUrl, SenderId, Senders

KeyId = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{4,32}$")]


class VonageSettings(MailApiSettings):
    """The account, who sends, and how receipts reach us and are checked.

    `key_id` and `key`: what Vonage calls API key and API secret.
    """

    url: str = "https://api.nexmo.com"
    key_id: KeyId | None = None
    sender: SenderId | None = None
    senders: Senders = ""
    receipts_url: ReceiptsUrl | None = None
    signature_secret: SecretKey | None = None


DECLARATION: Final = AdapterDeclaration(
    id="vonage",
    order=42,
    summary="",
    channels=frozenset({"sms"}),
    settings=VonageSettings,
    key_fields=frozenset({"key_id"}),
    sample=(
        "The adapter vonage (docs/adapters/vonage.md): the API key as KEY_ID, its secret as KEY, and a sender. For",
        "receipts: the signature secret of the account, and the public https://HOST/v1/receipts/vonage of this",
        "installation, unless it is set as the status URL at Vonage. SENDERS: as TACTFUL_TWILIO__SENDERS.",
    ),
    check=check_settings("vonage", "key_id", "key", "sender"),
    has_receipts=True,
    receipts_need=("signature_secret",),
)
