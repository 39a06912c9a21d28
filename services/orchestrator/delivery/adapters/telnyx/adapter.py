"""The adapter `telnyx`: one request to `/v2/messages` for each message.

Telnyx does not recognise a message that it already has: its general idempotency key does not hold for this endpoint.
Our message id travels in the query of the URL that Telnyx calls with what becomes of the message.
"""

from functools import partial
from typing import Any, Final

import msgspec

from schemas.message import Message
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.telnyx.declaration import TelnyxSettings
from services.orchestrator.delivery.adapters.telnyx.error_codes import ERROR_CODES
from services.orchestrator.delivery.adapters.text_api import (
    TextApi,
    TextApiAdapter,
    TextRequest,
    callback_url,
    create_text_api_adapter,
    meanings_of,
)
from services.orchestrator.delivery.adapters.text_api_settings import choose_sender

MEANINGS: Final = (*meanings_of(ERROR_CODES), *COMMON_MEANINGS)


def create_adapter(context: AdapterContext) -> TextApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: TelnyxSettings = context.settings
    key = require_setting(settings, "telnyx", "key")
    if settings.sender is None and settings.messaging_profile_id is None:
        raise SettingsError("TACTFUL_TELNYX__SENDER or TACTFUL_TELNYX__MESSAGING_PROFILE_ID must be set")
    api = TextApi(
        id="telnyx",
        authorization={"authorization": f"Bearer {key}"},
        build_request=partial(_build_message, settings),
        meanings=MEANINGS,
        read_code=lambda body: find_text(body, "errors", 0, "code"),
        read_provider_id=lambda body, headers: find_text(body, "data", "id"),
    )
    return create_text_api_adapter(api, context)


def _build_message(settings: TelnyxSettings, message: Message) -> TextRequest:
    request: dict[str, Any] = {"to": message.to, "text": message.content["text"], "type": "SMS"}
    if (sender := choose_sender(settings.senders, settings.sender, message)) is not None:
        request["from"] = sender
    if settings.messaging_profile_id is not None:
        request["messaging_profile_id"] = settings.messaging_profile_id
    if settings.receipts_url is not None:
        request |= {"webhook_url": callback_url(settings.receipts_url, message.id), "use_profile_webhooks": False}
    return TextRequest("/v2/messages", msgspec.json.encode(request))
