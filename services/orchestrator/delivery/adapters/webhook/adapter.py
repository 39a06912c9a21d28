"""The adapter `webhook`: one signed POST for each message.

The header `webhook-id` is the message id, and the body is the same for every attempt, so that a receiver can take each
message once.
"""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from schemas.documents import VALUE_ERROR_PREFIX
from schemas.message import HandoverOutcome, HandoverResult, Message
from schemas.times import SECOND
from services.kit.http.outbound import OutboundGuard, OutboundRefused
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard
from services.orchestrator.delivery.adapters.provider_http import HttpLimits, ProviderClient, parse_retry_after
from services.orchestrator.delivery.adapters.standard_webhooks import sign, signing_key

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
    second_secret: SecretStr | None = None  # signs as well, while one replaces the other
    connect_timeout: float = Field(default=3.0, gt=0)
    timeout: float = Field(default=10.0, gt=0)  # of one request as a whole
    concurrency: int = Field(default=32, ge=1, le=1024)
    max_answer: int = Field(default=64 * 1024, ge=0)  # bytes

    @field_validator("secret", "second_secret")
    @classmethod
    def _validate_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            signing_key(secret)
        return secret


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
        limits = HttpLimits(settings.timeout, settings.connect_timeout, settings.concurrency, settings.max_answer)
        self._provider = ProviderClient(settings.url, outbound, limits, ssl_context)
        secrets = (settings.secret, settings.second_secret)
        self._clock, self._keys = clock, [signing_key(each) for each in secrets if each is not None]

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message, at most `concurrency` at a time."""
        return await self._provider.send_each(messages, lambda message: self._send(message, first_byte))

    async def close(self) -> None:
        """Closes all connections."""
        await self._provider.close()

    async def _send(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        body, seconds = encode_body(message), self._clock.now() // SECOND
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(sign(key, message.id, seconds, body) for key in self._keys),
        }
        if message.traceparent is not None:
            headers["traceparent"] = message.traceparent
        answer = await self._provider.post("", body, headers, message.id, first_byte)
        outcome = outcome_for_status(answer.status)
        wait = None
        if outcome in ("retry", "unknown"):
            wait = parse_retry_after(answer.headers.get("retry-after"), self._clock.now())
        provider_id = _read_provider_id(answer.body) if outcome == "accepted" else None
        return HandoverResult(message.id, outcome, provider_id, f"status {answer.status}", wait)


def _read_provider_id(answer: bytes | None) -> str | None:
    """The receiver's own id, if its answer is a JSON object with an `id`."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(answer or b"")
        provider_id = found.get("id") if isinstance(found, dict) else None
        return provider_id if isinstance(provider_id, str) and 0 < len(provider_id) <= 200 else None
    return None


def create_adapter(context: AdapterContext) -> WebhookAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    section = context.settings
    for name in ("url", "secret"):
        if getattr(section, name) is None:
            raise SettingsError(f"TACTFUL_WEBHOOK__{name.upper()} is not set, and this process needs it")
    try:
        settings = WebhookAdapterSettings(
            url=section.url, secret=section.secret, second_secret=section.second_secret, timeout=context.timeout
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        variable, detail = f"TACTFUL_WEBHOOK__{first['loc'][0]}".upper(), first["msg"].removeprefix(VALUE_ERROR_PREFIX)
        raise SettingsError(f"{variable}: {detail}") from None
    try:
        return WebhookAdapter(settings, context.clock, context.outbound)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_WEBHOOK__URL: {error}") from None


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


def outcome_for_status(status: int) -> HandoverOutcome:
    """Returns the outcome for a status; a status outside the table is unknown."""
    return next((outcome for first, last, outcome in STATUS_OUTCOMES if first <= status <= last), "unknown")
