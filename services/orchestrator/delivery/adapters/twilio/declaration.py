"""The adapter `twilio`."""

from typing import Annotated, Final

from pydantic import StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings
from services.orchestrator.delivery.adapters.text_api_settings import ReceiptsUrl, SenderId, Senders

AccountSid = Annotated[str, StringConstraints(pattern="^AC[0-9a-fA-F]{32}$")]
KeySid = Annotated[str, StringConstraints(pattern="^SK[0-9a-fA-F]{32}$")]
MessagingServiceSid = Annotated[str, StringConstraints(pattern="^MG[0-9a-fA-F]{32}$")]


class TwilioSettings(MailApiSettings):
    """The account, who sends, and where Twilio reaches our receipts.

    `key`: the auth token of the account; with `key_sid`, the secret of that API key. `auth_token`: what Twilio signs
    with; needed where `key` is not it. `sender` or `messaging_service_sid`, or both.
    """

    url: str = "https://api.twilio.com"
    account_sid: AccountSid | None = None
    key_sid: KeySid | None = None
    auth_token: SecretKey | None = None
    sender: SenderId | None = None
    senders: Senders = ""
    messaging_service_sid: MessagingServiceSid | None = None
    receipts_url: ReceiptsUrl | None = None


def _check_twilio(settings: TwilioSettings) -> SettingsCheck:
    result = check_settings("twilio", "key", "account_sid")(settings)
    if result.remedy is None and settings.sender is None and settings.messaging_service_sid is None:
        return SettingsCheck("twilio without a sender", "set TACTFUL_TWILIO__SENDER or __MESSAGING_SERVICE_SID")
    return result


DECLARATION: Final = AdapterDeclaration(
    id="twilio",
    order=40,
    summary="",
    channels=frozenset({"sms"}),
    settings=TwilioSettings,
    sample=(
        "The adapter twilio (docs/adapters/twilio.md): the account, its auth token as KEY (or an API key: KEY_SID, its",
        "secret as KEY, and AUTH_TOKEN for the receipts), a sender or a messaging service or both, and the public",
        "https://HOST/v1/receipts/twilio of this installation. SENDERS: JSON, other senders by class, country or both:",
        '{"US": "+15017122661", "marketing": "Shop News", "marketing/DE": "Shop"}.',
    ),
    check=_check_twilio,
    has_receipts=True,
    receipts_need=("receipts_url",),
    receipt_answer=("text/xml", "<Response/>"),
)
