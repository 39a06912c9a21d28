"""Spans of deciding: what a batch of events took, told once for each of its sampled events.

The steps of a batch (facts, evaluate, commit) are done for all its events together. The trace of a sampled event has
them all, with their times, and links to the other sampled events that shared them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from schemas.decision import Decision
from schemas.event import Event
from schemas.trace_context import TraceContext
from services.kit.observability.trace import current_span
from services.kit.observability.tracer import (
    MAX_LINKS,
    EventTrace,
    FinishedSpan,
    SpanKind,
    SpanValue,
    StepTimes,
    TracedEvent,
    Tracer,
    derive_span,
)
from services.orchestrator.decisions.store import ReceivedEvent

_STEPS: Final[dict[str, SpanKind]] = {"facts": "client", "evaluate": "internal", "commit": "internal"}


def trace_event(tracer: Tracer, event: Event) -> EventTrace | None:
    """The trace of an event; None if it is not recorded."""
    return tracer.trace_event(TracedEvent(event.subject, event.source, event.id), event.traceparent)


class BatchTrace:
    """Times one batch. Without a tracer it records nothing."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer
        self.times = StepTimes()

    @contextmanager
    def asking_facts(self, events: Sequence[Event]) -> Iterator[None]:
        """Times the questions for facts; they carry the trace of the first sampled event."""
        first = next(filter(None, (trace_event(self._tracer, each) for each in events)), None) if self._tracer else None
        token = None if first is None else current_span.set(_step_span(first, "facts"))
        try:
            with self.times.step("facts"):
                yield
        finally:
            if token is not None:
                current_span.reset(token)

    def record_events(
        self, received: Sequence[ReceivedEvent], decisions: Sequence[Decision], batch_size: int
    ) -> str | None:
        """Record the spans of the sampled events among those that were decided; call it once that has committed.
        Returns the id of one of their traces, if there is one.
        """
        self.times.end_step("commit")
        if self._tracer is None:
            return None
        sampled = [(each, trace) for each in received if (trace := trace_event(self._tracer, each.event)) is not None]
        for each, trace in sampled:
            own = [item for item in decisions if _is_about(item, each.event)]
            others = [other.decision for _, other in sampled if other is not trace][:MAX_LINKS]
            self._record_event(self._tracer, each, trace, own, others, batch_size)
        return sampled[0][1].decision.trace_id if sampled else None

    def _record_event(
        self,
        tracer: Tracer,
        received: ReceivedEvent,
        trace: EventTrace,
        decisions: Sequence[Decision],
        others: Sequence[TraceContext],
        batch_size: int,
    ) -> None:
        steps = self.times.ended
        ended = max((end for _, end in steps.values()), default=self.times.began)
        attributes: dict[str, SpanValue] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": received.topic,
            "messaging.destination.partition.id": str(received.partition),
            "messaging.kafka.offset": received.offset,
            "messaging.batch.message_count": batch_size,
            "cloudevents.event_type": received.event.type,
            "tactful.messages": [each.message_id for each in decisions],
            "tactful.campaigns": [each.campaign for each in decisions],
            "tactful.outcomes": [each.outcome for each in decisions],
            "tactful.reasons": [each.reason for each in decisions],
        }
        span = trace.decision
        tracer.sink.record(
            FinishedSpan(
                f"process {received.event.type}", "consumer", span, trace.sender, self.times.began, ended, attributes
            )
        )
        for name, kind in _STEPS.items():
            if name in steps:
                began, end = steps[name]
                tracer.sink.record(FinishedSpan(name, kind, _step_span(trace, name), span, began, end, {}, others))


def _step_span(trace: EventTrace, name: str) -> TraceContext:
    return derive_span(trace.decision.trace_id, trace.decision.span_id, name)


def _is_about(decision: Decision, event: Event) -> bool:
    return (decision.customer, decision.event.source, decision.event.id) == (event.subject, event.source, event.id)
