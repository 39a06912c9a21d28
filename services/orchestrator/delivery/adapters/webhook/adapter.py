"""The adapter `webhook`: one signed POST for each message.

The header `webhook-id` is the message id, and the body is the same for every attempt, so that a receiver can take each
message once.
"""

import asyncio
import base64
import hmac
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import httpx
import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from schemas.documents import VALUE_ERROR_PREFIX
from schemas.message import HandoverOutcome, HandoverResult, Message
from schemas.times import SECOND, from_datetime
from services.kit.http.outbound import OutboundGuard, OutboundRefused, SocketFactory
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.adapters.guarded_body import GuardedBody

MIN_RETRY_AFTER: Final = 1.0  # seconds, bounds of Retry-After
MAX_RETRY_AFTER: Final = 3600.0
KEEPALIVE_SECONDS: Final = 5.0  # seconds that an idle connection is kept; many receivers close theirs then

#: First and last status of a range -> what it means. The first range that holds it decides.
STATUS_OUTCOMES: Final[tuple[tuple[int, int, HandoverOutcome], ...]] = (
    (200, 299, "accepted"),
    (300, 399, "retry"),  # redirects are not followed; somebody has to mend the URL
    (408, 408, "unknown"),  # perhaps taken; the receiver dedupes by webhook-id, so it is tried again
    (425, 425, "retry"),
    (429, 429, "retry"),
    (400, 499, "rejected"),
    (503, 503, "retry"),
    (500, 599, "unknown"),  # perhaps taken, as 408
)


