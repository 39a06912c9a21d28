"""The adapter `discord`: one request for each message, by a bot to a channel, or to a webhook of the settings.

A place of digits is a channel, which the bot writes to; any other is the name of a webhook. Discord recognises a bot's
message by its nonce for some minutes; through webhooks it takes whatever comes. So the adapter counts as one whose
messages are taken once only where it has no webhooks.
"""

import hashlib
import re
from base64 import b32encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.chat_api import (
    ChatApi,
    ChatApiAdapter,
    ChatRequest,
    UnknownPlace,
    UnusablePlace,
    create_chat_api_adapter,
)
from services.orchestrator.delivery.adapters.chat_message import ChatMessage
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.discord.declaration import DiscordSettings, Webhook, read_webhooks
from services.orchestrator.delivery.adapters.discord.embed import build_message
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, NO_CODE, AnswerMeaning, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting

USER_AGENT: Final = "DiscordBot (tactful, 1.0)"
"""Discord refuses other forms."""
MAX_NONCE: Final = 25
BAN_SECONDS: Final = 3600.0
_CHANNEL: Final = re.compile(r"[0-9]{17,20}")
_ERRORS: Final[Mapping[str, tuple[Any, ...]]] = {
    **dict.fromkeys(("10003", "10013", "10015", "50007", "50278"), ("rejected", "address")),
    **dict.fromkeys(("40001", "40333", "50014"), ("retry", "account")),
    **dict.fromkeys(("50001", "50013"), ("rejected",)),  # the bot lacks rights in this channel alone
    "50027": ("rejected",),  # the token of this one webhook is wrong: the settings can be mended
    **dict.fromkeys(("40005", "50006", "50035"), ("rejected", "content")),
    **dict.fromkeys(("20016", "20028", "40003"), ("retry", "throttle")),
}
MEANINGS: Final = (
    AnswerMeaning(429, 429, "0", "retry", "throttle", BAN_SECONDS),  # our network is banned for a while
    *(AnswerMeaning(400, 499, code, *meaning) for code, meaning in _ERRORS.items()),
    *COMMON_MEANINGS,
)


class _Requests:
    """Builds requests with the settings' bot and webhooks."""

    def __init__(self, key: str | None, webhooks: Mapping[str, Webhook]) -> None:
        self._key, self._webhooks = key, webhooks

    def build_request(self, place: str, chat: ChatMessage, message_id: str) -> ChatRequest:
        """Raises UnusablePlace and UnknownPlace."""
        body = build_message(chat)
        if place.isdigit():
            if not _CHANNEL.fullmatch(place):
                raise UnusablePlace("unusable_address")
            if self._key is None:
                raise UnknownPlace("no_bot")
            body |= {"nonce": as_nonce(message_id), "enforce_nonce": True}
            headers = {"authorization": f"Bot {self._key}", "user-agent": USER_AGENT}
            return ChatRequest(f"/channels/{place}/messages", msgspec.json.encode(body), headers)
        webhook = self._webhooks.get(place)
        if webhook is None:
            raise UnknownPlace("unknown_webhook")
        path = f"/webhooks/{webhook.id}/{webhook.token}?wait=true&with_components=true"
        return ChatRequest(path, msgspec.json.encode(body), {"user-agent": USER_AGENT})


def create_adapter(context: AdapterContext) -> ChatApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: DiscordSettings = context.settings
    webhooks = read_webhooks(settings.webhooks)
    if settings.key is None and not webhooks:
        raise SettingsError("TACTFUL_DISCORD__KEY or TACTFUL_DISCORD__WEBHOOKS must be set")
    if settings.posts is not None and not settings.posts.isdigit() and settings.posts not in webhooks:
        raise SettingsError(f"TACTFUL_DISCORD__POSTS: there is no webhook `{settings.posts}`")
    key = None if settings.key is None else require_setting(settings, "discord", "key")
    api = ChatApi(
        id="discord",
        url=settings.url,
        build_request=_Requests(key, webhooks).build_request,
        post_to=settings.posts,
        idempotent=not webhooks,
        meanings=MEANINGS,
        read_code=lambda body: find_text(body, "code") or NO_CODE,
        read_provider_id=lambda body, headers: find_text(body, "id"),
        read_body_wait=lambda body: body.get("retry_after") if isinstance(body, dict) else None,
    )
    return create_chat_api_adapter(api, context)


def as_nonce(message_id: str) -> str:
    """What Discord knows a message by: the same for the same message."""
    return b32encode(hashlib.sha256(message_id.encode()).digest()).decode()[:MAX_NONCE]
