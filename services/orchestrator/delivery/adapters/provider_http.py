"""Requests to a provider: what adapters that speak HTTP share.

The connections ask the outbound guard, keep no cookies and follow no redirects. A request is written at most once, just
after the first-byte guard has agreed, and an answer is read up to a length. What an answer means, by its
status or by a code in its body, is the adapter's own affair; whether bytes have left is told here: `NotWritten` or
`NoAnswer`.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import httpx

from schemas.message import HandoverResult, Message
from schemas.times import SECOND, Instant, from_datetime
from services.kit.http.outbound import OutboundGuard, OutboundRefused
from services.orchestrator.delivery.adapters.definition import FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.adapters.guarded_body import GuardedBody
from services.orchestrator.delivery.deadline import PastDeadline

MIN_RETRY_AFTER: Final = 1.0
MAX_RETRY_AFTER: Final = 3600.0
"""Seconds: the bounds of what a provider may ask us to wait."""
KEEPALIVE_SECONDS: Final = 5.0
"""Seconds that an idle connection is kept; many receivers close theirs then."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of the requests to one provider. Times in seconds; `max_answer` in bytes."""

    timeout: float = 10.0
    """Of one request as a whole."""
    connect_timeout: float = 3.0
    concurrency: int = 32
    max_answer: int = 64 * 1024


