"""The outermost middleware, plain ASGI: trace context, paths, HEAD, body limit, timing, headers, stored answers, and
unexpected exceptions.
"""

import secrets
import time
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit.errors import TactfulError, TooLarge, Transient
from services.kit.http import problems
from services.kit.http.audit_trail import finish_audit
from services.kit.http.idempotency import SCOPE_KEY, IdempotencyClaim, IdempotencyStore, StoredResponse
from services.kit.http.path_segments import routable_path
from services.kit.observability import logs
from services.kit.observability.metrics import MetricFamily, Registry, histogram
from services.kit.observability.request_span import RequestSpan
from services.kit.observability.trace import current_span, parse_trace_context
from services.kit.observability.tracer import Tracer

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OTHER_METHOD = "_OTHER"
PROBED_ROUTES = ("/livez", "/readyz", "/startupz")
"""Routes that are asked every few seconds: a process logs the change of its state, and not each answer."""
UNMATCHED_ROUTE = "unmatched"
IS_HEAD = "tactful.is_head"
"""In the scope of a request that is served like GET, but was HEAD: for what a GET would count."""
CLIENT_CLOSED_REQUEST = 499
"""Recorded of a request whose caller left before it was read and so got no answer. The number is nginx's."""
_statuses = tuple(map(str, range(100, 600)))


def request_durations(registry: Registry, routes: Mapping[int, str]) -> MetricFamily[Histogram]:
    """Creates the histogram of requests by method, route template and status."""
    labels = {
        "http_request_method": (*METHODS, OTHER_METHOD),
        "http_route": sorted({*routes.values(), UNMATCHED_ROUTE}),
        "http_response_status_code": _statuses,
    }
    help_text = "HTTP server latency; counts give RED"
    return histogram(registry, "http_server_request_duration_seconds", help_text, labels, combos=())


class BodyLimits(NamedTuple):
    """The most bytes of a request's body, and of those at single paths."""

    usual: int
    by_path: Mapping[str, int]


class EdgeMiddleware:
    """The middleware. `routes` maps id(route) to its path template; `tracer` records requests that callers record."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        durations: MetricFamily[Histogram],
        routes: Mapping[int, str],
        body_limits: BodyLimits,
        idempotency: IdempotencyStore | None,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._app = app
        self._durations = durations
        self._routes = routes
        self._body_limits = body_limits
        self._idempotency = idempotency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        method = scope["method"]
        if method == "HEAD":  # every GET answers HEAD: it is served like GET, and its body is dropped
            scope, send = {**scope, "method": "GET", IS_HEAD: True}, _HeadersOnly(send)
        else:
            scope = {**scope}
        caller = parse_trace_context(headers.get("traceparent"))
        trace_id = logs.trace_id.set(secrets.token_hex(16) if caller is None else caller.trace_id)
        span = None if self._tracer is None or caller is None else RequestSpan.of_caller(caller)
        current = current_span.set(caller if span is None else span.context)
        start = time.perf_counter()
        answer = _ResponseSender(scope, send, self._idempotency)
        try:
            await self._serve(scope, headers, receive, answer)
        finally:
            self._record_request(scope, method, answer.status, time.perf_counter() - start)
            if span is not None and self._tracer is not None:
                self._tracer.sink.record(span.finish(method, self._route(scope), answer.status))
            await finish_audit(scope, answer.status)
            current_span.reset(current)
            logs.trace_id.reset(trace_id)

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, answer: "_ResponseSender") -> None:
        try:
            scope["path"] = routable_path(scope)
        except TactfulError as error:
            return await problems.error_response(error)(scope, receive, answer)
        limits = self._body_limits
        length, most = headers.get("content-length", "0"), limits.by_path.get(scope["path"], limits.usual)
        if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > most):
            detail = f"the body is larger than {most} bytes"
            return await problems.error_response(TooLarge(detail))(scope, receive, answer)
        try:
            await self._app(scope, _limit_body(receive, most), answer)
        except ClientDisconnect:
            await answer.release_claim()
            if not answer.started:
                answer.status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            await answer.release_claim()
            if answer.started:
                logs.log_error("response_broken_off", error)
                raise
            await problems.internal_error_response(error)(scope, receive, answer)

    def _route(self, scope: Scope) -> str:
        return self._routes.get(id(scope.get("route")), UNMATCHED_ROUTE)

    def _record_request(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else OTHER_METHOD
        route = self._route(scope)
        self._durations(method, route, str(status)).observe(seconds, {"trace_id": logs.trace_id.get()})
        request = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
        if status >= 400 and route not in PROBED_ROUTES:  # the caller has this trace id, and finds this line by it
            logs.log("request_error", "warning", **request, error_code=scope.get(problems.SCOPE_KEY))
        else:
            logs.log("request", "debug", **request)


class _HeadersOnly:
    """Wraps `send` for HEAD: passes on the headers, and ends the response where its body would begin.

    Raises ClientDisconnect for the body of a stream, as if the client had left, so that an endless one ends.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
        elif message["type"] == "http.response.body":
            if not self._ended:
                self._ended = True
                await self._send({"type": "http.response.body", "body": b""})
            if message.get("more_body", False):
                raise ClientDisconnect


def _limit_body(receive: Receive, limit: int) -> Receive:
    """Wraps `receive`: after more than `limit` bytes it raises 413, also without a content length."""
    total = 0

    async def receive_limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413, f"the body is larger than {limit} bytes")
        return message

    return receive_limited


class _ResponseSender:
    """Wraps `send`: adds headers, and holds back an answer under an idempotency claim until it is stored."""

    def __init__(self, scope: Scope, send: Send, idempotency: IdempotencyStore | None) -> None:
        self.started = False
        self.status = 500
        self._scope = scope
        self._send = send
        self._idempotency = idempotency
        self._start_message: MutableMapping[str, Any] = {}
        self._response_body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Cache-Control", "no-store")
            message = {**message, "headers": headers.raw}
        if SCOPE_KEY in self._scope:
            await self._buffer(message)
        else:
            await self._forward(message)

    async def release_claim(self) -> None:
        """Releases the claim after a failure. If the database is unreachable the claim expires by itself."""
        claim: IdempotencyClaim | None = self._scope.pop(SCOPE_KEY, None)
        if claim is not None and self._idempotency is not None:
            try:
                await self._idempotency.release_claim(claim)
            except Transient as error:
                logs.log_error("claim_not_abandoned", error, "warning")

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
        await self._send(message)

    async def _buffer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start_message = message
        elif message["type"] == "http.response.body":
            self._response_body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._store_response()

    async def _store_response(self) -> None:
        claim: IdempotencyClaim = self._scope.pop(SCOPE_KEY)
        answer = StoredResponse(
            self._start_message["status"], tuple(map(tuple, self._start_message["headers"])), bytes(self._response_body)
        )
        try:
            if self._idempotency is not None:
                await self._idempotency.store_response(claim, answer)
        except Transient as error:
            logs.log_error("answer_not_kept", error, "warning")
        await self._forward(self._start_message)
        await self._forward({"type": "http.response.body", "body": answer.body})


def replay_response(answer: StoredResponse) -> Response:
    """Builds the response from a stored answer, marked as replayed."""
    response = Response(answer.body, answer.status)
    kept = [item for item in answer.headers if item[0].lower() != b"content-length"]
    response.raw_headers = [*response.raw_headers, *kept, (b"idempotent-replayed", b"true")]
    return response
