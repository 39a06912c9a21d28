"""The adapter `twilio`."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings
from services.orchestrator.delivery.adapters.text_api_settings import ReceiptsUrl, SenderId, Senders

AccountSid = Annotated[str, StringConstraints(pattern="^AC[0-9a-fA-F]{32}$")]
KeySid = Annotated[str, StringConstraints(pattern="^SK[0-9a-fA-F]{32}$")]
MessagingServiceSid = Annotated[str, StringConstraints(pattern="^MG[0-9a-fA-F]{32}$")]


WhatsappSender = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
WHATSAPP_PREFIX: Final = "whatsapp:"
"""What stands before a number on WhatsApp."""
_CONTENT_SID: Final = re.compile("HX[0-9a-fA-F]{32}")


def parse_content_sids(text: str) -> Mapping[str, str]:
    """Name of a template, or name/language -> its ContentSid. Raises ValueError, which says what to write."""
    try:
        found = json.loads(text or "{}")
    except (json.JSONDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError('write JSON such as {"order_shipped/de": "HX0123..."}')
    if not all(isinstance(sid, str) and _CONTENT_SID.fullmatch(sid) for sid in found.values()):
        raise ValueError("a ContentSid is HX and 32 hexadecimal digits")
    return found


def _check_content_sids(text: str) -> str:
    parse_content_sids(text)
    return text


ContentSids = Annotated[str, AfterValidator(_check_content_sids)]


class TwilioSettings(MailApiSettings):
    """The account, who sends, and where Twilio reaches our receipts.

    `key`: the auth token of the account; with `key_sid`, the secret of that API key. `auth_token`: what Twilio signs
    with; needed where `key` is not it. `sender` or `messaging_service_sid`, or both. `whatsapp_sender`: the number that
    sends on WhatsApp, if the messaging service has none. `content_sids`: what Twilio calls approved templates, as JSON.
    """

    url: str = "https://api.twilio.com"
    account_sid: AccountSid | None = None
    key_sid: KeySid | None = None
    auth_token: SecretKey | None = None
    sender: SenderId | None = None
    senders: Senders = ""
    messaging_service_sid: MessagingServiceSid | None = None
    whatsapp_sender: WhatsappSender | None = None
    content_sids: ContentSids = ""
    receipts_url: ReceiptsUrl | None = None

    @property
    def has_sender(self) -> bool:
        """Whether anything says who sends."""
        return any((self.sender, self.messaging_service_sid, self.whatsapp_sender))


def _check_twilio(settings: TwilioSettings) -> SettingsCheck:
    result = check_settings("twilio", "key", "account_sid")(settings)
    if result.remedy is None and not settings.has_sender:
        return SettingsCheck("twilio without a sender", "set TACTFUL_TWILIO__SENDER or __MESSAGING_SERVICE_SID")
    return result


def _need_for_receipts(settings: TwilioSettings) -> tuple[str, ...]:
    """Twilio signs with the auth token of the account, which `key` is not where an API key is used."""
    return () if settings.key_sid is None else ("auth_token",)


DECLARATION: Final = AdapterDeclaration(
    id="twilio",
    order=40,
    summary="",
    channels=frozenset({"sms", "whatsapp"}),
    settings=TwilioSettings,
    key_fields=frozenset({"account_sid", "key_sid"}),
    sample=(
        "The adapter twilio (docs/adapters/twilio.md): the account, its auth token as KEY (or an API key: KEY_SID, its",
        "secret as KEY, and AUTH_TOKEN for the receipts), a sender or a messaging service or both, and the public",
        "https://HOST/v1/receipts/twilio of this installation. SENDERS: JSON, other senders by class, country or both:",
        '{"US": "+15017122661", "marketing": "Shop News", "marketing/DE": "Shop"}. For WhatsApp: the number that',
        'sends, and the ContentSid of each template, as JSON such as {"order_shipped/de": "HX0123..."}.',
    ),
    check=_check_twilio,
    has_receipts=True,
    receipts_need=("receipts_url",),
    receipts_need_further=_need_for_receipts,
    receipt_answer=("text/xml", "<Response/>"),
)
