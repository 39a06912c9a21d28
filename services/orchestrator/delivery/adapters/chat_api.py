"""Messages through the HTTP API of a chat program: what the adapters of such programs share.

Each adapter describes its program as a `ChatApi`: how a message becomes a request, and what answers mean, as a table.
The rest is the same for all and stands here: to which place a message goes, one request a message, and the result.
Details hold the status and a code, never a text of the program, which may quote names.

A message to an address goes to the place that the address names, `<adapter>:<place>`. A post has no address: it goes to
the place that the settings name, so what is wrong with the place is held against no address.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.message import HandoverResult, Message
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS
from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.chat_message import ChatMessage, UnreadableChat, read_chat
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard
from services.orchestrator.delivery.adapters.mail_api import AnswerReading, read_answer
from services.orchestrator.delivery.adapters.provider_http import (
    HttpLimits,
    ProviderAnswer,
    ProviderClient,
    parse_retry_after,
)


class ChatRequest(NamedTuple):
    """A request for one message. `path` is appended to the URL of the adapter."""

    path: str
    content: bytes
    headers: Mapping[str, str] = {}


class UnusablePlace(ValueError):
    """The place is none that the program can have."""


class UnknownPlace(ValueError):
    """The settings have no webhook of this name, or nothing to reach such a place with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatApi(AnswerReading):
    """One chat program."""

    id: str
    """The adapter's id."""
    url: str | None
    """What the paths of requests are appended to; None where each path begins with its own host, reached by https."""
    build_request: Callable[[str, ChatMessage, str], ChatRequest] = field(repr=False)
    """The request for a place, a message and our id of it. Raises UnusablePlace, UnknownPlace."""
    post_to: str | None
    """The place of posts, which have no address."""
    idempotent: bool = False
    """Whether the program takes a message id once."""
    read_body_wait: Callable[[Any], Any] = lambda body: None
    """Seconds that the body of an answer asks us to wait, a number."""
    concurrency: int = 16
    """Requests at a time."""
    max_bytes: int | None = None
    """Of a request's body."""


class ChatApiAdapter:
    """Hands messages over to one chat program."""

    def __init__(self, api: ChatApi, context: AdapterContext) -> None:
        """Raises ValueError and OutboundRefused for a URL that must not be called."""
        self.name, self.idempotent = api.id, api.idempotent
        self._addressed_as = context.name or api.id
        limits = HttpLimits(context.timeout, concurrency=api.concurrency)
        url = api.url.rstrip("/") if api.url is not None else None
        self._provider = ProviderClient(url, context.outbound, limits)
        self._api, self._clock = api, context.clock

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message."""
        return await self._provider.send_each(messages, lambda message: self._send_chat(message, first_byte))

    async def close(self) -> None:
        """Closes all connections."""
        await self._provider.close()

    async def _send_chat(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        is_post = message.channel in CHANNELS_WITHOUT_ADDRESS
        try:
            place = self._find_place(message, is_post)
            request = self._api.build_request(place, read_chat(message), message.id)
        except UnreadableChat as error:
            return HandoverResult(message.id, "rejected", detail=str(error), fault="content")
        except (UnusablePlace, UnknownPlace) as error:
            return _refuse_place(message, error, is_post)
        if self._api.max_bytes is not None and len(request.content) > self._api.max_bytes:
            return HandoverResult(message.id, "rejected", detail="payload_too_large", fault="content")
        answer = await self._provider.post(request.path, request.content, request.headers, message.id, first_byte)
        return self._read_answer(message, answer, is_post)

    def _find_place(self, message: Message, is_post: bool) -> str:
        """Raises UnusablePlace and UnknownPlace."""
        if is_post:
            if not self._api.post_to:
                raise UnknownPlace("no_place_for_posts")
            return self._api.post_to
        adapter, colon, place = message.to.partition(":")
        if not colon or not place:
            raise UnusablePlace("unusable_address")
        if adapter != self._addressed_as:
            raise UnknownPlace("address_of_another_adapter")
        return place

    def _read_answer(self, message: Message, answer: ProviderAnswer, is_post: bool) -> HandoverResult:
        now = self._clock.now()
        result = read_answer(self._api, message.id, answer, now)
        if is_post and result.fault == "address":
            return msgspec.structs.replace(result, fault=None)
        if result.outcome in ("retry", "unknown"):
            asked = parse_retry_after(_as_text(self._api.read_body_wait(decode_answer(answer))), now)
            wait = max(filter(None, (asked, result.retry_after)), default=None)
            return msgspec.structs.replace(result, retry_after=wait)
        return result


def create_chat_api_adapter(api: ChatApi, context: AdapterContext) -> ChatApiAdapter:
    """The adapter of a chat program. Raises SettingsError for a URL that must not be called, and where posts have no
    place to go to.
    """
    if api.post_to is None and not context.channels.isdisjoint(CHANNELS_WITHOUT_ADDRESS):
        raise SettingsError(f"TACTFUL_{api.id.upper()}__POSTS is not set, and posts go where it says")
    try:
        return ChatApiAdapter(api, context)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_{api.id.upper()}__URL: {error}") from None


def decode_answer(answer: ProviderAnswer) -> Any:
    """The JSON of an answer; None if it is none."""
    try:
        return msgspec.json.decode(answer.body or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _refuse_place(message: Message, error: ValueError, is_post: bool) -> HandoverResult:
    """A place that cannot exist is a dead address. One that the settings do not know may be mended there, so nothing is
    held against the address; nor is the account wrong, which would stop the messages to all other places.
    """
    is_dead = isinstance(error, UnusablePlace) and not is_post
    return HandoverResult(message.id, "rejected", detail=str(error), fault="address" if is_dead else None)


def _as_text(seconds: Any) -> str | None:
    """A number of an answer as Retry-After would have it."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 10**8:
        return None
    return f"{seconds:.3f}"
