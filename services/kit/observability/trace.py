"""W3C trace context: one id from the caller through every service."""

import re
import secrets

from services.kit.observability import logs

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def parse_trace_id(traceparent: str | None) -> str:
    """Returns the trace id of a `traceparent` header, or a new one if it is absent or invalid."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match and match[1] != "ff" and int(match[2], 16) and int(match[3], 16) and (match[1] != "00" or not match[4]):
        return match[2]
    return secrets.token_hex(16)


def new_traceparent() -> str:
    """Returns the header for a call or record made inside the current trace."""
    return f"00-{logs.trace_id.get() or secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