class ProviderAnswer:
    """An answer whose status and headers are here. `body`: what was read of it; None if it was cut off or too long."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class NotWritten(Exception):
    """No byte has left: the message can be tried again. Its text names the cause, without personal data."""


class NoAnswer(Exception):
    """The request was written, and no answer came: nobody knows what became of it. Its text names the cause."""


class ProviderClient:
    """Posts to one provider, over connections that stay open. Opened by the first request; `close` ends it."""

    def __init__(
        self,
        url: str | None,
        outbound: OutboundGuard,
        limits: HttpLimits,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`url`: the provider's address; paths are appended. None where messages say themselves where they go: then
        each path is what follows `https://`, and the caller has asked the guard about the whole. `ssl_context`: which
        certificates to trust; by default those of the public authorities.

        Raises ValueError for a URL that must not be called.
        """
        if url is None:
            url = "https://"
        else:
            outbound.check_url(url)
        self._url, self._limits = url, limits
        self._sockets = outbound.socket_factory(plain=url.startswith("http:"))
        self._ssl_context = ssl_context or default_ssl_context()
        self._request_slots = asyncio.Semaphore(limits.concurrency)
        self._open_session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes all connections."""
        if self._open_session is not None:
            await self._open_session.close()

    async def send_each(
        self, messages: Sequence[Message], send: Callable[[Message], Awaitable[HandoverResult]]
    ) -> list[HandoverResult]:
        """The results of `send` for each message, in order; as many at a time as the provider's limit allows.

        What `send` raises of this module's exceptions becomes the result that it means.
        """
        return await send_each(messages, send, self._request_slots, self._limits.concurrency)

    async def post(
        self,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
        message_id: str,
        first_byte: FirstByteGuard,
        content_type: str = "application/json",
    ) -> ProviderAnswer:
        """Posts a request for one message. Raises NotWritten, NoAnswer and PastDeadline."""
        body = GuardedBody(message_id, content, first_byte, content_type)
        try:
            return await self._post(path, body, headers)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            if body.past_deadline:
                raise PastDeadline from error
            raise (NoAnswer if body.written else NotWritten)(_describe(error)) from error

    async def get(self, path: str, headers: Mapping[str, str], max_answer: int) -> ProviderAnswer:
        """Asks for what stands at a path; up to so many bytes of it are read. Raises NoAnswer."""
        try:
            async with asyncio.timeout(self._limits.timeout) as limit:
                url = self._url + path
                async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                    content = await self._read_rest(response.content, limit.when() or 0.0, max_answer)
                    return ProviderAnswer(response.status, response.headers, content)
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            raise NoAnswer(_describe(error)) from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        """The session, opened by the first request because it belongs to the running event loop."""
        if self._open_session is None:
            self._open_session = self._open()
        return self._open_session

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._limits.concurrency,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=self._ssl_context,
            socket_factory=self._sockets,
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers={"user-agent": "Tactful", "accept": "*/*", "accept-encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=self._limits.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def _post(self, path: str, body: GuardedBody, headers: Mapping[str, str]) -> ProviderAnswer:
        try:
            async with asyncio.timeout(self._limits.timeout) as limit:
                response = await self._session.post(self._url + path, data=body, headers=headers, allow_redirects=False)
        except BaseException:
            body.abort()
            raise
        try:
            if not body.written:
                raise aiohttp.ClientConnectionError("an answer was there before the request: it belongs to another")
            content = await self._read_rest(response.content, limit.when() or 0.0)
            return ProviderAnswer(response.status, response.headers, content)
        finally:
            if not response.closed:  # part of the answer is still to come
                response.close()
                body.abort()

    async def _read_rest(
        self, content: aiohttp.StreamReader, deadline: float, max_answer: int | None = None
    ) -> bytes | None:
        """Reads an answer up to the allowed length, and not for long: its status counts, whatever happens to it."""
        answer, most = b"", max_answer or self._limits.max_answer
        with suppress(aiohttp.ClientError, TimeoutError):
            if content.is_eof():
                answer = content.read_nowait()
            else:
                rest_deadline = asyncio.get_running_loop().time() + self._limits.timeout / 4
                async with asyncio.timeout_at(min(rest_deadline, deadline)):
                    while not content.at_eof() and len(answer) <= most:
                        answer += await content.readany()
            return answer if len(answer) <= most else None
        return None


async def send_each(
    messages: Sequence[Message],
    send: Callable[[Message], Awaitable[HandoverResult]],
    slots: asyncio.Semaphore,
    concurrency: int,
) -> list[HandoverResult]:
    """See `ProviderClient.send_each`. `slots`: shared by all batches, `concurrency` of them."""
    results: dict[int, HandoverResult] = {}
    waiting = iter(enumerate(messages))

    async def send_next() -> None:
        for index, message in waiting:
            async with slots:
                results[index] = await _send_one(message, send)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(messages))):
            workers.create_task(send_next())
    return [results[index] for index in range(len(messages))]


async def _send_one(message: Message, send: Callable[[Message], Awaitable[HandoverResult]]) -> HandoverResult:
    try:
        return await send(message)
    except PastDeadline:
        return past_deadline_result(message.id)
    except NotWritten as cause:
        return HandoverResult(message.id, "retry", detail=str(cause))
    except NoAnswer as cause:
        return HandoverResult(message.id, "unknown", detail=str(cause))


def _describe(error: Exception) -> str:
    """The kind of error, and of a connection that our own guard has refused, that it was the guard."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    return type(cause if isinstance(cause, OutboundRefused) else error).__name__


def default_ssl_context() -> ssl.SSLContext:
    """Checks certificates and host names against the list that the whole project uses."""
    ssl_context = httpx.create_ssl_context(trust_env=False)
    ssl_context.set_alpn_protocols(["http/1.1"])
    return ssl_context


def parse_retry_after(text: str | None, now: Instant) -> float | None:
    """Seconds to wait, from 1 to 3600, from a Retry-After in seconds, whole or not, or as an HTTP date; None if there
    is none.
    """
    if text is None:
        return None
    number = text.strip()
    if number.isascii() and number.replace(".", "", 1).isdecimal():
        seconds = float(number) if len(number) < 10 else MAX_RETRY_AFTER
    else:
        try:
            seconds = (from_datetime(parsedate_to_datetime(text)) - now) / SECOND
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, MIN_RETRY_AFTER), MAX_RETRY_AFTER)
