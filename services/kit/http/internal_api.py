"""Calls between services: MessagePack over HTTP with the service key and trace context; errors are sorted by whether to
retry.
"""

import asyncio
import random
from typing import TypeVar

import aiohttp
import httpx
import msgspec
from fastapi import Request
from starlette.responses import Response
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from services.kit.errors import Malformed, Permanent, TooLarge, Transient
from services.kit.http.problems import WrongMediaType
from services.kit.observability.trace import new_traceparent

T = TypeVar("T")
MEDIA_TYPE = "application/msgpack"
MAX_ATTEMPTS = 3
CONNECT_TIMEOUT = 1.0
"""Seconds for one try to connect, of MAX_ATTEMPTS: a host that drops packets does not answer later either."""
MAX_SHARED_BYTES = 4 * 1024 * 1024
"""Bytes of the facts of several customers in one answer: who asks for more asks for fewer customers at once."""
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})


async def call(
    client: httpx.AsyncClient, path: str, question: object, response_type: type[T], *, key: str, timeout: float = 5.0
) -> T:
    """Calls an internal route of another service and returns the decoded answer.

    `client` knows the base URL; `timeout` is in seconds per attempt. A connection that cannot be made or breaks is
    tried up to three times, so calls must be repeatable. Raises Transient (no connection, time-out, 429, 502, 503, 504;
    with the Retry-After received) or Permanent (any other refusal, or an unreadable answer).
    """
    body = msgspec.msgpack.encode(question)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Accept": MEDIA_TYPE,
        "Authorization": f"Bearer {key}",
        "traceparent": new_traceparent(),
    }
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)),
            wait=wait_random_exponential(multiplier=0.05, max=0.5),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            sleep=asyncio.sleep,
            reraise=True,
        ):
            with attempt:
                limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT))
                response = await client.post(path, content=body, headers=headers, timeout=limits)
    except httpx.TransportError as error:
        raise Transient(
            f"{_service(path)} does not answer: {_reason(error)} ({client.base_url})", retry_after=_jitter(1.0)
        ) from error
    return _decode_response(client, path, response, response_type)


async def read_request(request: Request, response_type: type[T]) -> T:
    """In a route: decodes the request. Raises WrongMediaType 415, Malformed 400; the middleware raises TooLarge 413."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != MEDIA_TYPE:
        raise WrongMediaType(f"send the body as {MEDIA_TYPE}")
    try:
        return msgspec.msgpack.decode(await request.body(), type=response_type)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not a {response_type.__name__} ({type(error).__name__})") from None


def respond(value: object, most: int | None = None) -> Response:
    """In a route: encodes the answer. Raises TooLarge beyond `most` bytes, MAX_RESPONSE_BYTES by default."""
    body = msgspec.msgpack.encode(value)
    if len(body) > (most or MAX_RESPONSE_BYTES):
        raise TooLarge("the answer is too large: ask about fewer")
    return Response(body, media_type=MEDIA_TYPE)


def _decode_response(client: httpx.AsyncClient, path: str, response: httpx.Response, response_type: type[T]) -> T:
    status = response.status_code
    if status in _RETRYABLE_STATUSES:
        detail = f"{_service(path)} does not answer: {_problem(response).detail or status} ({client.base_url})"
        raise Transient(detail, retry_after=_retry_after_seconds(response), code=_problem_code(response, "unavailable"))
    if status != 200:
        raise Permanent(
            f"{_service(path)} refused {client.base_url}{path} ({status})", code=_problem_code(response, "door_refused")
        )
    try:
        return msgspec.msgpack.decode(response.content, type=response_type)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        detail = f"the answer of {path} has an unexpected form ({type(error).__name__}): do the releases match?"
        raise Permanent(detail, code="door_answer") from error


def _service(path: str) -> str:
    """Whom a call asks: internal paths begin with the service's name."""
    return path.removeprefix("/internal/").partition("/")[0] if path.startswith("/internal/") else "the server"


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error.__cause__, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "no connection"  # which the transport tells as a time-out
    if isinstance(error, httpx.TimeoutException):
        return "time-out"
    return "no connection" if isinstance(error, httpx.NetworkError) else type(error).__name__


def _problem_code(response: httpx.Response, default: str) -> str:
    return _problem(response).code or default


def _problem(response: httpx.Response) -> "_Problem":
    try:
        return msgspec.json.decode(response.content, type=_Problem)
    except (msgspec.MsgspecError, RecursionError):
        return _Problem()


class _Problem(msgspec.Struct):
    """What we read of an error's document."""

    code: str = ""
    detail: str = ""


def _retry_after_seconds(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return _jitter(min(float(text), 300.0) if text.isascii() and text.isdigit() else 1.0)


def _jitter(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, guards nothing
