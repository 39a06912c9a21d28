"""W3C trace context: one id from the caller through every service to the provider's receipt."""

import re
import secrets

from services.kit.observability import logs

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def parse_trace_id(traceparent: str | None) -> str:
    """The trace id of a `traceparent`, or a new one when there is none or a wrong one."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match and match[1] != "ff" and int(match[2], 16) and int(match[3], 16) and (match[1] != "00" or not match[4]):
        return match[2]
    return secrets.token_hex(16)


def new_traceparent() -> str:
    """The header for a call or a record made inside the present trace."""
    return f"00-{logs.trace_id.get() or secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
