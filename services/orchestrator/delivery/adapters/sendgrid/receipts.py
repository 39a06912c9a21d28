"""Receipts from SendGrid's Event Webhook: a JSON array of up to thousands of events, signed with ECDSA on P-256."""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from schemas.receipt import Receipt
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    BOUNCED_FOR_GOOD,
    CLICKED,
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
    read_json,
    require_receipt_setting,
)
from services.orchestrator.delivery.adapters.sendgrid.declaration import SendgridSettings

OLDEST: Final = 25 * 3600
"""Seconds. SendGrid repeats for 24 hours, and does not say whether it signs anew. A replay changes nothing: what was
taken before is known by its key.
"""
MEANINGS: Final[Mapping[tuple[str, str], Sequence[ReceiptMeaning]]] = {
    ("delivered", ""): DELIVERED,
    ("bounce", ""): BOUNCED,
    ("bounce", "bounce"): BOUNCED_FOR_GOOD,
    ("bounce", "blocked"): BOUNCED,
    ("dropped", ""): FAILED,
    ("spamreport", ""): COMPLAINED,
    ("unsubscribe", ""): UNSUBSCRIBED,
    ("group_unsubscribe", ""): UNSUBSCRIBED,
    ("open", ""): OPENED,
    ("open", "machine"): OPENED_BY_MACHINE,
    ("click", ""): CLICKED,
}
"""Event, and its type -> what it means; `machine` is our word for what `sg_machine_open` says."""
DROP_REASONS: Final[Mapping[str, tuple[str, Sequence[ReceiptMeaning]]]] = {
    "bounced address": ("bounced_address", (*FAILED, *BOUNCED_FOR_GOOD)),
    "invalid": ("invalid", (*FAILED, *BOUNCED_FOR_GOOD)),
    "spam reporting address": ("spam_reporting_address", (*FAILED, *COMPLAINED)),
    "unsubscribed address": ("unsubscribed_address", (*FAILED, *UNSUBSCRIBED)),
}
"""Reason why a mail was dropped, in small letters -> a code for it, and what it means: SendGrid's own list of
addresses says what ours may not know.
"""
SIGNATURE_HEADER: Final = "x-twilio-email-event-webhook-signature"
TIMESTAMP_HEADER: Final = "x-twilio-email-event-webhook-timestamp"


def read_receipts(settings: SendgridSettings, request: ReceiptRequest) -> Sequence[Receipt]:
    """See ReceiptReader."""
    _check_ecdsa(require_receipt_setting(settings, "sendgrid", "verification_key"), request)
    events = read_json(request.body)
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Malformed("the body is no JSON array of events")
    return [each for event in events for each in _read_event(event).receipts("sendgrid", request.now)]


def _read_event(event: Mapping[str, Any]) -> ProviderStatement:
    name, message_id = find_text(event, "event"), find_text(event, MESSAGE_FIELD)
    type = "machine" if name == "open" and event.get("sg_machine_open") is True else find_text(event, "type")
    meanings, reason = MEANINGS.get((name, type), MEANINGS.get((name, ""), ())), ""
    if name == "dropped":
        reason, meanings = DROP_REASONS.get(find_text(event, "reason").strip().lower(), ("", meanings))
    at = read_instant(event.get("timestamp"))
    return ProviderStatement(
        message_id=message_id,
        meanings=meanings,
        at=at,
        # Not sg_event_id, which is another one when the event is repeated.
        identity=(message_id, name, find_text(event, "email"), str(at), find_text(event, "url")),
        codes=(type, find_text(event, "status"), reason),
    )


def _check_ecdsa(key: str, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless time and body are signed, and the time is of this day."""
    timestamp = request.headers.get(TIMESTAMP_HEADER, "")
    try:
        signature = base64.b64decode(request.headers.get(SIGNATURE_HEADER, ""), validate=True)
        signed = timestamp.encode("utf-8", "replace") + request.body
        _load_verification_key(key).verify(signature, signed, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise ReceiptRefused(
            f"{SIGNATURE_HEADER} does not fit the body: TACTFUL_SENDGRID__VERIFICATION_KEY is that of the Event Webhook"
        ) from None
    check_age(timestamp, request.now, OLDEST, TIMESTAMP_HEADER)


@lru_cache(4)
def _load_verification_key(text: str) -> EllipticCurvePublicKey:
    """Raises ReceiptRefused for a text that is no key, though it looks like one."""
    try:
        key = load_der_public_key(base64.b64decode(text))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ReceiptRefused("TACTFUL_SENDGRID__VERIFICATION_KEY is no key: copy that of the Event Webhook again")
    return key
