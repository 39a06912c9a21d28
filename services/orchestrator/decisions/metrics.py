"""Metrics of decisions: events received, decisions made, and messages that wait. Label sets are closed.

A customer, a campaign or a template is never a label.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.decision import Decision
from schemas.reasons import RULES, Reason, reasons_with_outcome, reasons_with_role
from schemas.rule_registry import RULE_REGISTRY, ReasonRole
from schemas.times import SECOND, Instant
from schemas.vocabulary import CHANNELS, Class, Outcome
from services.kit.observability.metrics import SLOW_BUCKETS, Registry, counter, gauge, histogram
from services.kit.observability.shared_series import duplicates_counter, rules_loaded_gauge
from services.kit.observability.trace import parse_trace_id
from services.orchestrator.decisions.evaluation import CustomerEvaluation

CAP_RULES: Final = tuple(rule.id for rule in RULE_REGISTRY.declarations.values() if rule.counts_as_cap)
_CAP_RULE_BY_REASON: Final = {
    reason.code: rule for rule in reversed(CAP_RULES) for reason in RULE_REGISTRY.declarations[rule].reasons
}
"""For each reason of a cap rule, the first rule that declares it."""
_EXPIRY_REASONS: Final = reasons_with_role(ReasonRole.EXPIRED)
DEFERRED: Final = (*reasons_with_outcome(Outcome.DEFER), "retry")
"""Why a message waits: the reason of its last decision, or `retry` after an attempt that may be repeated."""
RENDER_CODES: Final = (
    *("undefined", "too_large", "too_much_work", "wrong_type", "unsafe_html", "unsafe_link", "no_address"),
    *("too_long", "no_content", "empty", "control_character", "ended_process"),
    *dict.fromkeys(code for channel in CHANNEL_REGISTRY.declarations.values() for code in channel.render_errors),
    "other",
)
STAGES: Final = ("decide", "schedule", "dispatch")
MESSAGE_LABELS: Final[Mapping[str, tuple[str, ...]]] = {"channel": CHANNELS, "class": tuple(Class)}
_CLASSES: Final = {"class": tuple(Class)}
_REVIEWED: Final = ("campaign", "policy")


class StageMetrics:
    """When each stage of the orchestrator last finished something. Decisions and delivery share the metric."""

    def __init__(self, registry: Registry) -> None:
        description = "When a stage last finished something; 0 before"
        self._timestamps = gauge(registry, "stage_last_processed_timestamp_seconds", description, {"stage": STAGES})

    def record_progress(self, stage: str) -> None:
        """A stage has finished something."""
        self._timestamps(stage).set_to_current_time()


class IngestMetrics:
    """Events received over HTTP."""

    def __init__(self, registry: Registry) -> None:
        source = ("http",)
        self._events = counter(
            registry,
            "ingest_events_total",
            "Events received, by result of validation",
            {"source": source, "outcome": ("accepted", "duplicate", "id_reused", "invalid")},
        )
        self._age = histogram(
            registry,
            "ingest_event_age_seconds",
            "Age of an event at receipt (receipt minus event time)",
            {"source": source},
            buckets=SLOW_BUCKETS,
        )
        self._duplicates_prevented = duplicates_counter(registry, "ingest")

    def record_request(self, ages: Sequence[float], *, duplicates: int, reused: int, invalid: int) -> None:
        """Count the events of one request: the ages in seconds of the new ones, and the numbers of the others.

        `reused`: those with source and id of an event that has another content.
        """
        self._events("http", "accepted").inc(len(ages))
        self._events("http", "duplicate").inc(duplicates)
        self._events("http", "id_reused").inc(reused)
        self._events("http", "invalid").inc(invalid)
        self._duplicates_prevented("ingest").inc(duplicates + reused)
        for age in ages:
            self._age("http").observe(age)


class DecisionMetrics:
    """Decisions that have been committed, whichever part of the orchestrator made them."""

    def __init__(self, registry: Registry) -> None:
        self._stages = StageMetrics(registry)
        labels = {**MESSAGE_LABELS, "outcome": tuple(Outcome), "reason": tuple(Reason)}
        self._decisions = counter(
            registry, "decisions_total", "Decisions made, exactly one reason each", labels, combos=_reachable_labels()
        )
        checks = {"check": RULES, "mode": ("fail_closed", "fail_open")}
        self._check_errors = counter(registry, "policy_check_errors_total", "Rules that could not be evaluated", checks)
        caps = {"channel": CHANNELS, "rule": CAP_RULES}
        self._cap_hits = counter(registry, "cap_hits_total", "Messages stopped or deferred by a cap rule", caps)
        renders = {"channel": CHANNELS, "outcome": ("rendered", "failed"), "reason": ("none", *RENDER_CODES)}
        possible = [(channel, "rendered", "none") for channel in CHANNELS]
        possible += [(channel, "failed", code) for channel in CHANNELS for code in RENDER_CODES]
        self._renders = counter(registry, "renders_total", "Renderings, by result", renders, combos=possible)
        description = "Time to render one message"
        self._render_seconds = histogram(registry, "render_duration_seconds", description, {"channel": CHANNELS})
        self._duplicates_prevented = duplicates_counter(registry, "decide")
        outcomes = {"outcome": ("judged", "unwanted", "duplicate", "id_reused")}
        description = "Events read by the pipeline, by result"
        self._events = counter(registry, "pipeline_events_total", description, outcomes)
        description = "Time to decide the events of one batch"
        self._decision_seconds = histogram(registry, "decision_duration_seconds", description, _CLASSES)
        description = "Deferred messages that expired unsent"
        self._expirations = counter(registry, "deferred_expired_total", description, MESSAGE_LABELS)

    def record_batch(
        self,
        evaluations: Sequence[CustomerEvaluation],
        *,
        skipped: int,
        duplicates: int,
        reused: int,
        seconds: float,
        trace_id: str | None = None,
    ) -> None:
        """Count a committed batch of events; preparing it took `seconds`. `reused`: with the id of another event.
        `trace_id`: a trace of the batch that is recorded.
        """
        self._events("unwanted").inc(skipped)
        self._events("duplicate").inc(duplicates)
        self._events("id_reused").inc(reused)
        self._events("judged").inc(sum(len(evaluation.requests) for evaluation in evaluations))
        self._duplicates_prevented("decide").inc(duplicates + reused)
        self.count_decisions(evaluations)
        trace = _exemplar(evaluations) if trace_id is None else {"trace_id": trace_id}
        for cls in {decision.cls for evaluation in evaluations for decision in evaluation.decisions}:
            self._decision_seconds(cls).observe(seconds, trace)
        self._stages.record_progress("decide")

    def record_reevaluations(self, evaluations: Sequence[CustomerEvaluation]) -> None:
        """Count evaluations of waiting messages."""
        self.count_decisions(evaluations)
        for evaluation in evaluations:
            for decision in evaluation.decisions:
                if decision.reason in _EXPIRY_REASONS:
                    self._expirations(decision.channel, decision.cls).inc()
        self._stages.record_progress("schedule")

    def record_rendering(self, channel: str, seconds: float) -> None:
        """Observe the rendering of one message, whether it succeeded or failed."""
        self._render_seconds(channel).observe(seconds)

    def count_decisions(self, evaluations: Iterable[CustomerEvaluation]) -> None:
        """Count the decisions of committed evaluations."""
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for evaluation in evaluations:
            for decision in evaluation.decisions:
                counts[decision.channel, decision.cls, decision.outcome, decision.reason] += 1
                if decision.reason != Reason.ELIGIBLE:
                    self._count_stopped(decision)
                for verdict in decision.verdicts:
                    if verdict.verdict == "fail" or "fail_open" in verdict.evidence:
                        opened = bool(verdict.evidence.get("fail_open"))
                        self._check_errors(verdict.rule, "fail_open" if opened else "fail_closed").inc()
        for (channel, cls, outcome, reason), count in counts.items():
            self._decisions(channel, cls, outcome, reason).inc(count)
            if outcome == Outcome.SEND:
                self._renders(channel, "rendered", "none").inc(count)

    def _count_stopped(self, decision: Decision) -> None:
        if decision.reason in _CAP_RULE_BY_REASON:
            rules = (verdict.rule for verdict in decision.verdicts if verdict.reason == decision.reason)
            self._cap_hits(decision.channel, next(rules, _CAP_RULE_BY_REASON[decision.reason])).inc()
        elif decision.reason == Reason.RENDER_ERROR:
            code = decision.rule_id if decision.rule_id in RENDER_CODES else "other"
            self._renders(decision.channel, "failed", code or "other").inc()


@dataclass(frozen=True, slots=True)
class BacklogSizes:
    """How much waits, as read from the database. Instants in microseconds; what does not wait is absent."""

    deferred: Mapping[tuple[str, str], int]
    """By channel and reason."""
    overdue: Mapping[str, Instant]
    """When the oldest overdue deferred message was due, by channel."""
    due_soon: Mapping[str, int]
    """Deferred messages that come due within `SOON`, by channel."""
    queued: Mapping[str, int]
    """By channel."""
    oldest: Mapping[str, Instant]
    """When the oldest queued message became ready, by channel."""
    approvals: Mapping[str, int]
    """By kind."""


class BacklogMetrics:
    """How much waits and since when, and whether the catalogue in memory is current."""

    def __init__(self, registry: Registry) -> None:
        channel = {"channel": CHANNELS}
        reasons = {**channel, "reason": DEFERRED}
        self._deferred = gauge(registry, "deferred_messages", "Messages waiting for a later time", reasons)
        description = "Due time of the oldest overdue deferred message; 0 if none"
        self._deferred_due = gauge(registry, "deferred_due_timestamp_seconds", description, channel)
        description = "Deferred messages that are due within half an hour, retries apart"
        self._due_soon = gauge(registry, "deferred_due_soon_messages", description, channel)
        self._queued = gauge(registry, "delivery_queue_messages", "Messages ready and waiting for handover", channel)
        description = "Ready time of the oldest waiting message; 0 if none"
        self._oldest = gauge(registry, "delivery_queue_oldest_timestamp_seconds", description, channel)
        self._outbox_rows = gauge(registry, "outbox_pending_rows", "Rows awaiting publication")
        description = "Time of the oldest row awaiting publication; 0 if none"
        self._oldest_outbox_row = gauge(registry, "outbox_oldest_timestamp_seconds", description)
        self._approvals = gauge(registry, "approvals_pending", "Reviews waiting", {"kind": _REVIEWED})
        self._rules_loaded = rules_loaded_gauge(registry, "campaign", "rule", "template")

    def set_gauges(self, sizes: BacklogSizes) -> None:
        """Set all gauges."""
        for channel in CHANNELS:
            for reason in DEFERRED:
                self._deferred(channel, reason).set(sizes.deferred.get((channel, reason), 0))
            self._deferred_due(channel).set(sizes.overdue.get(channel, 0) / SECOND)
            self._due_soon(channel).set(sizes.due_soon.get(channel, 0))
            self._queued(channel).set(sizes.queued.get(channel, 0))
            self._oldest(channel).set(sizes.oldest.get(channel, 0) / SECOND)
        self._outbox_rows().set(sum(sizes.queued.values()))
        self._oldest_outbox_row().set(min(sizes.oldest.values(), default=0) / SECOND)
        for kind in _REVIEWED:
            self._approvals(kind).set(sizes.approvals.get(kind, 0))

    def record_catalogue_refresh(self) -> None:
        """The campaigns, the policy and the contents in memory are those of the database."""
        for kind in ("campaign", "rule", "template"):
            self._rules_loaded(kind).set_to_current_time()


def _exemplar(evaluations: Iterable[CustomerEvaluation]) -> dict[str, str] | None:
    """The trace id of one event of the batch, as an exemplar."""
    for evaluation in evaluations:
        for request in evaluation.requests:
            for triggered in request.triggered_campaigns:
                if triggered.event.traceparent:
                    return {"trace_id": parse_trace_id(triggered.event.traceparent)}
    return None


def _reachable_labels() -> list[tuple[str, ...]]:
    """The combinations of labels that can occur: each outcome has reasons of its own."""
    return [
        (channel, cls, outcome, reason)
        for channel in CHANNELS
        for cls in Class
        for outcome in Outcome
        for reason in reasons_with_outcome(outcome)
    ]
