"""The adapter `slack`: one request to `chat.postMessage` for each message.

Slack answers 200 to nearly everything; whether it has the message, its body says. It does not recognise a message that
it already has. A place is the id of a conversation (C, G, D) or of a person (U, W).
"""

import re
from collections.abc import Mapping
from functools import partial
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
from services.orchestrator.delivery.adapters.slack.blocks import build_blocks, build_fallback
from services.orchestrator.delivery.adapters.slack.declaration import SlackSettings

UNREADABLE: Final = "unreadable"
"""Our word for an answer that does not say whether Slack has the message."""
REFUSED: Final = "refused"
"""Our word for a refusal whose reason cannot be kept."""
_ERROR: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PLACE: Final = re.compile(r"[CDGUW][A-Z0-9]{4,30}")
_ERRORS: Final[Mapping[str, tuple[Any, ...]]] = {
    UNREADABLE: ("unknown",),
    **dict.fromkeys(("ratelimited", "rate_limited", "message_limit_exceeded"), ("retry", "throttle")),
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope")
        + ("no_permission", "org_login_required", "ekm_access_denied", "access_denied", "not_allowed_token_type")
        + ("team_access_not_granted", "two_factor_setup_required", "accesslimited", "team_not_found")
        + ("deprecated_endpoint",),
        ("retry", "account"),
    ),
    **dict.fromkeys(
        ("channel_not_found", "is_archived", "user_not_found", "user_disabled", "cannot_dm_bot"),
        ("rejected", "address"),
    ),
    **dict.fromkeys(("not_in_channel", "restricted_action"), ("rejected",)),  # somebody in the conversation can mend it
    **dict.fromkeys(("internal_error", "fatal_error", "request_timeout"), ("unknown",)),
    "service_unavailable": ("retry",),
}
MEANINGS: Final = (
    *(AnswerMeaning(200, 299, code, *meaning) for code, meaning in _ERRORS.items()),
    AnswerMeaning(200, 299, NO_CODE, "accepted"),
    AnswerMeaning(200, 299, None, "rejected", "content"),  # `ok` is false: Slack does not have it
    *COMMON_MEANINGS,
)


def create_adapter(context: AdapterContext) -> ChatApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: SlackSettings = context.settings
    headers = {"authorization": f"Bearer {require_setting(settings, 'slack', 'key')}"}
    api = ChatApi(
        id="slack",
        url=settings.url,
        build_request=partial(_build_request, headers),
        post_to=settings.posts,
        meanings=MEANINGS,
        read_code=_read_code,
        read_provider_id=lambda body, headers: find_text(body, "ts"),
    )
    return create_chat_api_adapter(api, context)


def _build_request(headers: Mapping[str, str], place: str, chat: ChatMessage, message_id: str) -> ChatRequest:
    if not _PLACE.fullmatch(place):
        raise UnusablePlace("unusable_address")
    body = {
        "channel": place,
        "text": build_fallback(chat),
        "blocks": build_blocks(chat),
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "tactful_message", "event_payload": {"id": message_id}},
    }
    return ChatRequest("/chat.postMessage", msgspec.json.encode(body), headers)


def _read_code(body: Any) -> str:
    """Never NO_CODE for what is not certainly taken."""
    ok = body.get("ok") if isinstance(body, dict) else None
    if ok is not False:
        return NO_CODE if ok is True else UNREADABLE
    error = find_text(body, "error")
    return error if _ERROR.fullmatch(error) else REFUSED
