"""Receipts from SES: events of a configuration set, or notifications of an identity, by a topic of SNS."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.receipt import Receipt
from schemas.times import Instant
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
    UNSUBSCRIBED,
    ProviderStatement,
    ReceiptMeaning,
    read_instant,
    read_object,
)
from services.orchestrator.delivery.adapters.ses.declaration import SesSettings
from services.orchestrator.delivery.adapters.ses.sns import read_notification
from services.orchestrator.delivery.channels.email.mail import MESSAGE_HEADER

MEANINGS: Final[Mapping[str, tuple[str, Sequence[ReceiptMeaning]]]] = {
    "Delivery": ("delivery", DELIVERED),
    "Bounce": ("bounce", BOUNCED),
    "Complaint": ("complaint", COMPLAINED),
    "Reject": ("reject", FAILED),
    "Rendering Failure": ("failure", FAILED),
    "Open": ("open", OPENED),
    "Click": ("click", CLICKED),
    "Subscription": ("subscription", UNSUBSCRIBED),
}
"""Event -> the field that describes it, and what it means if the tables below do not say more. `Send` and
`DeliveryDelay` are no receipts.
"""
PERMANENT_BOUNCES: Final[Mapping[str, Sequence[ReceiptMeaning]]] = {
    # SES has sent nothing, as its own lists name the address.
    "Suppressed": (*FAILED, *BOUNCED_FOR_GOOD),
    "OnAccountSuppressionList": (*FAILED, *BOUNCED_FOR_GOOD),
    "UnsubscribedRecipient": (*FAILED, *UNSUBSCRIBED),
}
"""bounceSubType of a permanent bounce -> what it means; all others are BOUNCED_FOR_GOOD."""


def read_receipts(settings: SesSettings, request: ReceiptRequest) -> Sequence[Receipt]:
    """See ReceiptReader."""
    text = read_notification(settings, request)
    if text is None:
        return []
    if not text.lstrip().startswith("{"):  # SES greets a new topic with a sentence
        return []
    event = read_object(text.encode("utf-8", "replace"))
    return list(_read_event(event).receipts("ses", request.now))


def _read_event(event: Mapping[str, Any]) -> ProviderStatement:
    name = find_text(event, "eventType") or find_text(event, "notificationType")
    field, meanings = MEANINGS.get(name, ("", ()))
    described = event.get(field)
    sub_type = find_text(described, "bounceSubType") or find_text(described, "complaintSubType")
    if name == "Bounce" and find_text(described, "bounceType") == "Permanent":
        meanings = PERMANENT_BOUNCES.get(sub_type, BOUNCED_FOR_GOOD)
    if _takes_back(described):
        meanings = ()
    at = _find_time(event, described)
    codes = (
        find_text(described, "bounceType"),
        sub_type,
        find_text(described, "complaintFeedbackType"),
        find_text(described, "bouncedRecipients", 0, "status"),
    )
    link, id = find_text(described, "link"), find_text(described, "feedbackId")
    identity = (find_text(event, "mail", "messageId"), name, id, link, str(at))
    return ProviderStatement(_find_message_id(event), meanings, at, identity, tuple(dict.fromkeys(codes)))


def _takes_back(described: Any) -> bool:
    """Whether a complaint says that the mail is none, or a change of subscriptions is no end of one."""
    preferences = described.get("newTopicPreferences") if isinstance(described, dict) else None
    stays = isinstance(preferences, dict) and preferences.get("unsubscribeAll") is False
    return stays or find_text(described, "complaintFeedbackType") == "not-spam"


def _find_time(event: Mapping[str, Any], described: Any) -> Instant | None:
    return read_instant(find_text(described, "timestamp")) or read_instant(find_text(event, "mail", "timestamp"))


def _find_message_id(event: Mapping[str, Any]) -> str:
    """From the tags of an event; notifications of an identity have the headers, if it says so, and no tags."""
    if tag := find_text(event, "mail", "tags", MESSAGE_FIELD, 0):
        return tag
    mail = event.get("mail")
    headers = mail.get("headers") if isinstance(mail, dict) else None
    for header in headers if isinstance(headers, list) else ():
        if find_text(header, "name").lower() == MESSAGE_HEADER.lower():
            return find_text(header, "value")
    return ""