class WebhookAdapterSettings(BaseModel):
    """Where messages go and how they are signed. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr  # whsec_ and base64, 24 to 64 bytes
    connect_timeout: float = Field(default=3.0, gt=0)
    timeout: float = Field(default=10.0, gt=0)  # of one request as a whole
    concurrency: int = Field(default=32, ge=1, le=1024)
    max_answer: int = Field(default=64 * 1024, ge=0)  # bytes

    @field_validator("secret")
    @classmethod
    def _validate_secret(cls, secret: SecretStr) -> SecretStr:
        signing_key(secret)
        return secret


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


class WebhookAdapter:
    """The receiver is expected to take each `webhook-id` once."""

    name = "webhook"
    idempotent = True

    def __init__(
        self,
        settings: WebhookAdapterSettings,
        clock: Clock,
        outbound: OutboundGuard,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`ssl_context`: which certificates to trust; by default those of the public authorities.

        Raises ValueError for a URL that must not be called.
        """
        outbound.check_url(settings.url)
        self._settings, self._clock = settings, clock
        self._key, self._url = signing_key(settings.secret), settings.url
        self._sockets = outbound.socket_factory(plain=settings.url.startswith("http:"))
        self._request_slots = asyncio.Semaphore(settings.concurrency)
        self._ssl_context = ssl_context or default_ssl_context()
        self._open_session: aiohttp.ClientSession | None = None

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message, at most `concurrency` at a time."""
        results: dict[int, HandoverResult] = {}
        waiting = iter(enumerate(messages))

        async def send_next() -> None:
            for index, message in waiting:
                async with self._request_slots:
                    results[index] = await self._send(message, first_byte)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._settings.concurrency, len(messages))):
                workers.create_task(send_next())
        return [results[index] for index in range(len(messages))]

    async def close(self) -> None:
        """Closes all connections."""
        if self._open_session is not None:
            await self._open_session.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        """The HTTP session, opened by the first request because it belongs to the running event loop."""
        if self._open_session is None:
            self._open_session = open_session(self._settings, self._ssl_context, self._sockets)
        return self._open_session

    async def _send(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        body = GuardedBody(message.id, encode_body(message), first_byte)
        try:
            return await self._post(message.id, body)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            if body.past_deadline:
                return past_deadline_result(message.id)
            return HandoverResult(message.id, "unknown" if body.written else "retry", detail=_describe(error))

    async def _post(self, message_id: str, body: GuardedBody) -> HandoverResult:
        seconds = self._clock.now() // SECOND
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(self._key, message_id, seconds, body.content),
        }
        try:
            async with asyncio.timeout(self._settings.timeout) as limit:
                response = await self._session.post(self._url, data=body, headers=headers, allow_redirects=False)
        except BaseException:
            body.abort()
            raise
        try:
            if not body.written:
                raise aiohttp.ClientConnectionError("an answer was there before the request: it belongs to another")
            return await self._read_response(message_id, response, limit.when() or 0.0)
        finally:
            if not response.closed:  # part of the answer is still to come
                response.close()
                body.abort()

    async def _read_response(
        self, message_id: str, response: aiohttp.ClientResponse, deadline: float
    ) -> HandoverResult:
        """Maps the answer to a result: only its status counts, whatever happens to the rest."""
        outcome = outcome_for_status(response.status)
        provider_id = await self._read_provider_id(response.content, deadline) if outcome == "accepted" else None
        wait = None
        if outcome in ("retry", "unknown"):
            wait = parse_retry_after(response.headers.get("retry-after"), self._clock.now())
        return HandoverResult(message_id, outcome, provider_id, f"status {response.status}", wait)

    async def _read_provider_id(self, content: aiohttp.StreamReader, deadline: float) -> str | None:
        """Returns the receiver's own id, if its answer is a JSON object with an `id`."""
        with suppress(aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            answer = content.read_nowait() if content.is_eof() else await self._read_rest(content, deadline)
            if 0 < len(answer) <= self._settings.max_answer:
                found = msgspec.json.decode(answer)
                provider_id = found.get("id") if isinstance(found, dict) else None
                return provider_id if isinstance(provider_id, str) and 0 < len(provider_id) <= 200 else None
        return None

    async def _read_rest(self, content: aiohttp.StreamReader, deadline: float) -> bytes:
        """Reads the rest of an answer, up to the allowed length. Raises TimeoutError."""
        answer = b""
        rest_deadline = asyncio.get_running_loop().time() + self._settings.timeout / 4
        async with asyncio.timeout_at(min(rest_deadline, deadline)):
            while not content.at_eof() and len(answer) <= self._settings.max_answer:
                answer += await content.readany()
        return answer


def create_adapter(context: AdapterContext) -> WebhookAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    section = context.settings
    for name in ("url", "secret"):
        if getattr(section, name) is None:
            raise SettingsError(f"TACTFUL_WEBHOOK__{name.upper()} is not set, and this process needs it")
    try:
        settings = WebhookAdapterSettings(url=section.url, secret=section.secret, timeout=context.timeout)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        variable, detail = f"TACTFUL_WEBHOOK__{first['loc'][0]}".upper(), first["msg"].removeprefix(VALUE_ERROR_PREFIX)
        raise SettingsError(f"{variable}: {detail}") from None
    try:
        return WebhookAdapter(settings, context.clock, context.outbound)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_WEBHOOK__URL: {error}") from None


def _describe(error: Exception) -> str:
    """The kind of error, and of a connection that our own guard has refused, that it was the guard."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    return type(cause if isinstance(cause, OutboundRefused) else error).__name__


def open_session(
    settings: WebhookAdapterSettings, ssl_context: ssl.SSLContext, sockets: SocketFactory
) -> aiohttp.ClientSession:
    """Opens a session with persistent connections, without cookies, environment proxies or decompression; needs a
    running loop.
    """
    connector = aiohttp.TCPConnector(
        limit=settings.concurrency, keepalive_timeout=KEEPALIVE_SECONDS, ssl=ssl_context, socket_factory=sockets
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers={"user-agent": "Tactful", "accept": "*/*", "accept-encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, connect=settings.connect_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def default_ssl_context() -> ssl.SSLContext:
    """Checks certificates and host names against the list that the whole project uses."""
    ssl_context = httpx.create_ssl_context(trust_env=False)
    ssl_context.set_alpn_protocols(["http/1.1"])
    return ssl_context


def encode_body(message: Message) -> bytes:
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
    digest = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def outcome_for_status(status: int) -> HandoverOutcome:
    """Returns the outcome for a status; a status outside the table is unknown."""
    return next((outcome for first, last, outcome in STATUS_OUTCOMES if first <= status <= last), "unknown")


def parse_retry_after(text: str | None, now: int) -> float | None:
    """Seconds to wait, from 1 to 3600, from a Retry-After in seconds or as an HTTP date; None if there is none."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        seconds = float(text) if len(text) < 10 else MAX_RETRY_AFTER
    else:
        try:
            seconds = (from_datetime(parsedate_to_datetime(text)) - now) / SECOND
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, MIN_RETRY_AFTER), MAX_RETRY_AFTER)
