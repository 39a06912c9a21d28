"""W3C trace context: the `traceparent` of a request or an event, which ties what follows from it to its sender's trace.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
MAX_TRACEPARENT: Final = 256
"""Characters. Version 00 has 55; later versions may append to it."""
BAD_TRACEPARENT: Final = (
    "is no W3C trace context, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01:"
    " correct it or leave it out"
)


def read_trace_id(traceparent: str) -> str | None:
    """The trace id of a `traceparent`, 32 hexadecimal digits; None if the text is none."""
    match = _TRACEPARENT.fullmatch(traceparent) if len(traceparent) <= MAX_TRACEPARENT else None
    if match is None or match[1] == "ff" or not int(match[2], 16) or not int(match[3], 16):
        return None
    return None if match[1] == "00" and match[4] else match[2]
