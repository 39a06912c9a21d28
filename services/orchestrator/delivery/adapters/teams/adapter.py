"""The adapter `teams`: one request to a workflow of the settings for each message.

A workflow answers 202 as soon as it has started, and tells nothing of what becomes of it later. It does not recognise a
message that it already has. Its URL holds its signature, so it stays in the settings and out of logs and details.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.chat_api import (
    ChatApi,
    ChatApiAdapter,
    ChatRequest,
    UnknownPlace,
    create_chat_api_adapter,
)
from services.orchestrator.delivery.adapters.chat_message import ChatMessage
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, NO_CODE, AnswerMeaning
from services.orchestrator.delivery.adapters.teams.card import build_card
from services.orchestrator.delivery.adapters.teams.declaration import TeamsSettings, read_workflows

CARD: Final = "application/vnd.microsoft.card.adaptive"
MAX_BYTES: Final = 28_000
"""What Teams takes of a message."""
CONCURRENCY: Final = 4
MEANINGS: Final = (
    *(AnswerMeaning(status, status, None, "rejected") for status in (401, 403)),
    *(AnswerMeaning(status, status, None, "rejected", "address") for status in (404, 410)),
    *COMMON_MEANINGS,
)
"""A workflow that is switched off or deleted is a dead place. A signature that does not fit can be mended in the
settings, so nothing is held against the place; nor is the account wrong, as others have signatures of their own.
"""


def create_adapter(context: AdapterContext) -> ChatApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: TeamsSettings = context.settings
    workflows = read_workflows(settings.webhooks)
    if not workflows:
        raise SettingsError("TACTFUL_TEAMS__WEBHOOKS is not set, and this process needs it")
    try:
        for target in workflows.values():
            context.outbound.check_url(f"https://{target}")
    except (ValueError, OutboundRefused):
        raise SettingsError("TACTFUL_TEAMS__WEBHOOKS holds a URL that must not be called") from None
    api = ChatApi(
        id="teams",
        url=settings.url,
        build_request=partial(_build_request, workflows, settings.url is not None),
        post_to=None,
        meanings=MEANINGS,
        read_code=lambda body: NO_CODE,
        read_provider_id=lambda body, headers: headers.get("x-ms-workflow-run-id", ""),
        concurrency=CONCURRENCY,
        max_bytes=MAX_BYTES,
    )
    return create_chat_api_adapter(api, context)


def _build_request(
    workflows: Mapping[str, str], without_host: bool, place: str, chat: ChatMessage, message_id: str
) -> ChatRequest:
    target = workflows.get(place)
    if target is None:
        raise UnknownPlace("unknown_webhook")
    card = {"contentType": CARD, "contentUrl": None, "content": build_card(chat, message_id)}
    body = msgspec.json.encode({"type": "message", "attachments": [card]})
    path = f"/{target.partition('/')[2]}" if without_host else target
    return ChatRequest(path, body)
