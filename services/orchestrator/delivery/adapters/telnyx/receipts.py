"""Receipts and replies from Telnyx: one JSON object for each, signed with Ed25519 over time and body.

The signature does not cover the URL. So our message id is taken from the URL that the body itself names, if it does;
and an event has one key, whatever message the URL names beside it.
"""

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.receipt import MAX_REPLY, CustomerReply, Statement
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    DELIVERED,
    FAILED,
    TOLERANCE,
    ProviderStatement,
    check_age,
    make_key,
    read_instant,
    read_object,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.telnyx.declaration import TelnyxSettings
from services.orchestrator.delivery.adapters.telnyx.error_codes import ERROR_CODES
from services.orchestrator.delivery.adapters.text_api import status_meanings

STATUSES: Final = {
    "delivered": DELIVERED,
    "delivery_failed": BOUNCED,
    "expired": BOUNCED,
    "sending_failed": FAILED,
}
"""Status of the recipient -> what it means if no error code says more. `delivery_unconfirmed` is no receipt."""
SIGNATURE_HEADER: Final = "telnyx-signature-ed25519"
TIMESTAMP_HEADER: Final = "telnyx-timestamp"


def read_receipts(settings: TelnyxSettings, request: ReceiptRequest) -> Sequence[Statement]:
    """See ReceiptReader."""
    _check_ed25519(require_receipt_setting(settings, "telnyx", "public_key"), request)
    data = read_object(request.body).get("data")
    kind, payload = find_text(data, "event_type"), data.get("payload") if isinstance(data, dict) else None
    if kind == "message.finalized":
        return list(_read_finalized(data, payload, request).receipts("telnyx", request.now))
    return _read_received(data, payload, request) if kind == "message.received" else []


def _read_finalized(data: Any, payload: Any, request: ReceiptRequest) -> ProviderStatement:
    status, code = find_text(payload, "to", 0, "status"), find_text(payload, "errors", 0, "code")
    return ProviderStatement(
        message_id=_find_message_id(payload, request),
        meanings=status_meanings(STATUSES, status, ERROR_CODES.get(code)),
        at=read_instant(find_text(data, "occurred_at")),
        identity=(find_text(data, "id"),),
        codes=(status, code),
    )


def _read_received(data: Any, payload: Any, request: ReceiptRequest) -> Sequence[Statement]:
    id, sender, text = find_text(data, "id"), find_text(payload, "from", "phone_number"), find_text(payload, "text")
    if not (id and sender.startswith("+")):
        return []
    at = read_instant(find_text(data, "occurred_at")) or request.now
    return [CustomerReply(make_key("telnyx", id, "reply"), "sms", sender, text[:MAX_REPLY], at)]


def _find_message_id(payload: Any, request: ReceiptRequest) -> str:
    try:
        named = parse_qs(urlsplit(find_text(payload, "webhook_url")).query, max_num_fields=20).get(MESSAGE_FIELD)
    except ValueError:
        named = None
    return named[0] if named else request.query.get(MESSAGE_FIELD, "")


@lru_cache(maxsize=4)
def _load_key(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def _check_ed25519(key: str, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless the request has a signature of the account, of now."""
    seconds = request.headers.get(TIMESTAMP_HEADER, "")
    try:
        signature = base64.b64decode(request.headers.get(SIGNATURE_HEADER, ""), validate=True)
        _load_key(key).verify(signature, seconds.encode("utf-8", "replace") + b"|" + request.body)
    except (InvalidSignature, ValueError):
        raise ReceiptRefused(
            f"{SIGNATURE_HEADER} does not fit the body: TACTFUL_TELNYX__PUBLIC_KEY is the public key of the account"
        ) from None
    check_age(seconds, request.now, TOLERANCE, TIMESTAMP_HEADER)
