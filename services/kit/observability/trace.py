"""W3C trace context: one id from the caller through every service."""

import secrets
from contextvars import ContextVar
from typing import Final

from schemas.trace_context import TraceContext, read_trace_context, read_trace_id
from services.kit.observability import logs

current_span: Final[ContextVar[TraceContext | None]] = ContextVar("current_span", default=None)
"""The span inside which this task works: one of ours that is recorded, else the one that the caller has named."""


def parse_trace_id(traceparent: str | None) -> str:
    """Returns the trace id of a `traceparent` header, or a new one if it is absent or invalid."""
    return read_trace_id(traceparent or "") or secrets.token_hex(16)


def parse_trace_context(traceparent: str | None) -> TraceContext | None:
    """Returns the span that a `traceparent` header names; None if it is absent or invalid."""
    return read_trace_context(traceparent) if traceparent else None


def new_traceparent() -> str:
    """Returns the header for a call made inside the current trace. Where no span of it is recorded, it says so."""
    span = current_span.get()
    if span is not None:
        return span.to_traceparent()
    return TraceContext(logs.trace_id.get() or secrets.token_hex(16), secrets.token_hex(8), False).to_traceparent()
