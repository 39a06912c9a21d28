"""Sends spans by OpenTelemetry's SDK, as OTLP over HTTP. The packages are the extra `otel`; nothing else needs them.

At most 2,048 spans wait, and leave in the background. What does not fit is dropped and counted, because a collector
that is away must cost neither time nor memory. The SDK tries again what the collector asks for again.
"""

import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation import set_span_in_context
from prometheus_client import Counter

from schemas.trace_context import TraceContext
from services.kit.observability.metrics import MetricFamily
from services.kit.observability.tracer import FinishedSpan

SCOPE: Final = "tactful"
TRACES_PATH: Final = "/v1/traces"
SEND_SECONDS: Final = 3.0
"""Seconds that sending one batch may take, with what is tried again."""
CLOSE_SECONDS: Final = 2.0
"""Seconds after the stop within which a batch may still begin to be sent."""
MAX_WAITING: Final = 2_048
_KINDS: Final = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}


class OtlpSpans:
    """Takes finished spans, and sends them. Used by one thread."""

    def __init__(self, endpoint: str, service: str, version: str, spans: MetricFamily[Counter]) -> None:
        """`endpoint`: of the collector, without a path of its own. `spans` counts them by `result`, sent or dropped."""
        url = endpoint.rstrip("/") + TRACES_PATH
        self._ids = _PlannedIds()
        self._exporter = _CountingExporter(OTLPSpanExporter(endpoint=url, timeout=SEND_SECONDS), spans)
        self._recorded = 0
        resource = Resource.create({"service.name": f"tactful-{service}", "service.version": version})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, max_queue_size=MAX_WAITING))
        self._tracer = self._provider.get_tracer(SCOPE, version)

    def record(self, span: FinishedSpan) -> None:
        """Take a span; never waits."""
        if self._recorded - self._exporter.ended >= MAX_WAITING:
            self._exporter.count_dropped(1)
            return
        self._recorded += 1
        self._ids.plan(span.context)
        parent = Context() if span.parent is None else set_span_in_context(NonRecordingSpan(_to_context(span.parent)))
        started = self._tracer.start_span(
            span.name,
            context=parent,
            kind=_KINDS[span.kind],
            attributes=dict(span.attributes),
            links=[Link(_to_context(each)) for each in span.links],
            start_time=span.began,
        )
        if span.failure is not None:
            started.set_status(Status(StatusCode.ERROR, span.failure))
        started.end(span.ended)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._exporter.stop_within(CLOSE_SECONDS)
        self._provider.shutdown()


class _PlannedIds(IdGenerator):
    """Gives the ids that are derived from events."""

    def __init__(self) -> None:
        self._next = (1, 1)

    def plan(self, context: TraceContext) -> None:
        """Let the next span be this one."""
        self._next = int(context.trace_id, 16), int(context.span_id, 16)

    def generate_trace_id(self) -> int:
        return self._next[0]

    def generate_span_id(self) -> int:
        return self._next[1]


class _CountingExporter(SpanExporter):
    """Counts what becomes of spans."""

    def __init__(self, inner: SpanExporter, spans: MetricFamily[Counter]) -> None:
        self._inner = inner
        self._spans = spans
        self._last_start: float | None = None
        self.ended = 0
        """Spans that were sent or given up."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        is_late = self._last_start is not None and time.monotonic() > self._last_start
        result = SpanExportResult.FAILURE if is_late else self._inner.export(spans)
        self.ended += len(spans)
        self._spans("sent" if result is SpanExportResult.SUCCESS else "dropped").inc(len(spans))
        return result

    def count_dropped(self, spans: int) -> None:
        """Counts spans that there is no room for."""
        self._spans("dropped").inc(spans)

    def stop_within(self, seconds: float) -> None:
        """Lets nothing more be sent after so many seconds."""
        self._last_start = time.monotonic() + seconds

    def shutdown(self) -> None:
        self._inner.shutdown()


def _to_context(span: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if span.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=True, trace_flags=flags)
