"""What the orchestrator counts. Labels are closed; a customer, campaign or template is never one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.decision import Decision
from schemas.message import HandoverResult
from schemas.reasons import RULES, Reason, reasons_with_outcome, reasons_with_role
from schemas.rule_registry import RULE_REGISTRY, ReasonRole
from schemas.times import SECOND, Instant
from schemas.vocabulary import CHANNELS, Class, Outcome
from services.kit.observability.metrics import SLOW_BUCKETS, Registry, counter, gauge, histogram
from services.kit.observability.shared_series import duplicates_counter, rules_loaded_gauge
from services.kit.observability.trace import parse_trace_id
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions.evaluation import ClaimedMessage, CustomerEvaluation
from services.orchestrator.policy.rules.registry import AUDIT_INVARIANTS

ADAPTERS: Final = tuple(ADAPTER_REGISTRY.declarations)
ATTEMPT_OUTCOMES: Final = ("accepted", "throttled", "retryable", "permanent", "timeout", "unknown")
CAP_RULES: Final = tuple(rule.id for rule in RULE_REGISTRY.declarations.values() if rule.counts_as_cap)
_CAP_RULE_BY_REASON: Final = {
    reason.code: rule for rule in reversed(CAP_RULES) for reason in RULE_REGISTRY.declarations[rule].reasons
}
"""For each reason of a cap rule, the first rule that declares it."""
_EXPIRY_REASONS: Final = reasons_with_role(ReasonRole.EXPIRED)
STAGES: Final = ("decide", "schedule", "dispatch")
DEFERRED: Final = (*reasons_with_outcome(Outcome.DEFER), "retry")
"""Why a message waits: the reason of its last decision, or that its provider did not take it yet."""
RENDER_CODES: Final = (
    *("undefined", "too_large", "too_much_work", "wrong_type", "unsafe_html", "unsafe_link", "no_address"),
    *("bad_address", "too_long", "no_content", "empty", "control_character", "bad_mjml", "bad_style", "too_deep"),
    *("no_unsubscribe", "other"),
)
INVARIANTS: Final = (
    *dict.fromkeys(AUDIT_INVARIANTS.values()),
    *("duplicate_sent", "unapproved_sent", "unexplained_sent", "ledger_differs"),
)
_CLASSES = tuple(Class)
_MESSAGE_LABELS = {"channel": CHANNELS, "class": _CLASSES}
_ADAPTER_LABELS = {"channel": CHANNELS, "adapter": ADAPTERS}
_OUTCOME_LABELS = {"accepted": "accepted", "rejected": "permanent"}


class IngestMetrics:
    """Events at the HTTP door."""

    def __init__(self, registry: Registry) -> None:
        source = ("http",)
        self._events = counter(
            registry,
            "ingest_events_total",
            "Events received, by result of validation",
            {"source": source, "outcome": ("accepted", "duplicate", "invalid")},
        )
        self._age = histogram(
            registry,
            "ingest_event_age_seconds",
            "Age of an event at receipt (receipt minus event time)",
            {"source": source},
            buckets=SLOW_BUCKETS,
        )
        self._duplicates_prevented = duplicates_counter(registry, "ingest")

    def record_request(self, ages: Sequence[float], *, duplicates: int, invalid: int) -> None:
        """A request has been taken: the ages in seconds of the events that are new, and how many others it held."""
        self._events("http", "accepted").inc(len(ages))
        self._events("http", "duplicate").inc(duplicates)
        self._events("http", "invalid").inc(invalid)
        self._duplicates_prevented("ingest").inc(duplicates)
        for age in ages:
            self._age("http").observe(age)


class DecisionMetrics:
    """What was decided, and what stood in the way."""

    def __init__(self, registry: Registry) -> None:
        labels = {**_MESSAGE_LABELS, "outcome": tuple(Outcome), "reason": tuple(Reason)}
        self._decisions = counter(
            registry, "decisions_total", "Decisions made, exactly one reason each", labels, combos=_reachable_labels()
        )
        checks = {"check": RULES, "mode": ("fail_closed", "fail_open")}
        self._check_errors = counter(registry, "policy_check_errors_total", "Checks that could not be answered", checks)
        caps = {"channel": CHANNELS, "rule": CAP_RULES}
        self._cap_hits = counter(registry, "cap_hits_total", "Messages stopped or deferred by a cap rule", caps)
        renders = {"channel": CHANNELS, "outcome": ("rendered", "failed"), "reason": ("none", *RENDER_CODES)}
        possible = [(channel, "rendered", "none") for channel in CHANNELS]
        possible += [(channel, "failed", code) for channel in CHANNELS for code in RENDER_CODES]
        self._renders = counter(registry, "renders_total", "Renderings, by result", renders, combos=possible)

    def count_decisions(self, decisions: Iterable[Decision]) -> None:
        """Count decisions that have been committed."""
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for decision in decisions:
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
    """What waits, as the database says. Instants in microseconds; what does not wait is absent."""

    deferred: Mapping[tuple[str, str], int]
    """By channel and reason."""
    overdue: Mapping[str, Instant]
    """When the oldest overdue deferred message was due, by channel."""
    queued: Mapping[str, int]
    """By channel."""
    oldest: Mapping[str, Instant]
    """When the oldest queued message became ready, by channel."""
    approvals: Mapping[str, int]
    """By kind."""


class BacklogMetrics:
    """How much waits, and since when."""

    def __init__(self, registry: Registry) -> None:
        channel = {"channel": CHANNELS}
        reasons = {**channel, "reason": DEFERRED}
        self._deferred = gauge(registry, "deferred_messages", "Messages waiting for a later time", reasons)
        description = "Due time of the oldest overdue deferred message; 0 if none"
        self._deferred_due = gauge(registry, "deferred_due_timestamp_seconds", description, channel)
        self._queued = gauge(registry, "delivery_queue_messages", "Messages ready and waiting for hand-off", channel)
        description = "Ready time of the oldest waiting message; 0 if none"
        self._oldest = gauge(registry, "delivery_queue_oldest_timestamp_seconds", description, channel)
        self._outbox_rows = gauge(registry, "outbox_pending_rows", "Rows awaiting publication")
        description = "Time of the oldest row awaiting publication; 0 if none"
        self._oldest_outbox_row = gauge(registry, "outbox_oldest_timestamp_seconds", description)
        self._approvals = gauge(registry, "approvals_pending", "Reviews waiting", {"kind": ("campaign", "policy")})

    def set_gauges(self, sizes: BacklogSizes) -> None:
        """Set all gauges."""
        for channel in CHANNELS:
            for reason in DEFERRED:
                self._deferred(channel, reason).set(sizes.deferred.get((channel, reason), 0))
            self._deferred_due(channel).set(sizes.overdue.get(channel, 0) / SECOND)
            self._queued(channel).set(sizes.queued.get(channel, 0))
            self._oldest(channel).set(sizes.oldest.get(channel, 0) / SECOND)
        self._outbox_rows().set(sum(sizes.queued.values()))
        self._oldest_outbox_row().set(min(sizes.oldest.values(), default=0) / SECOND)
        for kind in ("campaign", "policy"):
            self._approvals(kind).set(sizes.approvals.get(kind, 0))


class OrchestratorMetrics:
    """Stage by stage: what came in, what was decided, what was handed over, when each stage last moved."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._clock = clock
        self.ingest = IngestMetrics(registry)
        self.backlog = BacklogMetrics(registry)
        self._decisions = DecisionMetrics(registry)
        self._duplicates_prevented = duplicates_counter(registry, "decide")
        outcomes = {"outcome": ("judged", "unwanted", "duplicate")}
        description = "Events that the pipeline has read, by what became of them"
        self._events = counter(registry, "pipeline_events_total", description, outcomes)
        description = "Time to decide the events of one batch"
        self._decision_seconds = histogram(registry, "decision_duration_seconds", description, {"class": _CLASSES})
        description = "Deferred messages that expired unsent"
        self._expirations = counter(registry, "deferred_expired_total", description, _MESSAGE_LABELS)
        description = "Messages released because their hold was lifted, or ended by itself"
        self._hold_releases = counter(registry, "hold_released_total", description, {"way": ("lifted", "ended")})
        description = "Time to render one message"
        self._render_seconds = histogram(registry, "render_duration_seconds", description, {"channel": CHANNELS})
        description = "Messages that the gate took back after their mark"
        self._recheck_refusals = counter(registry, "gate_refusals_total", description, _MESSAGE_LABELS)
        self._attempts = counter(
            registry, "delivery_attempts_total", "Hand-off attempts", {**_ADAPTER_LABELS, "outcome": ATTEMPT_OUTCOMES}
        )
        description = "Time of one batch of hand-offs"
        self._attempt_seconds = histogram(registry, "delivery_attempt_duration_seconds", description, _ADAPTER_LABELS)
        description = "Ready to accepted hand-off, intentional deferral excluded"
        self._handover_latency = histogram(
            registry, "event_to_handover_seconds", description, _MESSAGE_LABELS, buckets=SLOW_BUCKETS
        )
        description = "When a stage last finished something; 0 before"
        self._stage_timestamps = gauge(
            registry, "stage_last_processed_timestamp_seconds", description, {"stage": STAGES}
        )
        self._rules_loaded = rules_loaded_gauge(registry, "campaign", "rule", "template")
        description = "Broken promises found by the auditor; must stay 0"
        self.violations = counter(registry, "invariant_violations_total", description, {"invariant": INVARIANTS})

    def record_batch(
        self, evaluations: Sequence[CustomerEvaluation], *, skipped: int, duplicates: int, seconds: float
    ) -> None:
        """A batch of events has been committed; preparing it took `seconds`."""
        self._events("unwanted").inc(skipped)
        self._events("duplicate").inc(duplicates)
        self._events("judged").inc(sum(len(evaluation.requests) for evaluation in evaluations))
        self._duplicates_prevented("decide").inc(duplicates)
        self._count_decisions(evaluations)
        trace = _exemplar(evaluations)
        for cls in {decision.cls for evaluation in evaluations for decision in evaluation.decisions}:
            self._decision_seconds(cls).observe(seconds, trace)
        self._stage_timestamps("decide").set_to_current_time()

    def record_reevaluations(self, evaluations: Sequence[CustomerEvaluation]) -> None:
        """Waiting messages have been judged."""
        self._count_decisions(evaluations)
        for evaluation in evaluations:
            for decision in evaluation.decisions:
                if decision.reason in _EXPIRY_REASONS:
                    self._expirations(decision.channel, decision.cls).inc()
        self._stage_timestamps("schedule").set_to_current_time()

    def record_releases(self, way: str, count: int) -> None:
        """Messages that a hold kept back have been given their turns."""
        self._hold_releases(way).inc(count)

    def record_refusals(self, evaluations: Sequence[CustomerEvaluation]) -> None:
        """The gate has taken messages back."""
        self._count_decisions(evaluations)
        for evaluation in evaluations:
            for request in evaluation.requests:
                for triggered in request.triggered_campaigns:
                    for channel in triggered.channels[:1]:
                        self._recheck_refusals(channel, triggered.campaign.cls).inc()

    def _count_decisions(self, evaluations: Iterable[CustomerEvaluation]) -> None:
        self._decisions.count_decisions(decision for evaluation in evaluations for decision in evaluation.decisions)

    def record_rendering(self, channel: str, seconds: float) -> None:
        """A message has been rendered, or could not be."""
        self._render_seconds(channel).observe(seconds)

    def record_handovers(
        self,
        channel: str,
        adapter: str,
        claimed_messages: Sequence[ClaimedMessage],
        results: Sequence[HandoverResult],
        seconds: float,
    ) -> None:
        """An adapter has answered for a batch."""
        now = self._clock.now()
        claimed_by_id = {item.message.id: item for item in claimed_messages}
        for end, count in Counter(map(_attempt_outcome, results)).items():
            self._attempts(channel, adapter, end).inc(count)
        for item in results:
            found = claimed_by_id.get(item.message_id)
            if item.outcome == "accepted" and found is not None:
                self._handover_latency(channel, found.message.cls).observe(max(now - found.ready_at, 0) / SECOND)
        self._attempt_seconds(channel, adapter).observe(seconds)
        self._stage_timestamps("dispatch").set_to_current_time()

    def record_catalogue_refresh(self) -> None:
        """The campaigns, the policy and the contents in memory are those of the database."""
        for kind in ("campaign", "rule", "template"):
            self._rules_loaded(kind).set_to_current_time()


def _attempt_outcome(results: HandoverResult) -> str:
    if results.outcome == "retry":
        return "retryable" if results.retry_after is None else "throttled"
    if results.outcome == "unknown":
        return "timeout" if "Timeout" in (results.detail or "") else "unknown"
    return _OUTCOME_LABELS[results.outcome]


def _exemplar(evaluations: Iterable[CustomerEvaluation]) -> dict[str, str] | None:
    """The trace of one event of the batch, as an exemplar."""
    for evaluation in evaluations:
        for request in evaluation.requests:
            for triggered in request.triggered_campaigns:
                if triggered.event.traceparent:
                    return {"trace_id": parse_trace_id(triggered.event.traceparent)}
    return None


def _reachable_labels() -> list[tuple[str, ...]]:
    return [
        (channel, cls, outcome, reason)
        for channel in CHANNELS
        for cls in _CLASSES
        for outcome in Outcome
        for reason in reasons_with_outcome(outcome)
    ]
