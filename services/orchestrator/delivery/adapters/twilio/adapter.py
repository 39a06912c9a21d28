"""The adapter `twilio`: one form posted to the Messages resource for each message, by SMS or on WhatsApp.

Twilio does not recognise a message that it already has. After a 429 it has not taken the message; after a 500 it may
have. Our message id travels in the query of the URL that Twilio calls with what becomes of the message.
"""

import base64
import json
from functools import partial
from itertools import chain
from typing import Final
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
    UnsendableText,
    callback_url,
    create_text_api_adapter,
    meanings_of,
    read_parameters,
)
from services.orchestrator.delivery.adapters.text_api_settings import choose_sender
from services.orchestrator.delivery.adapters.twilio.declaration import (
    WHATSAPP_PREFIX,
    TwilioSettings,
    parse_content_sids,
)
from services.orchestrator.delivery.adapters.twilio.error_codes import ERROR_CODES

MEANINGS: Final = (*meanings_of(ERROR_CODES), *COMMON_MEANINGS)
MAX_BODY: Final = 1600
"""Characters."""


def create_adapter(context: AdapterContext) -> TextApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: TwilioSettings = context.settings
    account, key = (require_setting(settings, "twilio", name) for name in ("account_sid", "key"))
    if not settings.has_sender:
        raise SettingsError(
            "TACTFUL_TWILIO__SENDER or TACTFUL_TWILIO__MESSAGING_SERVICE_SID must be set, or for WhatsApp alone "
            "TACTFUL_TWILIO__WHATSAPP_SENDER"
        )
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
    """The request for a message. Raises UnsendableText, and ValueError for half of a surrogate pair."""
    form = _whatsapp_form(settings, message) if message.channel == "whatsapp" else _sms_form(settings, message)
    if settings.receipts_url is not None:
        form["StatusCallback"] = callback_url(settings.receipts_url, message.id)
    path = f"/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
    return TextRequest(path, urlencode(form).encode(), "application/x-www-form-urlencoded")


def _sms_form(settings: TwilioSettings, message: Message) -> dict[str, str]:
    form = {"To": message.to, "Body": message.content["text"]}
    if settings.messaging_service_sid is not None:
        form["MessagingServiceSid"] = settings.messaging_service_sid
    if (sender := choose_sender(settings.senders, settings.sender, message)) is not None:
        form["From"] = sender
    if len(form) == 2:
        raise UnsendableText("no_sender", "account")
    return form


def _whatsapp_form(settings: TwilioSettings, message: Message) -> dict[str, str]:
    """An approved template by its ContentSid, or free text."""
    form = {"To": WHATSAPP_PREFIX + message.to}
    if settings.whatsapp_sender is not None:
        form["From"] = WHATSAPP_PREFIX + settings.whatsapp_sender
    elif settings.messaging_service_sid is not None:
        form["MessagingServiceSid"] = settings.messaging_service_sid
    else:
        raise UnsendableText("no_whatsapp_sender", "account")
    if "template" not in message.content:
        if len(message.content["text"]) > MAX_BODY:
            raise UnsendableText("too_long")
        return {**form, "Body": message.content["text"]}
    form["ContentSid"] = _find_content_sid(settings, message)
    if variables := _number_variables(message):
        form["ContentVariables"] = json.dumps(variables, ensure_ascii=False)
    return form


def _find_content_sid(settings: TwilioSettings, message: Message) -> str:
    name, language = message.content["template"], message.content.get("language", "")
    if name.startswith("HX"):
        return name
    sids = parse_content_sids(settings.content_sids)
    found = sids.get(f"{name}/{language}") or sids.get(name)
    if found is None:
        raise UnsendableText("no_content_sid")
    return found


def _number_variables(message: Message) -> dict[str, str]:
    """The variables of a template: those of the body, then, with the next numbers, of its header and of its buttons."""
    content = message.content
    variables = dict(read_parameters(content, "body_parameters"))
    header = (content[name] for name in ("header_parameter", "header_link") if name in content)
    buttons = read_parameters(content, "button_parameters")
    others = chain(header, (text for _, text in sorted(buttons.items(), key=lambda item: item[0][-1:])))
    for number, text in enumerate(others, len(variables) + 1):
        variables[str(number)] = text
    return variables
