"""What the orchestrator counts. Labels are closed; a customer, campaign or template is never one."""

from collections.abc import Iterable, Sequence

from schemas.message import Handed
from schemas.times import SECOND, Instant
from schemas.vocabulary import CHANNELS, Class, Outcome, Reason
from services.kit.clock import Clock
from services.kit.metrics import SLOW, Registry, counter, gauge, histogram
from services.orchestrator.delivery.mark import Marked
from services.orchestrator.judging import Work

ADAPTERS = ("sandbox", "webhook", "null")
ATTEMPTS = ("accepted", "rejected", "retry", "unknown")
_CLASSES = tuple(Class)
_OUTCOMES = tuple(Outcome)


class Metrics:
    """Stage by stage: what came in, what was decided, what was handed over, when each stage last moved."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._clock = clock
        by_kind = {"channel": CHANNELS, "class": _CLASSES}
        self._events = counter(
            registry,
            "pipeline_events_total",
            "Events that the pipeline has read, by what became of them",
            {"outcome": ("judged", "unwanted", "duplicate")},
        )
        self._decisions = counter(
            registry,
            "decisions_total",
            "Decisions made, exactly one reason each",
            {**by_kind, "outcome": _OUTCOMES, "reason": tuple(Reason)},
            combos=_possible(),
        )
        self._errors = counter(
            registry,
            "policy_check_errors_total",
            "Checks that could not be answered",
            {"mode": ("fail_closed", "fail_open")},
        )
        self._renders = counter(
            registry,
            "renders_total",
            "Renderings, by result",
            {"channel": CHANNELS, "outcome": ("rendered", "failed")},
        )
        self._attempts = counter(
            registry,
            "delivery_attempts_total",
            "Handover attempts",
            {"channel": CHANNELS, "adapter": ADAPTERS, "outcome": ATTEMPTS},
        )
        self._seconds = histogram(
            registry,
            "delivery_attempt_duration_seconds",
            "Time of one batch of handovers",
            {"channel": CHANNELS, "adapter": ADAPTERS},
        )
        self._handover = histogram(
            registry,
            "event_to_handover_seconds",
            "Decision to accepted handover",
            by_kind,
            buckets=SLOW,
        )
        self._stopped = counter(
            registry,
            "gate_refusals_total",
            "Messages that the gate took back after their mark",
            by_kind,
        )
        self._moved = gauge(
            registry,
            "stage_last_processed_timestamp_seconds",
            "When a stage last finished something",
            {"stage": ("decide", "schedule", "dispatch")},
        )
        self._deferred = gauge(
            registry, "deferred_messages", "Messages waiting for a later time", {"channel": CHANNELS}
        )
        self._queue = gauge(
            registry, "delivery_queue_messages", "Messages ready and waiting for handover", {"channel": CHANNELS}
        )
        self._due = gauge(
            registry, "deferred_due_timestamp_seconds", "Due time of the oldest overdue deferred message; 0 if none"
        )
        self.violations = counter(
            registry,
            "invariant_violations_total",
            "Broken promises found by the auditor; must stay 0",
            {
                "invariant": ("over_cap", "in_quiet_hours", "suppressed_sent", "held_sent", "duplicate_sent")
                + ("unapproved_sent",)
            },
        )

    def batch(self, works: Sequence[Work], *, skipped: int, duplicates: int) -> None:
        """A batch of events has been committed."""
        self._events("unwanted").inc(skipped)
        self._events("duplicate").inc(duplicates)
        self._events("judged").inc(sum(len(work.questions) for work in works))
        self._judged(works)
        self._moved("decide").set_to_current_time()

    def judged_again(self, works: Sequence[Work]) -> None:
        """Waiting messages have been judged."""
        self._judged(works)
        self._moved("schedule").set_to_current_time()

    def refused(self, works: Sequence[Work]) -> None:
        """The gate has taken messages back."""
        self._judged(works)
        for work in works:
            for question in work.questions:
                for touch in question.touches:
                    for channel in touch.channels[:1]:
                        self._stopped(channel, touch.campaign.cls).inc()

    def _judged(self, works: Iterable[Work]) -> None:
        for work in works:
            for decision in work.decisions:
                self._decisions(decision.channel, decision.cls, decision.outcome, decision.reason).inc()
                if decision.reason == Reason.POLICY_UNAVAILABLE:
                    self._errors("fail_closed").inc()
                elif decision.outcome == Outcome.SEND:
                    self._renders(decision.channel, "rendered").inc()
                    if any(verdict.evidence.get("fail_open") for verdict in decision.verdicts):
                        self._errors("fail_open").inc()
                elif decision.reason == Reason.RENDER_ERROR:
                    self._renders(decision.channel, "failed").inc()

    def handed(
        self, channel: str, adapter: str, going: Sequence[Marked], handed: Sequence[Handed], seconds: float
    ) -> None:
        """An adapter has answered for a batch."""
        now = self._clock.now()
        marked = {item.message_id: item for item in going}
        for item in handed:
            self._attempts(channel, adapter, item.outcome).inc()
            found = marked.get(item.message_id)
            if item.outcome == "accepted" and found is not None and found.since is not None:
                self._handover(channel, found.cls).observe(max(now - found.since, 0) / SECOND)
        self._seconds(channel, adapter).observe(seconds)
        self._moved("dispatch").set_to_current_time()

    def waiting(self, deferred: dict[str, int], queued: dict[str, int], overdue: Instant | None) -> None:
        """How much waits, as the database says."""
        for channel in CHANNELS:
            self._deferred(channel).set(deferred.get(channel, 0))
            self._queue(channel).set(queued.get(channel, 0))
        self._due().set(0 if overdue is None else overdue / SECOND)


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
