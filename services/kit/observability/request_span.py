"""The span of a request over HTTP, recorded where its caller records it.

Names and attributes are those of OpenTelemetry's conventions:
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import secrets
import time
from typing import NamedTuple

from schemas.trace_context import TraceContext
from services.kit.observability.tracer import FinishedSpan, SpanValue


class RequestSpan(NamedTuple):
    """A request that is being answered. `began`: nanoseconds since 1970 UTC."""

    context: TraceContext
    caller: TraceContext
    began: int

    @classmethod
    def of_caller(cls, caller: TraceContext) -> "RequestSpan | None":
        """The span of a request that begins now; None if its caller does not record it."""
        if not caller.is_sampled:
            return None
        return cls(TraceContext(caller.trace_id, secrets.token_hex(8), True), caller, time.time_ns())

    def finish(self, method: str, route: str, status: int) -> FinishedSpan:
        """The span, which ends now."""
        attributes: dict[str, SpanValue] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        failure = str(status) if status >= 500 else None
        name, ended = f"{method} {route}", time.time_ns()
        return FinishedSpan(name, "server", self.context, self.caller, self.began, ended, attributes, (), failure)
