"""Prometheus metrics of shadow versions. Label sets are closed; a campaign is never a label."""

from collections import Counter

from schemas.vocabulary import CHANNELS, Outcome
from services.kit.observability.metrics import Registry, counter
from services.orchestrator.insight.shadow.observations import NO_DECISION, SKIP_CAUSES, ShadowObservations

_AGREES = {True: "yes", False: "no", None: "unknown"}


class ShadowMetrics:
    """Counts shadow decisions, their agreement with the live ones, and skipped events."""

    def __init__(self, registry: Registry) -> None:
        labels = {"channel": CHANNELS, "outcome": (*Outcome, NO_DECISION), "agrees": tuple(_AGREES.values())}
        help_text = "Decisions of versions in shadow, by whether the live version has the same outcome"
        self._decisions = counter(registry, "shadow_decisions_total", help_text, labels)
        help_text = "Events that a version in shadow was not evaluated on, by cause"
        self._skipped = counter(registry, "shadow_skipped_total", help_text, {"cause": SKIP_CAUSES})

    def count_committed(self, observations: ShadowObservations) -> None:
        """Counts observations whose transaction has committed."""
        if observations.failure is not None:
            self._skipped(observations.failure).inc(observations.event_count)
            return
        decision_counts = Counter(
            (observation.any_decision.channel, observation.outcome, _AGREES[observation.agrees])
            for observation in observations.observations
        )
        for values, count in decision_counts.items():
            self._decisions(*values).inc(count)
        for (_, cause), events in observations.skipped.items():
            self._skipped(cause).inc(events)
