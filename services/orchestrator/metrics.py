"""What the orchestrator counts. Labels are closed; a customer, campaign or template is never one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.decision import Decision
from schemas.message import Handed
from schemas.times import SECOND, Instant
from schemas.vocabulary import CHANNELS, RULES, Class, Outcome, Reason
from services.kit.observability.metrics import SLOW, Registry, counter, gauge, histogram
from services.kit.observability.shared_series import duplicates_prevented, rules_loaded
from services.kit.observability.trace import trace_of
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions.evaluation import Work
from services.orchestrator.delivery.claim import Marked

ADAPTERS: Final = ("sandbox", "webhook", "null")
ENDS: Final = ("accepted", "throttled", "retryable", "permanent", "timeout", "unknown")
CAPS: Final = ("frequency_cap", "min_gap")
STAGES: Final = ("decide", "schedule", "dispatch")
DEFERRED: Final = ("quiet_hours", "cap_window", "incident_hold", "contact_history", "retry")
"""Why a message waits: the reason of its last decision, or that its provider did not take it yet."""
RENDER_CODES: Final = (
    *("undefined", "too_large", "too_much_work", "wrong_type", "unsafe_html", "unsafe_link", "no_address"),
    *("bad_address", "too_long", "no_content", "empty", "control_character", "bad_mjml", "bad_style", "too_deep"),
    *("no_unsubscribe", "other"),
)
INVARIANTS: Final = (
    *("over_cap", "in_quiet_hours", "suppressed_sent", "held_sent", "duplicate_sent", "unapproved_sent"),
    *("unexplained_sent", "ledger_differs"),
)
_CLASSES = tuple(Class)
_KIND = {"channel": CHANNELS, "class": _CLASSES}
_WAY = {"channel": CHANNELS, "adapter": ADAPTERS}
_ENDS = {"accepted": "accepted", "rejected": "permanent"}


class Intake:
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
            buckets=SLOW,
        )
        self._prevented = duplicates_prevented(registry, "ingest")

    def received(self, ages: Sequence[float], *, duplicates: int, invalid: int) -> None:
        """A request has been taken: the ages in seconds of the events that are new, and how many others it held."""
        self._events("http", "accepted").inc(len(ages))
        self._events("http", "duplicate").inc(duplicates)
        self._events("http", "invalid").inc(invalid)
        self._prevented("ingest").inc(duplicates)
        for age in ages:
            self._age("http").observe(age)


class Decisions:
    """What was decided, and what stood in the way."""

    def __init__(self, registry: Registry) -> None:
        labels = {**_KIND, "outcome": tuple(Outcome), "reason": tuple(Reason)}
        self._made = counter(
            registry, "decisions_total", "Decisions made, exactly one reason each", labels, combos=_possible()
        )
        checks = {"check": RULES, "mode": ("fail_closed", "fail_open")}
        self._errors = counter(registry, "policy_check_errors_total", "Checks that could not be answered", checks)
        caps = {"channel": CHANNELS, "rule": CAPS}
        self._caps = counter(registry, "cap_hits_total", "Messages stopped or deferred by a cap rule", caps)
        renders = {"channel": CHANNELS, "outcome": ("rendered", "failed"), "reason": ("none", *RENDER_CODES)}
        possible = [(channel, "rendered", "none") for channel in CHANNELS]
        possible += [(channel, "failed", code) for channel in CHANNELS for code in RENDER_CODES]
        self._renders = counter(registry, "renders_total", "Renderings, by result", renders, combos=possible)

    def made(self, decisions: Iterable[Decision]) -> None:
        """Count decisions that have been committed."""
        made: Counter[tuple[str, str, str, str]] = Counter()
        for decision in decisions:
            made[decision.channel, decision.cls, decision.outcome, decision.reason] += 1
            if decision.reason != Reason.ELIGIBLE:
                self._stopped(decision)
            for verdict in decision.verdicts:
                if verdict.verdict == "fail" or "fail_open" in verdict.evidence:
                    opened = bool(verdict.evidence.get("fail_open"))
                    self._errors(verdict.rule, "fail_open" if opened else "fail_closed").inc()
        for (channel, cls, outcome, reason), count in made.items():
            self._made(channel, cls, outcome, reason).inc(count)
            if outcome == Outcome.SEND:
                self._renders(channel, "rendered", "none").inc(count)

    def _stopped(self, decision: Decision) -> None:
        if decision.reason in (Reason.FREQUENCY_CAP, Reason.CAP_WINDOW):
            rules = (verdict.rule for verdict in decision.verdicts if verdict.reason == decision.reason)
            self._caps(decision.channel, next(rules, "frequency_cap")).inc()
        elif decision.reason == Reason.RENDER_ERROR:
            code = decision.rule_id if decision.rule_id in RENDER_CODES else "other"
            self._renders(decision.channel, "failed", code or "other").inc()


@dataclass(frozen=True, slots=True)
class Waits:
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


class Backlog:
    """How much waits, and since when."""

    def __init__(self, registry: Registry) -> None:
        channel = {"channel": CHANNELS}
        reasons = {**channel, "reason": DEFERRED}
        self._deferred = gauge(registry, "deferred_messages", "Messages waiting for a later time", reasons)
        words = "Due time of the oldest overdue deferred message; 0 if none"
        self._due = gauge(registry, "deferred_due_timestamp_seconds", words, channel)
        self._queue = gauge(registry, "delivery_queue_messages", "Messages ready and waiting for hand-off", channel)
        words = "Ready time of the oldest waiting message; 0 if none"
        self._oldest = gauge(registry, "delivery_queue_oldest_timestamp_seconds", words, channel)
        self._rows = gauge(registry, "outbox_pending_rows", "Rows awaiting publication")
        words = "Time of the oldest row awaiting publication; 0 if none"
        self._row = gauge(registry, "outbox_oldest_timestamp_seconds", words)
        self._approvals = gauge(registry, "approvals_pending", "Reviews waiting", {"kind": ("campaign", "policy")})

    def show(self, waits: Waits) -> None:
        """Set all gauges."""
        for channel in CHANNELS:
            for reason in DEFERRED:
                self._deferred(channel, reason).set(waits.deferred.get((channel, reason), 0))
            self._due(channel).set(waits.overdue.get(channel, 0) / SECOND)
            self._queue(channel).set(waits.queued.get(channel, 0))
            self._oldest(channel).set(waits.oldest.get(channel, 0) / SECOND)
        self._rows().set(sum(waits.queued.values()))
        self._row().set(min(waits.oldest.values(), default=0) / SECOND)
        for kind in ("campaign", "policy"):
            self._approvals(kind).set(waits.approvals.get(kind, 0))


class Metrics:
    """Stage by stage: what came in, what was decided, what was handed over, when each stage last moved."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._clock = clock
        self.intake = Intake(registry)
        self.backlog = Backlog(registry)
        self._decisions = Decisions(registry)
        self._prevented = duplicates_prevented(registry, "decide")
        outcomes = {"outcome": ("judged", "unwanted", "duplicate")}
        words = "Events that the pipeline has read, by what became of them"
        self._events = counter(registry, "pipeline_events_total", words, outcomes)
        words = "Time to decide the events of one batch"
        self._decided = histogram(registry, "decision_duration_seconds", words, {"class": _CLASSES})
        words = "Deferred messages that expired unsent"
        self._expired = counter(registry, "deferred_expired_total", words, _KIND)
        words = "Messages released because their hold was lifted, or ended by itself"
        self._released = counter(registry, "hold_released_total", words, {"way": ("lifted", "ended")})
        words = "Time to render one message"
        self._rendered = histogram(registry, "render_duration_seconds", words, {"channel": CHANNELS})
        words = "Messages that the gate took back after their mark"
        self._refused = counter(registry, "gate_refusals_total", words, _KIND)
        self._attempts = counter(registry, "delivery_attempts_total", "Hand-off attempts", {**_WAY, "outcome": ENDS})
        words = "Time of one batch of hand-offs"
        self._seconds = histogram(registry, "delivery_attempt_duration_seconds", words, _WAY)
        words = "Ready to accepted hand-off, intentional deferral excluded"
        self._handover = histogram(registry, "event_to_handover_seconds", words, _KIND, buckets=SLOW)
        words = "When a stage last finished something; 0 before"
        self._moved = gauge(registry, "stage_last_processed_timestamp_seconds", words, {"stage": STAGES})
        self._loaded = rules_loaded(registry, "campaign", "rule", "template")
        words = "Broken promises found by the auditor; must stay 0"
        self.violations = counter(registry, "invariant_violations_total", words, {"invariant": INVARIANTS})

    def batch(self, works: Sequence[Work], *, skipped: int, duplicates: int, seconds: float) -> None:
        """A batch of events has been committed; preparing it took `seconds`."""
        self._events("unwanted").inc(skipped)
        self._events("duplicate").inc(duplicates)
        self._events("judged").inc(sum(len(work.questions) for work in works))
        self._prevented("decide").inc(duplicates)
        self._judged(works)
        trace = _trace(works)
        for cls in {decision.cls for work in works for decision in work.decisions}:
            self._decided(cls).observe(seconds, trace)
        self._moved("decide").set_to_current_time()

    def judged_again(self, works: Sequence[Work]) -> None:
        """Waiting messages have been judged."""
        self._judged(works)
        for work in works:
            for decision in work.decisions:
                if decision.reason == Reason.EXPIRED:
                    self._expired(decision.channel, decision.cls).inc()
        self._moved("schedule").set_to_current_time()

    def released(self, way: str, count: int) -> None:
        """Messages that a hold kept back have been given their turns."""
        self._released(way).inc(count)

    def refused(self, works: Sequence[Work]) -> None:
        """The gate has taken messages back."""
        self._judged(works)
        for work in works:
            for question in work.questions:
                for touch in question.touches:
                    for channel in touch.channels[:1]:
                        self._refused(channel, touch.campaign.cls).inc()

    def _judged(self, works: Iterable[Work]) -> None:
        self._decisions.made(decision for work in works for decision in work.decisions)

    def rendered(self, channel: str, seconds: float) -> None:
        """A message has been rendered, or could not be."""
        self._rendered(channel).observe(seconds)

    def handed(
        self, channel: str, adapter: str, going: Sequence[Marked], handed: Sequence[Handed], seconds: float
    ) -> None:
        """An adapter has answered for a batch."""
        now = self._clock.now()
        marked = {item.message_id: item for item in going}
        for end, count in Counter(map(_end, handed)).items():
            self._attempts(channel, adapter, end).inc(count)
        for item in handed:
            found = marked.get(item.message_id)
            if item.outcome == "accepted" and found is not None:
                self._handover(channel, found.cls).observe(max(now - found.ready, 0) / SECOND)
        self._seconds(channel, adapter).observe(seconds)
        self._moved("dispatch").set_to_current_time()

    def snapshot_is_current(self) -> None:
        """The campaigns, the policy and the contents in memory are those of the database."""
        for kind in ("campaign", "rule", "template"):
            self._loaded(kind).set_to_current_time()


