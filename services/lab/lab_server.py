"""The server of the lab. Each provider answers below `/<its name>`, and `/lab` controls and shows what happens.

A request is read, checked by its provider, written into the log, and only then answered.
"""

import asyncio
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from pydantic import ValidationError

from schemas.times import SECOND, Instant, format_instant
from services.kit.runtime.clock import Clock
from services.lab import faulty_answers
from services.lab.arrival_log import Acceptance, Arrival, ArrivalLog, ArrivalOutcome, LogUnusable, read_arrivals
from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    LabAnswer,
    LabProvider,
    LabRequest,
    RequestRefused,
    Submission,
    TakenMessage,
)
from services.lab.lab_script import BLOCKED_TAG, FaultRule, LabScript, ScriptPlayer, describe_fault, read_tag
from services.lab.provider_registry import load_providers
from services.lab.receipt_sender import ReceiptSender

MAX_BODY: Final = 40 * 1024 * 1024
"""Bytes of a request; providers take up to 40 MB."""
MAX_SCRIPT: Final = 64 * 1024
MAX_PAGE: Final = 1000
"""Arrivals in one answer of `/lab/log`."""


class BodyTooLong(Exception):
    """The body has more bytes than are read."""


class _LabExchange(NamedTuple):
    """One request with its provider. `rule`: the fault that happens to it."""

    name: str
    provider: LabProvider
    request: LabRequest
    submission: Submission
    rule: FaultRule | None


