"""W3C trace context: one id from the caller through every service."""

import secrets

from schemas.trace_context import read_trace_id
from services.kit.observability import logs


def parse_trace_id(traceparent: str | None) -> str:
    """Returns the trace id of a `traceparent` header, or a new one if it is absent or invalid."""
    return read_trace_id(traceparent or "") or secrets.token_hex(16)


def new_traceparent() -> str:
    """Returns the header for a call or record made inside the current trace."""
    return f"00-{logs.trace_id.get() or secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
