"""Metrics of the preference service. The label sets are closed."""

from services.kit.observability.metrics import Registry, counter
from services.kit.observability.shared_series import duplicates_counter, optout_histogram, quarantines_counter

SOURCES = ("event", "api", "unsubscribe", "confirmation", "centre")
ACTIONS = ("changed", "opted_out", "unchanged", "duplicate", "conflict", "erased")


class PreferenceMetrics:
    """`changes` by source and action; `enforcement_seconds`: from the arrival of an opt-out until it is in force."""

    def __init__(self, registry: Registry) -> None:
        self.changes = counter(
            registry,
            "preference_changes_total",
            "Consent and preference changes",
            {"source": SOURCES, "action": ACTIONS},
        )
        self.enforcement_seconds = optout_histogram(registry, "api", "unsubscribe", "centre")
        self._duplicates = duplicates_counter(registry, "preference")
        self._quarantines = quarantines_counter(registry, "preference")

    def count_log_events(self, action: str, count: int) -> None:
        """Count events of the log after their transaction has committed."""
        self.changes("event", action).inc(count)
        if action == "duplicate":
            self._duplicates("preference").inc(count)

    def count_quarantines(self, change: str, count: int) -> None:
        """Count quarantines that have begun or ended."""
        self._quarantines("preference", change).inc(count)
