"""The adapter `telnyx`."""

import base64
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings
from services.orchestrator.delivery.adapters.text_api_settings import ReceiptsUrl, SenderId, Senders

ProfileId = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F-]{36}$")]


def _check_public_key(text: str) -> str:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("write the public key of the account, one line of base64 with 32 bytes")
    return text


class TelnyxSettings(MailApiSettings):
    """An API key, who sends, and how receipts reach us and are checked. `sender` or `messaging_profile_id`, or both."""

    url: str = "https://api.telnyx.com"
    sender: SenderId | None = None
    senders: Senders = ""
    messaging_profile_id: ProfileId | None = None
    receipts_url: ReceiptsUrl | None = None
    public_key: Annotated[str, AfterValidator(_check_public_key)] | None = None


def _check_telnyx(settings: TelnyxSettings) -> SettingsCheck:
    result = check_settings("telnyx", "key")(settings)
    if result.remedy is None and settings.sender is None and settings.messaging_profile_id is None:
        return SettingsCheck("telnyx without a sender", "set TACTFUL_TELNYX__SENDER or __MESSAGING_PROFILE_ID")
    return result


DECLARATION: Final = AdapterDeclaration(
    id="telnyx",
    order=41,
    summary="",
    channels=frozenset({"sms"}),
    settings=TelnyxSettings,
    sample=(
        "The adapter telnyx (docs/adapters/telnyx.md): an API key, a sender or a messaging profile or both. For",
        "receipts: the public https://HOST/v1/receipts/telnyx of this installation, and the public key of the account.",
        "SENDERS: as TACTFUL_TWILIO__SENDERS.",
    ),
    check=_check_telnyx,
    has_receipts=True,
    receipts_need=("receipts_url", "public_key"),
)
