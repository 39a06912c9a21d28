"""A notification as the adapters of push services read it from a message's content."""

import hashlib
import json
import re
from typing import Final, NamedTuple

from schemas.message import HandoverResult, Message
from services.orchestrator.delivery.adapters.signed_token import encode_base64url

_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


class UnreadableContent(ValueError):
    """The content has no title or no body, or its data are no JSON object of texts."""


class PushMessage(NamedTuple):
    """What a device shows, and how it is to be delivered. `ttl`: in seconds."""

    title: str
    body: str
    link: str | None
    collapse_key: str | None
    priority: str | None
    ttl: int | None
    data: dict[str, str]

    def data_with(self, message_id: str) -> dict[str, str]:
        """What the app gets beside title and body: the data, the link, and our id, by which it may know a message."""
        link = {"link": self.link} if self.link is not None else {}
        return {**self.data, **link, "tactful_message": message_id}


def read_notification(message: Message) -> PushMessage:
    """The notification of a message. Raises UnreadableContent."""
    content = message.content
    if not (content.get("title") and content.get("body")):
        raise UnreadableContent("incomplete_content")
    try:
        data = json.loads(content.get("data", "{}"))
        ttl = int(content["ttl"]) if "ttl" in content else None
    except (ValueError, RecursionError):
        raise UnreadableContent("unreadable_content") from None
    if not isinstance(data, dict) or not all(isinstance(each, str) for each in data.values()):
        raise UnreadableContent("unreadable_content")
    link, collapse_key, priority = (content.get(name) for name in ("link", "collapse_key", "priority"))
    return PushMessage(content["title"], content["body"], link, collapse_key, priority, ttl, data)


def as_topic(collapse_key: str) -> str:
    """A collapse key as a topic of RFC 8030: itself, or a digest where it has more or other characters."""
    if _TOPIC.fullmatch(collapse_key):
        return collapse_key
    return encode_base64url(hashlib.sha256(collapse_key.encode()).digest())[:32]


def refuse_content(message: Message, detail: str) -> HandoverResult:
    """The result of a message that no push service would take."""
    return HandoverResult(message.id, "rejected", detail=detail, fault="content")


def refuse_address(message: Message) -> HandoverResult:
    """The result of a message whose address is none of this channel."""
    return HandoverResult(message.id, "rejected", detail="unusable_address", fault="address")
