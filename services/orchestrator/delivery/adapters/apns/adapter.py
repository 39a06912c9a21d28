"""The adapter `apns`: one request for each message, over one connection by HTTP/2.

`apns-id` is made of our message id, so that a message is found at Apple under the same id whenever it is asked about.
Apple does not recognise a message by it: a message without an answer is not sent again.
"""

import asyncio
import ssl
import uuid
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from schemas.message import HandoverResult, Message
from schemas.times import SECOND, Instant
from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.apns.client import Http2Client, http2_server
from services.orchestrator.delivery.adapters.apns.declaration import REQUIRED
from services.orchestrator.delivery.adapters.apns.http2 import Http2Answer
from services.orchestrator.delivery.adapters.apns.provider_token import ProviderToken
from services.orchestrator.delivery.adapters.apns.reasons import DOUBTFUL, EXPIRED_TOKEN, MEANINGS
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard
from services.orchestrator.delivery.adapters.mail_api import find_text
from services.orchestrator.delivery.adapters.provider_http import send_each
from services.orchestrator.delivery.adapters.push_answer import read_answer
from services.orchestrator.delivery.adapters.push_message import (
    PushMessage,
    UnreadableContent,
    read_notification,
    refuse_address,
    refuse_content,
)
from services.orchestrator.delivery.adapters.signed_token import read_p256_key

CONCURRENCY: Final = 256
MAX_PAYLOAD: Final = 4096
"""Bytes."""
MAX_DOUBTS: Final = 20
"""Bad tokens one after the other, after which the environment or the topic is held for wrong, and not the tokens."""
_MESSAGE_IDS: Final = uuid.UUID("6f1f2a0e-7c0b-5d56-9a51-3b0f6c7d8e21")
"""The name space of our message ids as UUIDs. Never change it."""


class ApnsAdapter:
    """Hands messages over to one app."""

    name = "apns"
    idempotent = False

    def __init__(
        self, token: ProviderToken, context: AdapterContext, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        """`ssl_context`: which certificates to trust; by default those of the public authorities.

        Raises ValueError and OutboundRefused for a URL that must not be called.
        """
        server = http2_server(context.settings.url, context.outbound, context.timeout, ssl_context)
        self._client, self._token, self._clock = Http2Client(server), token, context.clock
        self._topic = context.settings.topic
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._has_accepted, self._doubts = False, 0

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message."""
        return await send_each(
            messages, lambda each: self._send_notification(each, first_byte), self._slots, CONCURRENCY
        )

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.close()

    async def _send_notification(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        try:
            notification = read_notification(message)
            payload = encode_payload(notification, message.id)
        except UnreadableContent as error:
            return refuse_content(message, str(error))
        except ValueError:  # half of a surrogate pair
            return refuse_content(message, "not_unicode")
        if len(payload) > MAX_PAYLOAD:
            return refuse_content(message, "payload_too_large")
        if not message.to:
            return refuse_address(message)
        token = self._token.get_token()
        headers = [
            ("authorization", f"bearer {token}"),
            *build_headers(notification, message.id, self._topic, self._clock.now()),
        ]
        answer = await self._client.post(
            f"/3/device/{quote(message.to, safe='')}", headers, payload, message.id, first_byte
        )
        return self._judge(message.id, answer, token)

    def _judge(self, message_id: str, answer: Http2Answer, token: str) -> HandoverResult:
        def read_id(_: Any) -> str:
            return answer.headers.get("apns-id", "")

        result = read_answer(message_id, answer, MEANINGS, read_reason, self._clock.now(), read_id)
        code = (result.detail or "").rpartition(", ")[2]
        if code == EXPIRED_TOKEN:
            self._token.expire(token)
        if result.outcome == "accepted":
            self._has_accepted, self._doubts = True, 0
        if code in DOUBTFUL:
            self._doubts += 1
            if not self._has_accepted or self._doubts > MAX_DOUBTS:
                return msgspec.structs.replace(result, outcome="retry", fault="account")
        return result


def encode_payload(notification: PushMessage, message_id: str) -> bytes:
    """The body of a request. Raises ValueError for half of a surrogate pair."""
    aps: dict[str, Any] = {"alert": {"title": notification.title, "body": notification.body}}
    if notification.priority != "normal":
        aps["sound"] = "default"
    return msgspec.json.encode({**notification.data_with(message_id), "aps": aps})


def build_headers(notification: PushMessage, message_id: str, topic: str, now: Instant) -> list[tuple[str, str]]:
    """How APNs is to deliver a message. Without an expiry Apple keeps it for up to 30 days."""
    headers = [
        ("apns-id", str(uuid.uuid5(_MESSAGE_IDS, message_id))),
        ("apns-topic", topic),
        ("apns-push-type", "alert"),
        ("apns-priority", "5" if notification.priority == "normal" else "10"),
    ]
    if notification.ttl is not None:
        headers.append(("apns-expiration", str(now // SECOND + notification.ttl)))
    if notification.collapse_key is not None:
        headers.append(("apns-collapse-id", notification.collapse_key))
    return headers


def read_reason(body: Any) -> str:
    """Why Apple refuses; empty if it does not say."""
    return find_text(body, "reason")


def create_adapter(context: AdapterContext) -> ApnsAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings = context.settings
    for name in REQUIRED:
        if getattr(settings, name) is None:
            raise SettingsError(f"TACTFUL_APNS__{name.upper()} is not set, and this process needs it")
    try:
        key = read_p256_key(settings.key.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"TACTFUL_APNS__KEY: {error}") from None
    token = ProviderToken(key, settings.key_id, settings.team_id, context.clock)
    try:
        return ApnsAdapter(token, context)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_APNS__URL: {error}") from None
