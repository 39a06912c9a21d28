"""Receipts from Postmark: one JSON object for each event. Postmark signs nothing; it sends a user and a password."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.receipt import Receipt
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.mail_api import MESSAGE_FIELD, find_text
from services.orchestrator.delivery.adapters.postmark.declaration import PostmarkSettings
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    BOUNCED_FOR_GOOD,
    CLICKED,
    COMPLAINED,
    DELIVERED,
    FAILED,
    OPENED,
    UNSUBSCRIBED,
    ProviderStatement,
    ReceiptMeaning,
    read_instant,
    read_object,
    require_receipt_setting,
)

RECORDS: Final[Mapping[str, tuple[str, Sequence[ReceiptMeaning]]]] = {
    "Delivery": ("DeliveredAt", DELIVERED),
    "Bounce": ("BouncedAt", BOUNCED),
    "SpamComplaint": ("BouncedAt", COMPLAINED),
    "Open": ("ReceivedAt", OPENED),
    "Click": ("ReceivedAt", CLICKED),
    "SubscriptionChange": ("ChangedAt", UNSUBSCRIBED),
}
"""RecordType -> the field with its time, and what it means if the next two tables do not say more."""
BOUNCE_TYPES: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    "HardBounce": BOUNCED_FOR_GOOD,
    "BadEmailAddress": BOUNCED_FOR_GOOD,
    "SpamNotification": COMPLAINED,
    "SpamComplaint": COMPLAINED,
    "Unsubscribe": UNSUBSCRIBED,
    "ManuallyDeactivated": FAILED,
    "Unconfirmed": FAILED,
    "SMTPApiError": FAILED,
    "TemplateRenderingFailed": FAILED,
    "AutoResponder": (),
    "AddressChange": (),
    "ChallengeVerification": (),
    "InboundError": (),
    "OpenRelayTest": (),
    "Subscribe": (),
}
"""Type of a bounce -> what it means. SoftBounce, Transient, DnsError, Blocked, DMARCPolicy, VirusNotification, Unknown
and types that are new are bounces that say nothing about the next mail.
"""
SUPPRESSION_REASONS: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    "HardBounce": BOUNCED_FOR_GOOD,
    "SpamComplaint": COMPLAINED,
    "ManualSuppression": UNSUBSCRIBED,
}
"""SuppressionReason of a SubscriptionChange -> what it means."""


def read_receipts(settings: PostmarkSettings, request: ReceiptRequest) -> Sequence[Receipt]:
    """See ReceiptReader."""
    _check_password(settings, request)
    event = read_object(request.body)
    record, cause = find_text(event, "RecordType"), find_text(event, "Type")
    field, meanings = RECORDS.get(record, ("", ()))
    if record == "Bounce":
        meanings = BOUNCE_TYPES.get(cause, meanings)
    elif record == "SubscriptionChange":
        cause = find_text(event, "SuppressionReason")
        meanings = SUPPRESSION_REASONS.get(cause, meanings) if event.get("SuppressSending") is True else ()
    statement = ProviderStatement(
        message_id=find_text(event, "Metadata", MESSAGE_FIELD),
        meanings=meanings,
        at=read_instant(event.get(field)),
        identity=_identity(record, cause, field, event),
        codes=(cause,),
    )
    return list(statement.receipts("postmark", request.now))


def _identity(record: str, cause: str, field: str, event: Mapping[str, Any]) -> Sequence[str]:
    """Only bounces have an id, so an event is known by all that it is about."""
    named = ("MessageID", "Recipient", "Email", field, "OriginalLink")
    return (record, cause, *(find_text(event, name) for name in named))


def _check_password(settings: PostmarkSettings, request: ReceiptRequest) -> None:
    """Raises ReceiptRefused unless the request has our user and password."""
    user = require_receipt_setting(settings, "postmark", "receipt_user")
    password = require_receipt_setting(settings, "postmark", "receipt_password")
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except ValueError:
        given = b""
    if not hmac.compare_digest(given, f"{user}:{password}".encode()):
        raise ReceiptRefused(
            "write TACTFUL_POSTMARK__RECEIPT_USER and __RECEIPT_PASSWORD into the URL of the webhook: "
            "https://USER:PASSWORD@..., or into its fields for basic authentication"
        )
