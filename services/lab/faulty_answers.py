"""How answers are written: whole, or as the script has it, which no HTTP server would write by itself."""

import asyncio
from collections.abc import Mapping
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from schemas.times import SECOND, Instant, to_datetime
from services.lab.lab_provider import LabAnswer, LabProvider, RefusalKind
from services.lab.lab_script import FaultName, FaultRule

REFUSING: Final[Mapping[FaultName, RefusalKind]] = {
    "too_many": "too_many",
    "error": "error",
    "wrong_key": "wrong_key",
    "forbidden": "forbidden",
    "address": "address",
}
"""Faults that take nothing -> how the provider says so."""
GARBAGE: Final = b'\x00\xff{"id": <html>\xfe' * 20
Written = web.StreamResponse
"""What aiohttp wants back from a handler. Nothing more is written of it when the connection is closed by then."""


def refuse(provider: LabProvider, rule: FaultRule, now: Instant) -> LabAnswer:
    """The answer of a fault that takes nothing."""
    answer = provider.refusals[REFUSING[rule.fault]]
    if rule.fault != "too_many":
        return answer
    seconds = round(rule.seconds)
    headers: Mapping[str, str] = {}
    if rule.retry_after == "seconds":
        headers = {"retry-after": str(seconds)}
    elif rule.retry_after == "date":
        headers = {"retry-after": format_datetime(to_datetime(now + seconds * SECOND), usegmt=True)}
    elif rule.retry_after == "own":
        headers = provider.own_limit_header(seconds, now)
        if provider.own_limit_body is not None:
            return LabAnswer(answer.status, provider.own_limit_body(seconds), headers)
    return LabAnswer(answer.status, answer.content, headers)


def answer_accepted(provider: LabProvider, usual: LabAnswer, rule: FaultRule | None) -> LabAnswer | None:
    """The answer to a request that was taken; None if there is none."""
    match rule.fault if rule is not None else None:
        case "cut_after_accept":
            return None
        case "error_after_accept":
            return provider.refusals["error"]
        case "garbage":
            return LabAnswer(usual.status, GARBAGE, usual.headers)
    return usual


async def write_answer(request: web.BaseRequest, answer: LabAnswer | None, rule: FaultRule | None) -> Written:
    """Writes an answer. None: the connection is lost instead."""
    if answer is None:
        return cut(request)
    if rule is not None and rule.fault == "slow":
        await asyncio.sleep(rule.seconds)
    if rule is not None and rule.fault == "one_byte_a_second":
        return await _drip(request, answer, rule.seconds)
    kind = "text/plain" if isinstance(answer.content, bytes) else "application/json"
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers, content_type=kind)


def cut(request: web.BaseRequest) -> Written:
    """Loses the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _drip(request: web.BaseRequest, answer: LabAnswer, seconds: float) -> Written:
    """Writes one byte after another, status line and headers too, until the client has had enough."""
    phrase = HTTPStatus(answer.status).phrase
    lines = [f"HTTP/1.1 {answer.status} {phrase}", f"content-length: {len(answer.body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    for byte in ("\r\n".join(lines) + "\r\n\r\n").encode() + answer.body:
        if request.transport is None or request.transport.is_closing():
            break
        assert isinstance(request.transport, asyncio.WriteTransport)
        request.transport.write(bytes((byte,)))
        await asyncio.sleep(seconds)
    if request.transport is not None:
        request.transport.close()
    return web.Response()
