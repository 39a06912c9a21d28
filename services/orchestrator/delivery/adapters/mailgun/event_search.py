"""Finds out whether Mailgun has had a message, by its events: those to the same recipient since the message was
claimed. Ours is the one that holds our message id, as its receipts do.
"""

import base64
import re
from typing import Any, Final
from urllib.parse import urlencode

from schemas.times import MINUTE, SECOND
from services.orchestrator.delivery.adapters.definition import SearchedMessage
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.mailgun.declaration import MailgunSettings
from services.orchestrator.delivery.adapters.provider_search import (
    ABSENT,
    UNCLEAR,
    PageFinding,
    ProviderSearchApi,
)

PAGE_SIZE: Final = 100
"""Events on a page. A full one may not be the last, so it does not prove an absence."""
_EARLIER: Final = 10 * MINUTE
"""How much earlier events are looked for: Mailgun's clock is not ours."""
_PLAIN_ADDRESS: Final = re.compile(r"[a-z0-9._+-]+@[a-z0-9.-]+")
"""What the filter finds as it stands. Others may be written in another way, so their absence proves nothing."""


def create_search(settings: MailgunSettings, domain: str) -> ProviderSearchApi | None:
    """None without a key that may read events."""
    if settings.search_key is None:
        return None
    login = base64.b64encode(f"api:{settings.search_key.get_secret_value()}".encode()).decode()
    return ProviderSearchApi(
        headers={"authorization": f"Basic {login}"},
        list_pages=lambda message: [_events_page(domain, message)],
        read_page=_read_page,
    )


def _events_page(domain: str, message: SearchedMessage) -> str:
    recipient = message.to.replace('"', "")
    begin = (message.claimed_at - _EARLIER) // SECOND
    asked = {"begin": begin, "ascending": "yes", "limit": PAGE_SIZE, "recipient": f'"{recipient}"'}
    return f"/v3/{domain}/events?{urlencode(asked)}"


def _read_page(body: Any, message: SearchedMessage) -> PageFinding:
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list):
        return UNCLEAR
    for each in items:
        if find_text(each, "user-variables", MESSAGE_FIELD) == message.id:
            return PageFinding("found", find_text(each, "message", "headers", "message-id").strip("<>") or None)
    return ABSENT if len(items) < PAGE_SIZE and _PLAIN_ADDRESS.fullmatch(message.to) else UNCLEAR
