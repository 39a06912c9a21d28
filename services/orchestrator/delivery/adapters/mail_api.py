"""Mails through the HTTP API of a provider: what the adapters of such providers share.

Each adapter describes its provider as a `MailApi`: how a mail becomes a request, and what answers mean, as a table. The
rest is the same for all and stands here: composing the mail, refusing what no provider may get, one request a message,
and the result. Details hold the status and a code from the provider's documentation, never a text of the provider,
which may quote an address.
"""

import asyncio
import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.errors import MessageError
from typing import Any, Final, NamedTuple

import msgspec

from schemas.message import HandoverFault, HandoverOutcome, HandoverResult, Message
from schemas.times import Instant
from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.attachment_fetcher import (
    ATTACHMENTS_FIELD,
    SLOTS,
    AttachmentFetcher,
    AttachmentRefused,
)
from services.orchestrator.delivery.adapters.definition import (
    AdapterContext,
    FirstByteGuard,
    SearchAnswer,
    SearchedMessage,
)
from services.orchestrator.delivery.adapters.provider_http import (
    HttpLimits,
    ProviderAnswer,
    ProviderClient,
    parse_retry_after,
    send_each,
)
from services.orchestrator.delivery.adapters.provider_search import ProviderSearchApi, search_each
from services.orchestrator.delivery.channels.email.attachments import Attachment
from services.orchestrator.delivery.channels.email.mail import Mail, compose_mail

MESSAGE_FIELD: Final = "tactful_message"
"""The name under which a provider keeps our message id and brings it back in its receipts."""
NO_CODE: Final = ""
"""The code of an answer that has none."""
_CODE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_PROVIDER_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_NOT_ONE_ADDRESS: Final = re.compile(r"[\s\x00-\x1f\x7f,;:<>()\[\]\\\"]")
"""What would make a list, a name or a header of an address."""


class MailRequest(NamedTuple):
    """A request for one mail. `path` is appended to the URL of the settings."""

    path: str
    content: bytes
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class AnswerMeaning(NamedTuple):
    """A row of a table: what an answer with a status from `first` to `last` and this `code` means.

    `code`: None for all of them, NO_CODE for an answer without one. `wait`: seconds until another attempt makes sense.
    """

    first: int
    last: int
    code: str | None
    outcome: HandoverOutcome
    fault: HandoverFault | None = None
    wait: float | None = None


COMMON_MEANINGS: Final = (
    AnswerMeaning(200, 299, None, "accepted"),
    AnswerMeaning(300, 399, None, "retry", "account"),  # redirects are not followed: the URL has to be mended
    AnswerMeaning(400, 400, None, "rejected", "content"),
    AnswerMeaning(408, 408, None, "unknown"),
    AnswerMeaning(413, 413, None, "rejected", "content"),
    AnswerMeaning(422, 422, None, "rejected", "content"),
    AnswerMeaning(425, 425, None, "retry"),
    AnswerMeaning(429, 429, None, "retry", "throttle"),
    AnswerMeaning(400, 499, None, "retry", "account"),  # no mail would be taken like this: none is lost for it
    AnswerMeaning(500, 599, None, "unknown"),  # a provider may fail after it has taken the mail
)
"""How tables end: what a status means where a provider's own rows do not say otherwise."""


def read_retry_after(headers: Mapping[str, str], now: Instant) -> float | None:
    """Seconds from the header Retry-After."""
    return parse_retry_after(headers.get("retry-after"), now)


def _no_code(headers: Mapping[str, str]) -> str:
    return NO_CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReading:
    """How the answers of a provider are read. The functions raise nothing, whatever an answer contains."""

    meanings: tuple[AnswerMeaning, ...]
    """The first row that fits decides; an answer that no row fits is unknown."""
    read_code: Callable[[Any], str]
    """The code in the body of an answer, which is None if that is no JSON; NO_CODE if there is none."""
    read_provider_id: Callable[[Any, Mapping[str, str]], str]
    """The provider's id of an accepted message, from body and headers; empty if there is none."""
    read_wait: Callable[[Mapping[str, str], Instant], float | None] = read_retry_after
    """Seconds that the headers of an answer ask us to wait."""
    read_code_of_headers: Callable[[Mapping[str, str]], str] = _no_code
    """The code in the headers of an answer, for providers that write it there; used where the body has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailApi(AnswerReading):
    """One provider."""

    id: str
    """The adapter's id."""
    idempotent: bool
    """Whether the provider takes a message id once."""
    authorization: Mapping[str, str] = field(repr=False)
    """The headers that say who we are."""
    build_request: Callable[[Mail, Message], MailRequest]
    concurrency: int = 32
    """Requests at a time."""
    search: ProviderSearchApi | None = None
    """How to ask which messages it has had; None if nobody can, or no key for it is set."""


