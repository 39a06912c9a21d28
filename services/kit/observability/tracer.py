"""Spans of sampled events: which trace an event belongs to, and what is recorded of it.

Nothing is stored for a trace. All ids are derived from the event, so every process that comes upon it, today or next
week, finds the same trace, the same span and the same choice whether to record it. Spans are recorded once their work
is done, with the times that it took; until then tracing costs two readings of the clock a step.

An event whose sender names a trace (`traceparent`) is recorded exactly where the sender records it. Of the others a
share is, chosen by the trace id as OpenTelemetry's TraceIdRatioBased does.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from schemas.trace_context import TraceContext, read_trace_context

SpanKind: TypeAlias = Literal["internal", "server", "client", "consumer"]
SpanValue: TypeAlias = str | int | bool | Sequence[str]
MAX_LINKS: Final = 32
"""Links of one span to others of its batch."""
_ALL: Final = 1 << 64


class FinishedSpan(NamedTuple):
    """A span that has ended. Times are nanoseconds since 1970 UTC. `failure`: a code, where the work has failed."""

    name: str
    kind: SpanKind
    context: TraceContext
    parent: TraceContext | None
    began: int
    ended: int
    attributes: Mapping[str, SpanValue]
    links: Sequence[TraceContext] = ()
    failure: str | None = None


class SpanSink(Protocol):
    """Where spans go: services.kit.observability.span_exporter.SpanExporter."""

    def record(self, span: FinishedSpan) -> None:
        """Take a span; never waits, and raises nothing."""

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""


class EventTrace(NamedTuple):
    """A sampled event's place in its trace. `sender`: the span of whoever sent it, if that is known. `decision`: the
    span of deciding on it, which all that follows refers to.
    """

    sender: TraceContext | None
    decision: TraceContext


class TracedEvent(NamedTuple):
    """What identifies an event, in this order."""

    customer: str
    source: str
    id: str


class Tracer:
    """Decides what is recorded, and records it."""

    def __init__(self, sink: SpanSink, share: float) -> None:
        """`share`: of the events without a trace of their sender, 0 to 1."""
        self.sink = sink
        self._bound = round(share * _ALL)

    def trace_event(self, event: TracedEvent, traceparent: str | None) -> EventTrace | None:
        """The trace of an event; None if it is not recorded. `traceparent`: of the event, if it has one."""
        if traceparent is not None:
            sender = read_trace_context(traceparent)
            if sender is None or not sender.is_sampled:
                return None
            return EventTrace(sender, derive_span(sender.trace_id, *event))
        if not self._bound:
            return None
        trace_id = _hash(16, "trace", *event)
        if int.from_bytes(trace_id[8:]) >= self._bound:
            return None
        return EventTrace(None, derive_span(trace_id.hex(), *event))


def derive_span(trace_id: str, *names: str) -> TraceContext:
    """The span of a trace that these names always mean."""
    return TraceContext(trace_id, _hash(8, trace_id, *names).hex(), True)


def derive_trace(*names: str) -> str:
    """The id of the trace that these names always mean."""
    return _hash(16, "trace", *names).hex()


def _hash(size: int, *parts: str) -> bytes:
    """A hash of texts, told apart by their lengths. It guards nothing: a trace id is no secret."""
    return blake2b("".join(f"{len(each)}:{each}" for each in parts).encode(), digest_size=size).digest()


class StepTimes:
    """When the steps of some work began and ended, in nanoseconds since 1970 UTC."""

    def __init__(self) -> None:
        self.began = time.time_ns()
        self.ended: dict[str, tuple[int, int]] = {}
        """Begin and end of the steps that have ended. A step that is done again counts from its last beginning."""
        self._open: dict[str, int] = {}

    def begin_step(self, name: str) -> None:
        """A step begins."""
        self._open[name] = time.time_ns()

    def end_step(self, name: str) -> None:
        """A step ends; nothing if it has not begun."""
        if name in self._open:
            self.ended[name] = self._open.pop(name), time.time_ns()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times what is done inside."""
        self.begin_step(name)
        try:
            yield
        finally:
            self.end_step(name)
