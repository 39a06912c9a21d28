"""Text messages through the HTTP API of a provider: what the adapters of such providers share.

Each adapter describes its provider as a `TextApi`: how a message becomes a request, and what answers mean, as a table.
The rest is the same for all: refusing what no provider may get, one request a message, and the result. As with mails
(`mail_api.py`), details hold the status and a code, never a text of the provider, which may quote a number.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec

from schemas.message import HandoverFault, HandoverOutcome, HandoverResult, Message
from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard
from services.orchestrator.delivery.adapters.mail_api import (
    MESSAGE_FIELD,
    AnswerMeaning,
    AnswerReading,
    read_answer,
)
from services.orchestrator.delivery.adapters.provider_http import HttpLimits, ProviderClient
from services.orchestrator.delivery.adapters.provider_receipts import (
    BOUNCED,
    BOUNCED_FOR_GOOD,
    FAILED,
    UNSUBSCRIBED,
    ReceiptMeaning,
)

ErrorMeaning = Literal["dead", "unsubscribed", "account", "content", "throttle"]
"""What a code of a provider means. dead: nobody is reached under the number. unsubscribed: its owner has sent STOP.
account: every message would be refused. content: this message is refused, for what it says or for the pair of its
numbers. throttle: too much at once.
"""
OUTCOMES: Final[Mapping[ErrorMeaning, tuple[HandoverOutcome, HandoverFault]]] = {
    "dead": ("rejected", "address"),
    "unsubscribed": ("rejected", "unsubscribed"),
    "account": ("retry", "account"),
    "content": ("rejected", "content"),
    "throttle": ("retry", "throttle"),
}
_E164: Final = re.compile(r"\+[1-9][0-9]{4,14}")


class UnsendableText(ValueError):
    """A message that its provider cannot get; `detail` says why.

    `meaning`: `content`, or `account` where the settings lack something for all messages of the kind.
    """

    def __init__(self, detail: str, meaning: "ErrorMeaning" = "content") -> None:
        super().__init__(detail)
        self.detail, self.meaning = detail, meaning


class TextRequest(NamedTuple):
    """A request for one message. `path` is appended to the URL of the settings."""

    path: str
    content: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextApi(AnswerReading):
    """One provider."""

    id: str
    """The adapter's id."""
    authorization: Mapping[str, str] = field(repr=False)
    """The headers that say who we are."""
    build_request: Callable[[Message], TextRequest]
    """Raises UnsendableText, and another ValueError for a text that UTF-8 cannot encode."""
    concurrency: int = 32
    """Requests at a time."""
    idempotent: bool = False
    """Whether the provider takes a message id once, however often it is sent."""


class TextApiAdapter:
    """Hands text messages over to one provider."""

    def __init__(self, api: TextApi, context: AdapterContext) -> None:
        """Raises ValueError and OutboundRefused for a URL that must not be called."""
        self.name, self.idempotent = api.id, api.idempotent
        limits = HttpLimits(context.timeout, concurrency=api.concurrency)
        self._provider = ProviderClient(context.settings.url.rstrip("/"), context.outbound, limits)
        self._api, self._clock = api, context.clock

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message."""
        return await self._provider.send_each(messages, lambda message: self._send_text(message, first_byte))

    async def close(self) -> None:
        """Closes all connections."""
        await self._provider.close()

    async def _send_text(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        if not _E164.fullmatch(message.to):
            return HandoverResult(message.id, "rejected", detail="unusable_address", fault="address")
        if not message.content.get("text"):
            return HandoverResult(message.id, "rejected", detail="incomplete_content", fault="content")
        try:
            path, content, content_type = self._api.build_request(message)
        except UnsendableText as error:
            outcome, fault = OUTCOMES[error.meaning]
            return HandoverResult(message.id, outcome, detail=error.detail, fault=fault)
        except ValueError:  # half of a surrogate pair
            return HandoverResult(message.id, "rejected", detail="not_unicode", fault="content")
        answer = await self._provider.post(path, content, self._api.authorization, message.id, first_byte, content_type)
        return read_answer(self._api, message.id, answer, self._clock.now())


def read_parameters(content: Mapping[str, str], field: str) -> dict[str, str]:
    """The parameters of an approved template by name; those without names are `1`, `2` and so on.

    Raises UnsendableText.
    """
    try:
        found = msgspec.json.decode(content.get(field, "{}"), type=list[str] | dict[str, str])
    except (msgspec.MsgspecError, UnicodeError):
        raise UnsendableText("unreadable_parameters") from None
    return {str(number): text for number, text in enumerate(found, 1)} if isinstance(found, list) else dict(found)


def meanings_of(codes: Mapping[str, ErrorMeaning]) -> tuple[AnswerMeaning, ...]:
    """The rows of a table of answers for these codes, whatever the status of the refusal."""
    return tuple([AnswerMeaning(400, 499, code, *OUTCOMES[meaning]) for code, meaning in codes.items()])


def callback_url(receipts_url: str, message_id: str) -> str:
    """The URL at which a provider tells what becomes of one message."""
    return f"{receipts_url}?{urlencode({MESSAGE_FIELD: message_id})}"


def status_meanings(
    statuses: Mapping[str, Sequence[ReceiptMeaning]], status: str, error: ErrorMeaning | None
) -> Sequence[ReceiptMeaning]:
    """What a status with an error means. Of a message that did not arrive, the error may say more: that the number is
    dead, or that its owner has sent STOP.
    """
    meanings = statuses.get(status, ())
    if meanings not in (BOUNCED, FAILED) or error not in ("dead", "unsubscribed"):
        return meanings
    if error == "unsubscribed":
        return (*FAILED, *UNSUBSCRIBED)
    return BOUNCED_FOR_GOOD if meanings == BOUNCED else (*FAILED, *BOUNCED_FOR_GOOD)


def create_text_api_adapter(api: TextApi, context: AdapterContext) -> TextApiAdapter:
    """The adapter of a provider. Raises SettingsError for a URL that must not be called."""
    try:
        return TextApiAdapter(api, context)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_{api.id.upper()}__URL: {error}") from None
