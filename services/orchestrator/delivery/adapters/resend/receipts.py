"""Receipts from Resend: one JSON object for each event, signed by Svix according to Standard Webhooks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import SecretStr

from schemas.receipt import Receipt
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    BOUNCED_FOR_GOOD,
    CLICKED,
    COMPLAINED,
    DELIVERED,
    FAILED,
    OPENED,
    ProviderStatement,
    ReceiptMeaning,
    read_instant,
    read_object,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.resend.declaration import ResendSettings
from services.orchestrator.delivery.adapters.standard_webhooks import check_standard_signature

MEANINGS: Final[Mapping[tuple[str, str], Sequence[ReceiptMeaning]]] = {
    ("email.delivered", ""): DELIVERED,
    ("email.bounced", ""): BOUNCED,
    ("email.bounced", "Permanent"): BOUNCED_FOR_GOOD,
    ("email.suppressed", ""): (*FAILED, *BOUNCED_FOR_GOOD),
    ("email.failed", ""): FAILED,
    ("email.complained", ""): COMPLAINED,
    ("email.opened", ""): OPENED,
    ("email.clicked", ""): CLICKED,
}
"""The type of an event, and of a bounce -> what it means. A type of bounce that is not here counts as none."""


def read_receipts(settings: ResendSettings, request: ReceiptRequest) -> Sequence[Receipt]:
    """See ReceiptReader. `svix-id` is the same whenever an event is repeated, and it is signed."""
    secret = require_receipt_setting(settings, "resend", "signing_secret")
    check_standard_signature(SecretStr(secret), request, "svix", "TACTFUL_RESEND__SIGNING_SECRET")
    event = read_object(request.body)
    type, bounce = find_text(event, "type"), find_text(event, "data", "bounce", "type")
    statement = ProviderStatement(
        message_id=_find_message_id(event),
        meanings=MEANINGS.get((type, bounce), MEANINGS.get((type, ""), ())),
        at=read_instant(event.get("created_at")),
        identity=(request.headers.get("svix-id", ""),),
        codes=(bounce, find_text(event, "data", "bounce", "subType")),
    )
    return list(statement.receipts("resend", request.now))


def _find_message_id(event: Mapping[str, Any]) -> str:
    """Our id among the tags: an object, or a list of names and values as in the request that sent the mail."""
    data = event.get("data")
    tags = data.get("tags") if isinstance(data, dict) else None
    if isinstance(tags, list):
        named = (tag for tag in tags if find_text(tag, "name") == MESSAGE_FIELD)
        return find_text(next(named, None), "value")
    return find_text(tags, MESSAGE_FIELD)
