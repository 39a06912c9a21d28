"""What FCM gets for one message: the notification, and how Android, iOS and browsers are to be told of it."""

from typing import Any

from schemas.message import Message
from schemas.times import SECOND, Instant
from services.orchestrator.delivery.adapters.push_message import PushMessage, as_topic


def build_message(notification: PushMessage, message: Message, now: Instant) -> dict[str, Any]:
    """The body of a request. Blocks for platforms are there only where the content asks for something."""
    built: dict[str, Any] = {
        "token": message.to,
        "notification": {"title": notification.title, "body": notification.body},
        "data": notification.data_with(message.id),
        "apns": _apns(notification, now),
    }
    if android := _android(notification):
        built["android"] = android
    if webpush := _webpush(notification):
        built["webpush"] = webpush
    return {"message": built}


def _android(notification: PushMessage) -> dict[str, Any]:
    block: dict[str, Any] = {}
    if notification.collapse_key is not None:
        block |= {"collapse_key": notification.collapse_key, "notification": {"tag": notification.collapse_key}}
    if notification.ttl is not None:
        block["ttl"] = f"{notification.ttl}s"
    if notification.priority is not None:
        block["priority"] = notification.priority.upper()
    return block


def _apns(notification: PushMessage, now: Instant) -> dict[str, Any]:
    headers: dict[str, str] = {}
    if notification.collapse_key is not None:
        headers["apns-collapse-id"] = notification.collapse_key
    if notification.ttl is not None:
        headers["apns-expiration"] = str(now // SECOND + notification.ttl)
    if notification.priority is not None:
        headers["apns-priority"] = "5" if notification.priority == "normal" else "10"
    sound = {} if notification.priority == "normal" else {"sound": "default"}
    return {**({"headers": headers} if headers else {}), "payload": {"aps": sound}}


def _webpush(notification: PushMessage) -> dict[str, Any]:
    headers: dict[str, str] = {}
    if notification.collapse_key is not None:
        headers["Topic"] = as_topic(notification.collapse_key)
    if notification.ttl is not None:
        headers["TTL"] = str(notification.ttl)
    if notification.priority is not None:
        headers["Urgency"] = notification.priority
    block: dict[str, Any] = {"headers": headers} if headers else {}
    if notification.link is not None and notification.link.startswith("https:"):
        block["fcm_options"] = {"link": notification.link}
    return block
