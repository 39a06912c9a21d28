"""Metrics of delivery: attempts, their durations, and messages that a recheck took back. Label sets are closed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.channel_registry import CHANNEL_REGISTRY, STAGES
from schemas.message import HANDOVER_FAULTS, HandoverResult
from schemas.times import SECOND
from schemas.vocabulary import CHANNELS
from services.kit.observability.metrics import SLOW_BUCKETS, Registry, counter, gauge, histogram
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions.evaluation import ClaimedMessage, CustomerEvaluation
from services.orchestrator.decisions.metrics import MESSAGE_LABELS, StageMetrics

QUEUE_CAUSES: Final = ("rate", "throttled", "stalled", "failing", "account")
"""Why an adapter gets nothing now, or no more; in order of gravity."""
ATTEMPT_OUTCOMES: Final = ("accepted", "throttled", "retryable", "permanent", "timeout", "unknown", "trial")
_OUTCOME_LABELS = {"accepted": "accepted", "rejected": "permanent"}


class DeliveryMetrics:
    """Attempts to hand messages over, the health of adapters, and refusals by rechecks. `adapters`: all names."""

    def __init__(self, registry: Registry, clock: Clock, adapters: Sequence[str]) -> None:
        self._clock, self._adapters = clock, tuple(adapters)
        by_adapter = {"channel": CHANNELS, "adapter": tuple(adapters)}
        self._stages = StageMetrics(registry)
        description = "Messages that the recheck stopped after their claim"
        self._recheck_refusals = counter(registry, "gate_refusals_total", description, MESSAGE_LABELS)
        self._attempts = counter(
            registry, "delivery_attempts_total", "Handover attempts", {**by_adapter, "outcome": ATTEMPT_OUTCOMES}
        )
        self._faults = counter(
            registry,
            "delivery_faults_total",
            "Attempts that were refused, where it is known what was wrong",
            {**by_adapter, "fault": HANDOVER_FAULTS},
        )
        description = "Messages that providers have accepted, by the stage of communication of their channel"
        self._contacts = counter(registry, "contacts_total", description, {"stage": STAGES})
        description = "Duration of one batch of handovers"
        self._attempt_seconds = histogram(registry, "delivery_attempt_duration_seconds", description, by_adapter)
        description = "1 while an adapter gets nothing from this process because it fails or its account is refused"
        self._circuit_open = gauge(registry, "adapter_circuit_open", description, {"adapter": tuple(adapters)})
        description = "Retries that were due and wait longer, because an adapter has had its budget of retries"
        by_name = {"adapter": tuple(adapters)}
        self._postponed = counter(registry, "delivery_retries_postponed_total", description, by_name)
        description = "Messages that are ready and wait for an adapter that gets nothing, or no more than its rate"
        causes = {**by_name, "cause": QUEUE_CAUSES}
        self._provider_waits = gauge(registry, "provider_throttle_messages", description, causes)
        description = "Entries of the list of the only recipients of an adapter in trial mode; 0 outside trial mode"
        self._trial = gauge(registry, "adapter_trial_recipients", description, {"adapter": tuple(adapters)})
        description = "Time from ready to accepted by the provider, intended deferral excluded"
        self._handover_latency = histogram(
            registry, "event_to_handover_seconds", description, MESSAGE_LABELS, buckets=SLOW_BUCKETS
        )

    def record_refusals(self, evaluations: Sequence[CustomerEvaluation]) -> None:
        """Count messages that a recheck has taken back."""
        for evaluation in evaluations:
            for request in evaluation.requests:
                for triggered in request.triggered_campaigns:
                    for channel in triggered.channels[:1]:
                        self._recheck_refusals(channel, triggered.campaign.cls).inc()

    def record_circuit(self, adapter: str, is_open: bool) -> None:
        """Note whether an adapter gets messages. Its series begins when this process has used it."""
        self._circuit_open(adapter).set(int(is_open))

    def count_postponed(self, adapter: str, count: int) -> None:
        """Count retries beyond the budget. An adapter that the settings do not name any more has no series."""
        if adapter in self._adapters:
            self._postponed(adapter).inc(count)

    def set_provider_waits(self, waits: Mapping[str, tuple[str, int]]) -> None:
        """Set, for each adapter that messages wait for, the cause and how many wait; for all others that none do."""
        for adapter in self._adapters:
            found, count = waits.get(adapter, ("", 0))
            for cause in QUEUE_CAUSES:
                self._provider_waits(adapter, cause).set(count if cause == found else 0)

    def record_trial(self, adapter: str, recipients: int) -> None:
        """Note that an adapter is in trial mode, with so many entries on its list."""
        self._trial(adapter).set(recipients)

    def record_handovers(
        self,
        channel: str,
        adapter: str,
        claimed_messages: Sequence[ClaimedMessage],
        results: Sequence[HandoverResult],
        seconds: float,
    ) -> None:
        """Count an adapter's results for a batch, which took `seconds`."""
        now = self._clock.now()
        claimed_by_id = {item.message.id: item for item in claimed_messages}
        self.record_outcomes(channel, adapter, results)
        if accepted := sum(result.outcome == "accepted" for result in results):
            self._contacts(CHANNEL_REGISTRY.declarations[channel].stage).inc(accepted)
        for result in results:
            item = claimed_by_id.get(result.message_id)
            if result.outcome == "accepted" and item is not None:
                self._handover_latency(channel, item.message.cls).observe(max(now - item.ready_at, 0) / SECOND)
        self._attempt_seconds(channel, adapter).observe(seconds)
        self._stages.record_progress("dispatch")

    def record_outcomes(self, channel: str, adapter: str, results: Sequence[HandoverResult]) -> None:
        """Count how attempts ended, also those about which no provider was asked."""
        for outcome, count in Counter(map(_attempt_outcome, results)).items():
            self._attempts(channel, adapter, outcome).inc(count)
        for fault, count in Counter(result.fault for result in results if result.fault is not None).items():
            self._faults(channel, adapter, fault).inc(count)


def _attempt_outcome(result: HandoverResult) -> str:
    if result.outcome == "retry":
        return "retryable" if result.retry_after is None else "throttled"
    if result.outcome == "unknown":
        return "timeout" if "Timeout" in (result.detail or "") else "unknown"
    return "trial" if result.fault == "trial" else _OUTCOME_LABELS[result.outcome]