class MailApiAdapter:
    """Hands mails over to one provider."""

    def __init__(self, api: MailApi, context: AdapterContext) -> None:
        """Raises ValueError and OutboundRefused for a URL that must not be called."""
        self.name, self.idempotent = api.id, api.idempotent
        limits = HttpLimits(context.timeout, concurrency=api.concurrency)
        self._provider = ProviderClient(context.settings.url.rstrip("/"), context.outbound, limits)
        self._api, self._mail, self._clock = api, context.mail, context.clock
        self._attachments = AttachmentFetcher(context)

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message. Mails that wait for their files take no request slot from the others."""
        plain = [message for message in messages if ATTACHMENTS_FIELD not in message.content]
        with_files = [message for message in messages if ATTACHMENTS_FIELD in message.content]
        batches = await asyncio.gather(
            self._provider.send_each(plain, lambda message: self._send_mail(message, first_byte, ())),
            send_each(
                with_files, lambda message: self._send_with_files(message, first_byte), self._attachments.slots, SLOTS
            ),
        )
        results = {result.message_id: result for batch in batches for result in batch}
        return [results[message.id] for message in messages]

    async def find_handed_over(self, messages: Sequence[SearchedMessage]) -> list[SearchAnswer]:
        """What the provider shows of each message; see SearchableAdapter."""
        return await search_each(self._provider, self._api.search, messages)

    async def close(self) -> None:
        """Closes all connections."""
        await self._provider.close()
        await self._attachments.close()

    async def _send_with_files(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        try:
            files = await self._attachments.load(message)
        except AttachmentRefused as refused:
            return refused.result(message.id)
        [result] = await self._provider.send_each([message], lambda each: self._send_mail(each, first_byte, files))
        return result

    async def _send_mail(
        self, message: Message, first_byte: FirstByteGuard, files: tuple[Attachment, ...]
    ) -> HandoverResult:
        try:
            mail = compose_mail(message, self._mail, files)
        except KeyError:
            return _refuse_content(message, "incomplete_content")
        except (ValueError, MessageError, IndexError):  # the parser of addresses raises all three
            return HandoverResult(message.id, "retry", detail="no_sender", fault="account")
        refused = _refuse_mail(message, mail)
        if refused is not None:
            return refused
        try:
            request = self._api.build_request(mail, message)
        except ValueError:  # half of a surrogate pair
            return _refuse_content(message, "not_unicode")
        headers = {**self._api.authorization, **request.headers}
        content_type = request.content_type
        answer = await self._provider.post(request.path, request.content, headers, message.id, first_byte, content_type)
        return read_answer(self._api, message.id, answer, self._clock.now())


def read_answer(api: AnswerReading, message_id: str, answer: ProviderAnswer, now: Instant) -> HandoverResult:
    """What an answer means for the message."""
    body = _decode(answer.body)
    code = _keep(_CODE, api.read_code(body) or api.read_code_of_headers(answer.headers)) or NO_CODE
    meaning = find_meaning(api.meanings, answer.status, code)
    detail = f"status {answer.status}, {code}" if code else f"status {answer.status}"
    provider_id = wait = None
    if meaning.outcome == "accepted":
        provider_id = _keep(_PROVIDER_ID, api.read_provider_id(body, answer.headers))
    elif meaning.outcome != "rejected":
        wait = max(filter(None, (api.read_wait(answer.headers, now), meaning.wait)), default=None)
    return HandoverResult(message_id, meaning.outcome, provider_id, detail, wait, meaning.fault)


def create_mail_api_adapter(api: MailApi, context: AdapterContext) -> MailApiAdapter:
    """The adapter of a provider. Raises SettingsError for a URL that must not be called."""
    try:
        return MailApiAdapter(api, context)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_{api.id.upper()}__URL: {error}") from None


def encode_content(attachment: Attachment) -> str:
    """The content of an attachment as providers take it in JSON."""
    return base64.b64encode(attachment.content).decode("ascii")


def find_meaning(meanings: Sequence[AnswerMeaning], status: int, code: str) -> AnswerMeaning:
    """The first row of a table that fits an answer; unknown if none does."""
    fitting = (row for row in meanings if row.first <= status <= row.last and row.code in (None, code))
    return next(fitting, AnswerMeaning(status, status, None, "unknown"))


def find_text(body: Any, *path: str | int) -> str:
    """The text or small whole number at a place of a JSON document; empty if there is none."""
    for step in path:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return ""
    if isinstance(body, int) and not isinstance(body, bool):
        return str(body) if abs(body) < 10**9 else ""
    return body if isinstance(body, str) else ""


def _refuse_mail(message: Message, mail: Mail) -> HandoverResult | None:
    """The result of a mail that no provider gets; None if there is nothing wrong with it.

    An address that is a list would send to several people, and a line break in a header would begin another header,
    with whatever an event has put there.
    """
    if "@" not in mail.to or _NOT_ONE_ADDRESS.search(mail.to):
        return HandoverResult(message.id, "rejected", detail="unusable_address", fault="address")
    if not (mail.subject and mail.html):
        return _refuse_content(message, "incomplete_content")
    if any(map(_CONTROL.search, (mail.subject, mail.reply_to or "", *mail.headers.values()))):
        return _refuse_content(message, "line_break_in_header")
    return None


def _refuse_content(message: Message, detail: str) -> HandoverResult:
    return HandoverResult(message.id, "rejected", detail=detail, fault="content")


def _decode(body: bytes | None) -> Any:
    try:
        return msgspec.json.decode(body or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _keep(pattern: re.Pattern[str], text: str) -> str | None:
    return text if pattern.fullmatch(text) else None
