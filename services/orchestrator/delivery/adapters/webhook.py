"""Posts each message to a URL of the company's own, signed as Standard Webhooks says.

`webhook-id` is the message id and the body is the same for every attempt, so the receiver can take each message once.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.message import Handed, HandedOutcome, Message
from schemas.times import SECOND, from_datetime
from schemas.vocabulary import CHANNELS
from services.kit.clock import Clock
from services.orchestrator.delivery.adapters.adapter import FirstByte, past_deadline
from services.orchestrator.delivery.deadline import PastDeadline

SHORTEST_WAIT: Final = 1.0  # seconds, bounds of Retry-After
LONGEST_WAIT: Final = 3600.0

#: First and last status of a range -> what it means. The first range that holds it decides.
STATUSES: Final[tuple[tuple[int, int, HandedOutcome], ...]] = (
    (200, 299, "accepted"),
    (300, 399, "retry"),  # redirects are not followed; somebody has to mend the URL
    (408, 408, "unknown"),  # perhaps taken; the receiver dedupes by webhook-id, so it is tried again
    (425, 425, "retry"),
    (429, 429, "retry"),
    (400, 499, "rejected"),
    (503, 503, "retry"),
    (500, 599, "unknown"),  # perhaps taken, as 408
)


class WebhookSettings(BaseModel):
    """Where messages go and how they are signed. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr  # whsec_ and base64, 24 to 64 bytes
    channels: frozenset[str] = frozenset(CHANNELS)
    allow_loopback_http: bool = False  # for development
    connect_timeout: float = Field(default=3.0, gt=0)
    timeout: float = Field(default=10.0, gt=0)  # of one request as a whole
    concurrency: int = Field(default=32, ge=1, le=1024)
    max_answer: int = Field(default=64 * 1024, ge=0)  # bytes

    @field_validator("secret")
    @classmethod
    def _readable(cls, secret: SecretStr) -> SecretStr:
        signing_key(secret)
        return secret

    @model_validator(mode="after")
    def _safe(self) -> "WebhookSettings":
        check_url(self.url, self.allow_loopback_http)
        return self


def signing_key(secret: SecretStr) -> bytes:
    """The key in a Standard Webhooks secret. Raises ValueError."""
    prefix, _, text = secret.get_secret_value().partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret is whsec_ and 24 to 64 bytes in base64")
    return key


def check_url(url: str, allow_loopback_http: bool) -> None:
    """https without a user name; http only to this machine and only where allowed. Raises ValueError."""
    parts = urlsplit(url)
    if any(ord(each) <= 32 or ord(each) == 127 for each in url) or not parts.hostname or parts.fragment:
        raise ValueError("a webhook URL is absolute, without blanks and without a fragment")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a webhook URL holds no user name or password")
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_loopback_http and _loopback(parts.hostname)):
        raise ValueError("a webhook URL starts with https://")
    _ = parts.port


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Webhook:
    """The adapter `webhook`."""

    name = "webhook"
    idempotent = True

    def __init__(self, settings: WebhookSettings, clock: Clock, base: httpx.AsyncBaseTransport | None = None) -> None:
        self.channels = settings.channels
        self._settings, self._clock = settings, clock
        self._key = signing_key(settings.secret)
        self._free = asyncio.Semaphore(settings.concurrency)
        self._client = httpx.AsyncClient(
            transport=base,
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
            follow_redirects=False,
            trust_env=False,
        )

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByte) -> list[Handed]:
        """One request a message, at most `concurrency` at a time."""
        return await asyncio.gather(*(self._send(message, first_byte) for message in messages))

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def _send(self, message: Message, first_byte: FirstByte) -> Handed:
        async with self._free:
            wire = _Wire(message.id, first_byte)
            try:
                async with asyncio.timeout(self._settings.timeout):
                    return await self._post(message, wire)
            except PastDeadline:
                return past_deadline(message.id)
            except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
                outcome: HandedOutcome = "unknown" if wire.written else "retry"
                return Handed(message.id, outcome, detail=type(error).__name__)
            finally:
                wire.over()

    async def _post(self, message: Message, wire: "_Wire") -> Handed:
        body = body_of(message)
        seconds = self._clock.now() // SECOND
        headers = {
            "content-type": "application/json",
            "user-agent": "Tactful",
            "webhook-id": message.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(self._key, message.id, seconds, body),
        }
        request = self._client.build_request(
            "POST", self._settings.url, content=body, headers=headers, extensions={"trace": wire.trace}
        )
        response = await self._client.send(request, stream=True)
        try:
            outcome = outcome_of(response.status_code)
            asked = response.headers.get("retry-after") if outcome in ("retry", "unknown") else None
            wait = retry_after(asked, self._clock.now())
            named = await self._named(response) if outcome == "accepted" else None
            return Handed(message.id, outcome, named, f"status {response.status_code}", wait)
        finally:
            await response.aclose()

    async def _named(self, response: httpx.Response) -> str | None:
        """The receiver's own id, where its answer is a JSON object with an `id`."""
        answer = b""
        with suppress(httpx.HTTPError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            async with asyncio.timeout(self._settings.timeout / 4):
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > self._settings.max_answer:
                        return None
            found = msgspec.json.decode(answer)
            named = found.get("id") if isinstance(found, dict) else None
            return named if isinstance(named, str) and 0 < len(named) <= 200 else None
        return None


class _Wire:
    """Knows whether a request's first byte may have been written."""

    def __init__(self, message_id: str, first_byte: FirstByte) -> None:
        self.message_id, self._first_byte = message_id, first_byte
        self.written = self._open = False

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpcore calls this at each step of a request."""
        if event == "http11.send_request_headers.started":
            self._first_byte.before(self.message_id)
            self.written = self._open = True
        elif event == "http11.send_request_headers.complete":
            self.over()

    def over(self) -> None:
        """The first byte was written, or never will be."""
        if self._open:
            self._open = False
            self._first_byte.after(self.message_id)


def body_of(message: Message) -> bytes:
    """The JSON that is posted; it does not depend on the attempt."""
    data = {
        "message_id": message.id,
        "customer": message.customer,
        "campaign": message.campaign,
        "version": message.version,
        "channel": message.channel,
        "class": message.cls,
        "to": message.to,
        "content": message.content,
        "event": {"source": message.event_source, "id": message.event_id},
    }
    return msgspec.json.encode({"type": "tactful.message", "data": data})


def sign(key: bytes, message_id: str, seconds: int, body: bytes) -> str:
    """The signature header of Standard Webhooks, version 1."""
    digest = hmac.new(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def outcome_of(status: int) -> HandedOutcome:
    """What a status means; one outside the table says nothing."""
    return next((outcome for first, last, outcome in STATUSES if first <= status <= last), "unknown")


def retry_after(text: str | None, now: int) -> float | None:
    """Seconds to wait, from 1 to 3600, from a Retry-After in seconds or as an HTTP date; None if there is none."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        seconds = float(text) if len(text) < 10 else LONGEST_WAIT
    else:
        try:
            seconds = (from_datetime(parsedate_to_datetime(text)) - now) / SECOND
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)
