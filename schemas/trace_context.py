"""W3C trace context: the `traceparent` of a request or an event, which ties what follows from it to its sender's trace.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from typing import Final, NamedTuple

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1
"""The bit of the flags that says that the sender records this trace."""
MAX_TRACEPARENT: Final = 256
"""Characters. Version 00 has 55; later versions may append to it."""
BAD_TRACEPARENT: Final = (
    "is no W3C trace context, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01:"
    " correct it or leave it out"
)


class TraceContext(NamedTuple):
    """A span of a trace, as others refer to it: 32 and 16 hexadecimal digits, and whether the trace is recorded."""

    trace_id: str
    span_id: str
    is_sampled: bool

    def to_traceparent(self) -> str:
        """The header that says it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


def read_trace_context(traceparent: str) -> TraceContext | None:
    """The span that a `traceparent` names; None if the text is none."""
    match = _TRACEPARENT.fullmatch(traceparent) if len(traceparent) <= MAX_TRACEPARENT else None
    if match is None or match[1] == "ff" or not int(match[2], 16) or not int(match[3], 16):
        return None
    if match[1] == "00" and match[5]:
        return None
    return TraceContext(match[2], match[3], bool(int(match[4], 16) & _SAMPLED))


def read_trace_id(traceparent: str) -> str | None:
    """The trace id of a `traceparent`, 32 hexadecimal digits; None if the text is none."""
    context = read_trace_context(traceparent)
    return None if context is None else context.trace_id
