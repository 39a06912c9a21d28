"""The adapter `vonage`: one request to `/v1/messages` for each message.

Vonage does not recognise a message that it already has. Our message id travels in `client_ref`, which comes back in
what becomes of the message.
"""

import base64
import re
from functools import partial
from typing import Any, Final

import msgspec

from schemas.message import Message
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, NO_CODE, AnswerMeaning, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.text_api import (
    TextApi,
    TextApiAdapter,
    TextRequest,
    create_text_api_adapter,
    meanings_of,
)
from services.orchestrator.delivery.adapters.text_api_settings import choose_sender
from services.orchestrator.delivery.adapters.vonage.declaration import VonageSettings
from services.orchestrator.delivery.adapters.vonage.error_codes import ERROR_CODES

MEANINGS: Final = (
    *meanings_of(ERROR_CODES),
    AnswerMeaning(400, 599, "1030", "unknown"),
    AnswerMeaning(400, 499, "1100", "retry"),  # not submitted
    *COMMON_MEANINGS,
)
_CODE_IN_TYPE: Final = re.compile(r"#([0-9]{1,6})$")


def create_adapter(context: AdapterContext) -> TextApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: VonageSettings = context.settings
    key_id, key, _ = (require_setting(settings, "vonage", name) for name in ("key_id", "key", "sender"))
    credentials = base64.b64encode(f"{key_id}:{key}".encode()).decode()
    api = TextApi(
        id="vonage",
        authorization={"authorization": f"Basic {credentials}", "accept": "application/json"},
        build_request=partial(_build_text, settings),
        meanings=MEANINGS,
        read_code=read_error_code,
        read_provider_id=lambda body, headers: find_text(body, "message_uuid"),
        concurrency=20,
    )
    return create_text_api_adapter(api, context)


def _build_text(settings: VonageSettings, message: Message) -> TextRequest:
    request: dict[str, Any] = {
        "channel": "sms",
        "message_type": "text",
        "to": message.to.removeprefix("+"),
        "from": (choose_sender(settings.senders, settings.sender, message) or "").removeprefix("+"),
        "text": message.content["text"],
        "client_ref": message.id,
    }
    if settings.receipts_url is not None:
        request |= {"webhook_url": settings.receipts_url, "webhook_version": "v1"}
    return TextRequest("/v1/messages", msgspec.json.encode(request))


def read_error_code(error: Any) -> str:
    """The code at the end of an error's `type`, which is a URL."""
    found = _CODE_IN_TYPE.search(find_text(error, "type"))
    return found[1] if found else NO_CODE
