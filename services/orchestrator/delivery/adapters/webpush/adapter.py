"""The adapter `webpush`: one encrypted request to the push service that a customer's browser has named.

The endpoint is what a browser, and so anybody, has sent in: it is asked about at the outbound guard, called by https
alone, and no redirect is followed. What a push service says about others than this one subscription is believed only of
the services of the usual browsers, or one customer could stop the messages to all. Push services do not recognise a
message that they already have: a topic only lets the newer one replace the older, so a message without an answer is
not sent again.
"""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from schemas.address_kinds import BadAddress
from schemas.message import HandoverResult, Message
from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard
from services.orchestrator.delivery.adapters.mail_api import AnswerMeaning, find_text
from services.orchestrator.delivery.adapters.provider_http import HttpLimits, ProviderAnswer, ProviderClient
from services.orchestrator.delivery.adapters.push_answer import read_answer
from services.orchestrator.delivery.adapters.push_message import (
    PushMessage,
    UnreadableContent,
    as_topic,
    read_notification,
    refuse_address,
    refuse_content,
)
from services.orchestrator.delivery.adapters.webpush.encryption import MAX_CONTENT, encrypt
from services.orchestrator.delivery.adapters.webpush.vapid import Vapid, read_vapid_key
from services.orchestrator.delivery.channels.web_push.subscription import Subscription, read_subscription

CONCURRENCY: Final = 64
DEFAULT_TTL: Final = 28 * 24 * 60 * 60
"""Seconds that a push service keeps a message whose content says nothing: what FCM does."""
PUSH_SERVICES: Final = (
    "fcm.googleapis.com",
    "push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
)
"""The domains of the services of Chrome and its kin, Firefox, Safari and Edge (from memory)."""
MEANINGS: Final = (
    AnswerMeaning(200, 299, None, "accepted"),
    AnswerMeaning(300, 399, None, "rejected"),  # never followed
    AnswerMeaning(401, 401, None, "retry", "account"),
    AnswerMeaning(403, 403, None, "retry", "account"),
    AnswerMeaning(404, 404, None, "rejected", "address"),
    AnswerMeaning(408, 408, None, "unknown"),
    AnswerMeaning(410, 410, None, "rejected", "address"),
    AnswerMeaning(425, 425, None, "retry"),
    AnswerMeaning(429, 429, None, "retry", "throttle", 60.0),
    AnswerMeaning(400, 499, None, "rejected", "content"),
    AnswerMeaning(503, 503, "201", "retry", "throttle", 60.0),  # Mozilla's errno: not taken, come back later
    AnswerMeaning(503, 503, "202", "retry"),  # Mozilla's errno: not taken, come back at once
    AnswerMeaning(500, 599, None, "unknown"),
)


class WebpushAdapter:
    """Hands messages over to whatever push services the subscriptions name."""

    name = "webpush"
    idempotent = False

    def __init__(self, vapid: Vapid, context: AdapterContext, ssl_context: ssl.SSLContext | None = None) -> None:
        """`ssl_context`: which certificates to trust; by default those of the public authorities."""
        limits = HttpLimits(context.timeout, concurrency=CONCURRENCY)
        self._provider = ProviderClient(None, context.outbound, limits, ssl_context)
        self._vapid, self._outbound, self._clock = vapid, context.outbound, context.clock

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message."""
        return await self._provider.send_each(messages, lambda message: self._send_notification(message, first_byte))

    async def close(self) -> None:
        """Closes all connections."""
        await self._provider.close()

    async def _send_notification(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        try:
            notification = read_notification(message)
            content = encode_payload(notification, message.id)
        except UnreadableContent as error:
            return refuse_content(message, str(error))
        except ValueError:  # half of a surrogate pair
            return refuse_content(message, "not_unicode")
        if len(content) > MAX_CONTENT:
            return refuse_content(message, "payload_too_large")
        try:
            to = read_subscription(message.to)
            self._outbound.check_url(to.endpoint)
            body = encrypt(content, to.public_key, to.secret)
        except (BadAddress, ValueError, OutboundRefused):
            return refuse_address(message)
        headers = {**build_headers(notification), "authorization": self._vapid.header_for(to.endpoint)}
        path = to.endpoint.partition("://")[2]
        kind = "application/octet-stream"
        answer = await self._provider.post(path, body, headers, message.id, first_byte, kind)
        return self._judge(message.id, answer, to)

    def _judge(self, message_id: str, answer: ProviderAnswer, to: Subscription) -> HandoverResult:
        host = urlsplit(to.endpoint).hostname or ""
        is_known = is_push_service(host)
        result = read_answer(
            message_id, answer, MEANINGS, read_code if is_known else _no_text, self._clock.now(), _no_text
        )
        return result if is_known else distrust(result)


def is_push_service(host: str) -> bool:
    """Whether a host is of a push service of the usual browsers."""
    return any(host == each or host.endswith(f".{each}") for each in PUSH_SERVICES)


def distrust(result: HandoverResult) -> HandoverResult:
    """What an unknown host has said, as a statement about its own subscription and no other."""
    if result.fault not in ("account", "throttle"):
        return result
    outcome = "rejected" if result.fault == "account" else result.outcome
    return msgspec.structs.replace(result, outcome=outcome, fault=None)


def encode_payload(notification: PushMessage, message_id: str) -> bytes:
    """What the service worker of the web site gets. Raises ValueError for half of a surrogate pair."""
    optional = {"link": notification.link, "tag": notification.collapse_key, "data": notification.data or None}
    payload = {
        "title": notification.title,
        "body": notification.body,
        **{name: value for name, value in optional.items() if value is not None},
        "tactful_message": message_id,
    }
    return msgspec.json.encode(payload)


def build_headers(notification: PushMessage) -> Mapping[str, str]:
    """How the push service is to deliver a message (RFC 8030, section 5)."""
    headers = {
        "content-encoding": "aes128gcm",
        "ttl": str(DEFAULT_TTL if notification.ttl is None else notification.ttl),
    }
    if notification.priority is not None:
        headers["urgency"] = notification.priority
    if notification.collapse_key is not None:
        headers["topic"] = as_topic(notification.collapse_key)
    return headers


def read_code(body: Any) -> str:
    """Mozilla's errno, or Apple's reason; empty if there is neither."""
    return find_text(body, "errno") or find_text(body, "reason")


def _no_text(_: Any) -> str:
    return ""


def create_adapter(context: AdapterContext) -> WebpushAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings = context.settings
    for name in ("private_key", "subject"):
        if getattr(settings, name) is None:
            raise SettingsError(f"TACTFUL_WEBPUSH__{name.upper()} is not set, and this process needs it")
    try:
        key = read_vapid_key(settings.private_key.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"TACTFUL_WEBPUSH__PRIVATE_KEY: {error}") from None
    return WebpushAdapter(Vapid(key, settings.subject, context.clock), context)
