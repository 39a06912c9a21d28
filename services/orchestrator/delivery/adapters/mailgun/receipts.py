"""Receipts from Mailgun: one JSON object for each event, with a signature inside.

The signature covers a time and a random token, and nothing of the event. So whoever has seen one request could write
another event beside its signature. So the token is the key of the receipt, and no event has two: a token counts once.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.receipt import Receipt
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.mailgun.declaration import MailgunSettings
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    BOUNCED_FOR_GOOD,
    CLICKED,
    CLICKED_BY_MACHINE,
    COMPLAINED,
    DELIVERED,
    FAILED,
    OPENED,
    OPENED_BY_MACHINE,
    UNSUBSCRIBED,
    ProviderStatement,
    ReceiptMeaning,
    check_age,
    read_instant,
    read_object,
    require_receipt_setting,
)

OLDEST: Final = 9 * 3600
"""Seconds. Mailgun repeats for seven and a half hours, and does not say whether it signs anew."""
MEANINGS: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    "delivered": DELIVERED,
    "rejected": FAILED,
    "complained": COMPLAINED,
    "unsubscribed": UNSUBSCRIBED,
    "opened": OPENED,
    "clicked": CLICKED,
    "failed": BOUNCED_FOR_GOOD,
}
"""Event -> what it means if the next two tables do not say more."""
FAILURE_REASONS: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    "old": BOUNCED,  # given up after hours of temporary refusals
    "greylisted": BOUNCED,
    "espblock": BOUNCED,  # refused for who sends, not for who gets it
    "suppress-bounce": BOUNCED_FOR_GOOD,  # Mailgun has dropped it, as it has been told so before
    "suppress-complaint": COMPLAINED,
    "suppress-unsubscribe": UNSUBSCRIBED,
}
"""Reason of a permanent failure -> what it means. Temporary ones are no receipts: Mailgun goes on trying."""
MACHINE_MEANINGS: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    "opened": OPENED_BY_MACHINE,
    "clicked": CLICKED_BY_MACHINE,
}
"""Event -> what it means if Mailgun names the program that made it."""


def read_receipts(settings: MailgunSettings, request: ReceiptRequest) -> Sequence[Receipt]:
    """See ReceiptReader. The signature is in the JSON, so this has to be read before it can be checked."""
    key = require_receipt_setting(settings, "mailgun", "signing_key")
    body = read_object(request.body)
    signed = _check_signed_token(key, body, request)
    event = body.get("event-data")
    reason = find_text(event, "reason")
    statement = ProviderStatement(
        message_id=find_text(event, "user-variables", MESSAGE_FIELD),
        meanings=_find_meanings(event, reason),
        at=read_instant(event.get("timestamp") if isinstance(event, dict) else None),
        identity=(signed,),
        codes=(find_text(event, "delivery-status", "code"), find_text(event, "severity"), reason),
    )
    return list(statement.receipts("mailgun", request.now))


def _find_meanings(event: Any, reason: str) -> Sequence[ReceiptMeaning]:
    name = find_text(event, "event")
    meanings = MEANINGS.get(name, ())
    if name == "failed":
        return FAILURE_REASONS.get(reason, meanings) if find_text(event, "severity") == "permanent" else ()
    return MACHINE_MEANINGS.get(name, meanings) if find_text(event, "client-info", "bot") else meanings


def _check_signed_token(key: str, body: Mapping[str, Any], request: ReceiptRequest) -> str:
    """What the signature covers. Raises ReceiptRefused unless it is right and the time is of these hours.

    Both parts are returned as one text: moved from one to the other, a digit would make another token under the same
    signature.
    """
    timestamp, token, given = (find_text(body, "signature", name) for name in ("timestamp", "token", "signature"))
    signed = f"{timestamp}{token}".encode("utf-8", "replace")
    right = hmac.digest(key.encode(), signed, "sha256").hex()
    if not (token and hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))):
        raise ReceiptRefused("the signature does not fit: TACTFUL_MAILGUN__SIGNING_KEY is the HTTP webhook signing key")
    check_age(timestamp, request.now, OLDEST, "the timestamp of the signature")
    return signed.decode()