def _end(handed: Handed) -> str:
    if handed.outcome == "retry":
        return "retryable" if handed.retry_after is None else "throttled"
    if handed.outcome == "unknown":
        return "timeout" if "Timeout" in (handed.detail or "") else "unknown"
    return _ENDS[handed.outcome]


def _trace(works: Iterable[Work]) -> dict[str, str] | None:
    """The trace of one event of the batch, as an exemplar."""
    for work in works:
        for question in work.questions:
            for touch in question.touches:
                if touch.event.traceparent:
                    return {"trace_id": trace_of(touch.event.traceparent)}
    return None


_REASONS = {
    Outcome.SEND: (Reason.ELIGIBLE,),
    Outcome.DEFER: (Reason.QUIET_HOURS, Reason.CAP_WINDOW, Reason.INCIDENT_HOLD, Reason.CONTACT_HISTORY),
    Outcome.FAIL: (
        *(Reason.RENDER_ERROR, Reason.POLICY_UNAVAILABLE, Reason.PROVIDER_REJECTED, Reason.PROVIDER_EXHAUSTED),
    ),
    Outcome.SUPPRESS: (
        *(Reason.CAMPAIGN_INACTIVE, Reason.NOT_IN_AUDIENCE, Reason.DUPLICATE, Reason.EXPIRED, Reason.NO_ADDRESS),
        *(Reason.SUPPRESSION_LIST, Reason.NO_CONSENT, Reason.OPTED_OUT_ALL, Reason.OPTED_OUT_CLASS),
        *(Reason.OPTED_OUT_CHANNEL, Reason.OPTED_OUT_TOPIC, Reason.PAUSED, Reason.CONTACT_HISTORY),
        *(Reason.HOLD_DROP, Reason.FREQUENCY_CAP, Reason.LOWER_PRIORITY, Reason.HOLDOUT),
        *(Reason.CHANNEL_NOT_CONFIGURED, Reason.OTHER_CHANNEL),
    ),
}


def _possible() -> list[tuple[str, ...]]:
    return [
        (channel, cls, outcome, reason)
        for channel in CHANNELS
        for cls in _CLASSES
        for outcome, reasons in _REASONS.items()
        for reason in reasons
    ]
