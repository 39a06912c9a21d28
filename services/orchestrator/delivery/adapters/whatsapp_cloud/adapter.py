"""The adapter `whatsapp_cloud`: one request to the number's `messages` for each message.

Meta does not recognise a message that it already has. Our message id travels as `biz_opaque_callback_data`, and comes
back with what becomes of the message.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from schemas.message import Message
from schemas.vocabulary import Class
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.text_api import (
    TextApi,
    TextApiAdapter,
    TextRequest,
    create_text_api_adapter,
    meanings_of,
    read_parameters,
)
from services.orchestrator.delivery.adapters.whatsapp_cloud.declaration import WhatsappCloudSettings
from services.orchestrator.delivery.adapters.whatsapp_cloud.error_codes import ERROR_CODES, OTHER_MEANINGS

MEANINGS: Final = (*meanings_of(ERROR_CODES), *OTHER_MEANINGS, *COMMON_MEANINGS)
_BUTTONS: Final[Mapping[str, tuple[str, str]]] = {
    "url": ("text", "text"),
    "quick_reply": ("payload", "payload"),
    "copy_code": ("coupon_code", "coupon_code"),
}
"""Kind of a button -> type of its parameter, and where that has its text."""


def create_adapter(context: AdapterContext) -> TextApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: WhatsappCloudSettings = context.settings
    key, _ = (require_setting(settings, "whatsapp_cloud", name) for name in ("key", "phone_number_id"))
    api = TextApi(
        id="whatsapp_cloud",
        authorization={"authorization": f"Bearer {key}"},
        build_request=partial(build_request, settings),
        meanings=MEANINGS,
        read_code=lambda body: find_text(body, "error", "code"),
        read_provider_id=lambda body, headers: find_text(body, "messages", 0, "id"),
    )
    return create_text_api_adapter(api, context)


def build_request(settings: WhatsappCloudSettings, message: Message) -> TextRequest:
    """The request for a message. Raises ValueError for half of a surrogate pair and for unreadable parameters."""
    content = message.content
    is_template = "template" in content
    document: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to,
        "biz_opaque_callback_data": message.id,
    }
    if is_template:
        document |= {"type": "template", "template": _describe_template(content)}
    else:
        document |= {"type": "text", "text": {"body": content["text"]}}
    is_advertising = is_template and message.cls == Class.MARKETING.value
    resource = settings.marketing_path if is_advertising else "messages"
    return TextRequest(f"/{settings.version}/{settings.phone_number_id}/{resource}", msgspec.json.encode(document))


def _describe_template(content: Mapping[str, str]) -> dict[str, Any]:
    template: dict[str, Any] = {
        "name": content["template"],
        "language": {"code": content.get("language", "")},
    }
    if components := list(_list_components(content)):
        template["components"] = components
    return template


def _list_components(content: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    if (media := content.get("header_media")) is not None:
        link = {"link": content.get("header_link", "")}
        yield {"type": "header", "parameters": [{"type": media, media: link}]}
    elif (header := content.get("header_parameter")) is not None:
        yield {"type": "header", "parameters": [{"type": "text", "text": header}]}
    if body := read_parameters(content, "body_parameters"):
        yield {"type": "body", "parameters": [_body_parameter(name, text) for name, text in body.items()]}
    for name, text in read_parameters(content, "button_parameters").items():
        kind, _, place = name.partition("/")
        type, field = _BUTTONS.get(kind, ("text", "text"))
        yield {"type": "button", "sub_type": kind, "index": place, "parameters": [{"type": type, field: text}]}


def _body_parameter(name: str, text: str) -> dict[str, str]:
    named = {} if name.isdecimal() else {"parameter_name": name}
    return {"type": "text", **named, "text": text}
