"""The adapter `telegram`: one request to `sendMessage` for each message.

Telegram does not recognise a message that it already has. The token of the bot is part of every URL, so no URL is kept
or shown. Refusals of one chat and of the whole bot share their statuses; the words behind them tell them apart.
"""

import re
from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any, Final

import msgspec

from services.orchestrator.delivery.adapters.chat_api import (
    ChatApi,
    ChatApiAdapter,
    ChatRequest,
    UnusablePlace,
    create_chat_api_adapter,
)
from services.orchestrator.delivery.adapters.chat_message import ChatMessage
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, NO_CODE, AnswerMeaning, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.telegram.declaration import PLACE_PATTERN, TelegramSettings

_PLACE: Final = re.compile(PLACE_PATTERN)
WORDS: Final[Mapping[str, str]] = {
    "chat not found": "chat_not_found",
    "bot was blocked by the user": "bot_blocked",
    "user is deactivated": "user_deactivated",
    "bot was kicked": "bot_kicked",
    "bot is not a member": "not_a_member",
    "can't initiate conversation": "not_started",
    "group chat was upgraded": "chat_upgraded",
    "group chat was deleted": "chat_deleted",
    "peer_id_invalid": "peer_id_invalid",
    "not enough rights": "not_enough_rights",
    "have no rights": "not_enough_rights",
    "need administrator rights": "not_enough_rights",
}
"""What a description holds, in small letters -> our code for it. The first one that is found counts."""
_DEAD: Final = (
    *("chat_not_found", "bot_blocked", "user_deactivated", "bot_kicked", "not_a_member", "not_started"),
    *("chat_upgraded", "chat_deleted", "peer_id_invalid"),
)
MEANINGS: Final = (
    *(AnswerMeaning(400, 403, code, "rejected", "address") for code in _DEAD),
    AnswerMeaning(400, 403, "not_enough_rights", "rejected"),  # somebody in the chat can mend it
    AnswerMeaning(403, 403, None, "rejected", "address"),  # a 403 is about one chat; of the bot it is 401 or 404
    *COMMON_MEANINGS,
)


def create_adapter(context: AdapterContext) -> ChatApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: TelegramSettings = context.settings
    path = f"/bot{require_setting(settings, 'telegram', 'key')}/sendMessage"
    api = ChatApi(
        id="telegram",
        url=settings.url,
        build_request=partial(_build_request, path),
        post_to=settings.posts,
        meanings=MEANINGS,
        read_code=_read_code,
        read_provider_id=lambda body, headers: find_text(body, "result", "message_id"),
        read_body_wait=_read_wait,
    )
    return create_chat_api_adapter(api, context)


def _build_request(path: str, place: str, chat: ChatMessage, message_id: str) -> ChatRequest:
    if not _PLACE.fullmatch(place):
        raise UnusablePlace("unusable_address")
    body: dict[str, Any] = {
        "chat_id": place if place.startswith("@") else int(place),
        "text": build_html(chat),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if chat.image:
        body["link_preview_options"] = {"url": chat.image, "prefer_large_media": True, "show_above_text": True}
    if chat.buttons:
        body["reply_markup"] = {"inline_keyboard": [[{"text": each.label, "url": each.link}] for each in chat.buttons]}
    return ChatRequest(path, msgspec.json.encode(body))


def build_html(chat: ChatMessage) -> str:
    """Title, text and facts in Telegram's HTML, in which `<`, `>` and `&` of the words are escaped."""
    parts = [f"<b>{_escape(chat.title)}</b>"] if chat.title else []
    parts.append(_escape(chat.text))
    if chat.facts:
        parts.append("\n".join(f"<b>{_escape(label)}:</b> {_escape(value)}" for label, value in chat.facts))
    return chat.sign + "\n\n".join(parts)


def _escape(text: str) -> str:
    return escape(text, quote=False)


def _read_code(body: Any) -> str:
    said = find_text(body, "description").lower()
    return next((code for words, code in WORDS.items() if words in said), NO_CODE)


def _read_wait(body: Any) -> Any:
    parameters = body.get("parameters") if isinstance(body, dict) else None
    return parameters.get("retry_after") if isinstance(parameters, dict) else None
