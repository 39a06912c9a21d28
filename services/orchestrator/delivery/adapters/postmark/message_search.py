"""Finds out whether Postmark has had a message, by its search of outbound messages for our message id in their
metadata. A search is about one message stream, so both of the settings are asked.
"""

from typing import Any, Final
from urllib.parse import urlencode

from services.orchestrator.delivery.adapters.definition import SearchedMessage
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.postmark.declaration import PostmarkSettings
from services.orchestrator.delivery.adapters.provider_search import (
    ABSENT,
    UNCLEAR,
    PageFinding,
    ProviderSearchApi,
)

_PAGE_SIZE: Final = 10


def create_search(settings: PostmarkSettings, key: str) -> ProviderSearchApi:
    """The search with the token that sends, which may read as well."""
    streams = dict.fromkeys((settings.stream, settings.marketing_stream))
    return ProviderSearchApi(
        headers={"x-postmark-server-token": key, "accept": "application/json"},
        list_pages=lambda message: [_search_page(stream, message) for stream in streams],
        read_page=_read_page,
    )


def _search_page(stream: str, message: SearchedMessage) -> str:
    asked = {"count": _PAGE_SIZE, "offset": 0, "messagestream": stream, f"metadata_{MESSAGE_FIELD}": message.id}
    return f"/messages/outbound?{urlencode(asked)}"


def _read_page(body: Any, message: SearchedMessage) -> PageFinding:
    """Messages of others mean that the filter was not understood: then it proves nothing that ours is not there."""
    messages = body.get("Messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        return UNCLEAR
    for each in messages:
        if find_text(each, "Metadata", MESSAGE_FIELD) == message.id:
            return PageFinding("found", find_text(each, "MessageID") or None)
    total = body.get("TotalCount")
    return ABSENT if not messages and total == 0 and isinstance(total, int) else UNCLEAR
