"""The adapter `twilio`: one form posted to the Messages resource for each message.

Twilio does not recognise a message that it already has. After a 429 it has not taken the message; after a 500 it may
have. Our message id travels in the query of the URL that Twilio calls with what becomes of the message.
"""

import base64
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from schemas.message import Message
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.text_api import (
    TextApi,
    TextApiAdapter,
    TextRequest,
    callback_url,
    create_text_api_adapter,
    meanings_of,
)
from services.orchestrator.delivery.adapters.text_api_settings import choose_sender
from services.orchestrator.delivery.adapters.twilio.declaration import TwilioSettings
from services.orchestrator.delivery.adapters.twilio.error_codes import ERROR_CODES

MEANINGS: Final = (*meanings_of(ERROR_CODES), *COMMON_MEANINGS)


def create_adapter(context: AdapterContext) -> TextApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: TwilioSettings = context.settings
    account, key = (require_setting(settings, "twilio", name) for name in ("account_sid", "key"))
    if settings.sender is None and settings.messaging_service_sid is None:
        raise SettingsError("TACTFUL_TWILIO__SENDER or TACTFUL_TWILIO__MESSAGING_SERVICE_SID must be set")
    credentials = base64.b64encode(f"{settings.key_sid or account}:{key}".encode()).decode()
    api = TextApi(
        id="twilio",
        authorization={"authorization": f"Basic {credentials}"},
        build_request=partial(build_form, settings),
        meanings=MEANINGS,
        read_code=lambda body: find_text(body, "code"),
        read_provider_id=lambda body, headers: find_text(body, "sid"),
    )
    return create_text_api_adapter(api, context)


def build_form(settings: TwilioSettings, message: Message) -> TextRequest:
    """The request for a message. Raises ValueError for half of a surrogate pair."""
    form: dict[str, Any] = {"To": message.to, "Body": message.content["text"]}
    if settings.messaging_service_sid is not None:
        form["MessagingServiceSid"] = settings.messaging_service_sid
    if (sender := choose_sender(settings.senders, settings.sender, message)) is not None:
        form["From"] = sender
    if settings.receipts_url is not None:
        form["StatusCallback"] = callback_url(settings.receipts_url, message.id)
    path = f"/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
    return TextRequest(path, urlencode(form).encode(), "application/x-www-form-urlencoded")
