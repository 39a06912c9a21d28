"""Spans of handing over: the last check, the call of the provider, and the record, for each sampled message.

A message that goes soon after it was decided is part of the trace of its event. One that has waited (deferred, parked,
tried again) gets a trace of its own, which links to the decision: a trace that lasts for days helps nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from schemas.event import Event
from schemas.message import HandoverResult
from schemas.times import MINUTE
from schemas.trace_context import TraceContext
from services.kit.observability.tracer import (
    MAX_LINKS,
    FinishedSpan,
    SpanKind,
    SpanValue,
    StepTimes,
    Tracer,
    derive_span,
    derive_trace,
)
from services.orchestrator.decisions.batch_trace import trace_event
from services.orchestrator.decisions.evaluation import ClaimedMessage

WAITED: Final = MINUTE
"""Microseconds from the plan to the claim after which a message has waited."""
_STEPS: Final[dict[str, SpanKind]] = {"recheck": "internal", "send": "client", "record": "internal"}
_FAILED: Final = ("rejected", "retry", "unknown")


class _TracedAttempt(NamedTuple):
    """An attempt that is recorded. `decision` is the parent of `span`, or else linked from it."""

    item: ClaimedMessage
    decision: TraceContext
    span: TraceContext

    @property
    def is_part_of_decision(self) -> bool:
        """Whether the attempt is in the trace of its event."""
        return self.span.trace_id == self.decision.trace_id


class HandoverTrace:
    """Times one handover. Without a tracer it records nothing."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer
        self._attempts: dict[str, _TracedAttempt] = {}
        self.times = StepTimes()

    def follow(self, items: Sequence[ClaimedMessage], events: Mapping[str, Event]) -> None:
        """Find the sampled messages among those that are about to be sent. `events`: of messages, by message id."""
        if self._tracer is None:
            return
        for item in items:
            event = events.get(item.message.id)
            trace = None if event is None else trace_event(self._tracer, event)
            if trace is not None:
                self._attempts[item.message.id] = _TracedAttempt(
                    item, trace.decision, _attempt_span(item, trace.decision)
                )

    def traceparent(self, message_id: str) -> str | None:
        """What the provider is told of a message that is recorded."""
        found = self._attempts.get(message_id)
        return None if found is None else _step_span(found.span, "send").to_traceparent()

    def record_attempts(self, results: Sequence[HandoverResult]) -> None:
        """Record the spans of the messages that were sent, with what became of them."""
        if self._tracer is None:
            return
        for result in results:
            if found := self._attempts.get(result.message_id):
                self._record_attempt(self._tracer, found, result)

    def _record_attempt(self, tracer: Tracer, attempt: _TracedAttempt, result: HandoverResult) -> None:
        steps, message = self.times.ended, attempt.item.message
        ended = max((end for _, end in steps.values()), default=self.times.began)
        attributes: dict[str, SpanValue] = {
            "tactful.message": message.id,
            "tactful.campaign": message.campaign,
            "tactful.channel": message.channel,
            "tactful.adapter": attempt.item.adapter,
            "tactful.attempt": attempt.item.number,
            "tactful.outcome": result.outcome,
        }
        failure = (result.detail or result.outcome) if result.outcome in _FAILED else None
        is_part = attempt.is_part_of_decision
        tracer.sink.record(
            FinishedSpan(
                f"deliver {message.channel}",
                "internal",
                attempt.span,
                attempt.decision if is_part else None,
                self.times.began,
                ended,
                attributes,
                () if is_part else (attempt.decision,),
                failure,
            )
        )
        others = [each.span for each in self._attempts.values() if each is not attempt][:MAX_LINKS]
        for name, kind in _STEPS.items():
            if name in steps:
                began, end = steps[name]
                step = _step_span(attempt.span, name)
                tracer.sink.record(FinishedSpan(name, kind, step, attempt.span, began, end, {}, others))


def _attempt_span(item: ClaimedMessage, decision: TraceContext) -> TraceContext:
    names = item.message.id, str(item.number)
    planned = item.ready_at if item.first_planned is None else min(item.first_planned, item.ready_at)
    has_waited = item.number > 1 or item.claimed_at - planned > WAITED
    return derive_span(derive_trace(*names) if has_waited else decision.trace_id, *names)


def _step_span(attempt: TraceContext, name: str) -> TraceContext:
    return derive_span(attempt.trace_id, attempt.span_id, name)