class Lab:
    """All providers, with one log and one script."""

    def __init__(
        self, keys: LabKeys, log: ArrivalLog, receipts: ReceiptSender, clock: Clock, script: LabScript | None = None
    ) -> None:
        self._keys, self._log, self._receipts, self._clock = keys, log, receipts, clock
        self._player = ScriptPlayer(script or LabScript())
        self._taken: dict[str, list[TakenMessage]] = {}
        """For searches; with addresses, so they are not in the log. No more than the log has arrivals."""
        self.failed = asyncio.Event()
        """Set once the log cannot be written: the lab has to end."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers any request."""
        name, _, rest = request.path.removeprefix("/").partition("/")
        path = f"/{rest}"
        if name == "lab":
            return await self._control(request, path)
        provider = load_providers().get(name)
        if provider is None:
            return _json(404, {"detail": f"no provider: use {', '.join(f'/{each}' for each in load_providers())}"})
        try:
            return await self._play(request, name, provider, path)
        except LogUnusable:
            self.failed.set()
            return faulty_answers.cut(request)

    # -- providers ---------------------------------------------------------------------------------------------

    async def _play(self, request: web.BaseRequest, name: str, provider: LabProvider, path: str) -> web.StreamResponse:
        rule = self._player.choose_before_reading(name, self._log.next_number())
        if rule is not None:
            await self._write(name, "not_read", fault=rule.fault)
            return faulty_answers.cut(request)
        try:
            body = await _read_body(request, MAX_BODY)
        except BodyTooLong:
            await self._write(name, "refused", status=413)
            return web.Response(status=413)
        except (web.RequestPayloadError, ConnectionError):  # the client has gone before its request was whole
            return faulty_answers.cut(request)
        headers = {key.lower(): value for key, value in request.headers.items()}
        asked = LabRequest(request.method, path, headers, body, self._clock.now(), dict(request.query))
        if request.method == "GET" and provider.answer_search is not None:
            shown = self._list_shown(name, asked.at)
            return await faulty_answers.write_answer(request, provider.answer_search(self._keys, asked, shown), None)
        try:
            submission = provider.read_submission(self._keys, asked)
        except RequestRefused as refused:
            await self._write(name, "refused", digest=_digest_body(body), status=refused.answer.status)
            return await faulty_answers.write_answer(request, refused.answer, None)
        number = self._log.count_requests(name, submission.message_id) + 1
        rule = self._player.choose(name, submission.message_id, submission.to, number)
        answer = await self._take(_LabExchange(name, provider, asked, submission, rule))
        return await faulty_answers.write_answer(request, answer, rule)

    async def _take(self, exchange: _LabExchange) -> LabAnswer | None:
        """Takes or refuses a good request; returns once the log has it. None: it gets no answer."""
        _, provider, request, submission, rule = exchange
        known = self._find_known(exchange)
        if rule is not None and rule.fault in faulty_answers.REFUSING:
            return await self._answer_refused(exchange, faulty_answers.refuse(provider, rule, request.at))
        if known is None and read_tag(submission.to) == BLOCKED_TAG:
            return await self._answer_refused(exchange, provider.refusals["address"])
        if known is not None and not hmac.compare_digest(known.digest, _digest_body(request.body)):
            return await self._answer_refused(exchange, provider.refusals["key_reused"])
        provider_id = known.provider_id if known else self._create_id(self._log.next_number())
        usual = provider.accept(submission, provider_id)
        answer = faulty_answers.answer_accepted(provider, usual, rule)
        outcome: ArrivalOutcome = "accepted" if known is None else "repeated"
        await self._write_exchange(exchange, outcome, answer.status if answer is not None else 0, provider_id)
        if known is None:
            self._taken.setdefault(exchange.name, []).append(TakenMessage(submission, provider_id, request.at))
            self._plan_receipts(exchange, provider_id)
        return answer

    def _list_shown(self, name: str, now: Instant) -> list[TakenMessage]:
        """What a provider's search shows by now."""
        visible_until = now - int(self._player.script.searches.appears_after * SECOND)
        return [each for each in self._taken.get(name, ()) if each.at <= visible_until]

    def _find_known(self, exchange: _LabExchange) -> Acceptance | None:
        """What the provider remembers of the request's key."""
        provider, key = exchange.provider, exchange.submission.key
        if key is None or not provider.remembers:
            return None
        return self._log.find_acceptance(exchange.name, key, exchange.request.at - provider.remembers * SECOND)

    async def _answer_refused(self, exchange: _LabExchange, answer: LabAnswer) -> LabAnswer:
        await self._write_exchange(exchange, "refused", answer.status)
        return answer

    def _create_id(self, number: int) -> str:
        """The provider's id of the message of an arrival: the same for the same seed and log."""
        secret = self._keys.derive("ids").hex()
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{secret} {self._player.script.seed} {number}").hex

    def _plan_receipts(self, exchange: _LabExchange, provider_id: str) -> None:
        name, provider, _, submission, _ = exchange
        kinds = self._player.tell_fate(submission.message_id, submission.to)
        self._receipts.plan(name, provider, submission, provider_id, kinds, self._player.script.receipts)

    async def _write_exchange(
        self, exchange: _LabExchange, outcome: ArrivalOutcome, status: int, provider_id: str = ""
    ) -> None:
        await self._write(
            exchange.name,
            outcome,
            message_id=exchange.submission.message_id,
            key=exchange.submission.key,
            digest=_digest_body(exchange.request.body),
            provider_id=provider_id,
            status=status,
            fault=exchange.rule.fault if exchange.rule is not None else None,
        )

    async def _write(self, name: str, outcome: ArrivalOutcome, **fields: Any) -> None:
        """Nothing waits between the choice of the number and the log's taking it, so numbers are unique."""
        number, at = self._log.next_number(), format_instant(self._clock.now())
        await self._log.append(Arrival(number, at, name, outcome, **fields))

    # -- control -----------------------------------------------------------------------------------------------

    async def _control(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        match request.method, path:
            case "GET", "/":
                return _json(200, self._describe())
            case "GET", "/log":
                return await self._show_log(request)
            case "GET", "/receipts":
                return _json(200, {"items": list(self._receipts.posted)})
            case "GET", "/script":
                return _json(200, self._player.script.model_dump(mode="json"))
            case "PUT", "/script":
                return await self._replace_script(request)
        return _json(404, {"detail": "GET /lab, /lab/log, /lab/receipts, /lab/script; PUT /lab/script"})

    def _describe(self) -> Mapping[str, Any]:
        return {
            "providers": list(load_providers()),
            "arrivals": self._log.count,
            "receipts": {
                "posted": len(self._receipts.posted),
                "waiting": self._receipts.waiting,
                "left_out": self._receipts.left_out,
            },
        }

    async def _show_log(self, request: web.BaseRequest) -> web.StreamResponse:
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) < 12):
            return _json(422, {"detail": "`after` is the number of an arrival"})
        return _json(200, {"items": await asyncio.to_thread(_read_page, self._log.path, int(after))})

    async def _replace_script(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            script = LabScript.model_validate_json(await _read_body(request, MAX_SCRIPT))
        except BodyTooLong:
            return _json(413, {"detail": f"a script has at most {MAX_SCRIPT} bytes"})
        except ValidationError as error:
            return _json(422, {"detail": describe_fault(error)})
        self._player = ScriptPlayer(script)
        return _json(200, script.model_dump(mode="json"))


def _read_page(path: Path, after: int) -> list[Arrival]:
    return [arrival for _, arrival in zip(range(MAX_PAGE), read_arrivals(path, after), strict=False)]


async def _read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Raises BodyTooLong."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > limit:
            raise BodyTooLong
        parts.append(part)
    return b"".join(parts)


def _digest_body(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _json(status: int, document: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")
