"""What this service counts. Labels are closed."""

from services.kit.observability.metrics import Registry, counter
from services.kit.observability.shared_series import duplicates_prevented, optout_enforced

SOURCES = ("event", "api", "unsubscribe")
ACTIONS = ("changed", "opted_out", "unchanged", "duplicate", "conflict", "blocked")


class Metrics:
    """`changes` by source and action; `enforced`: seconds from an opt-out's arrival to its effect."""

    def __init__(self, registry: Registry) -> None:
        self.changes = counter(
            registry,
            "preference_changes_total",
            "Consent and preference changes",
            {"source": SOURCES, "action": ACTIONS},
        )
        self.enforced = optout_enforced(registry, "api", "unsubscribe")
        self._prevented = duplicates_prevented(registry, "preference")

    def from_log(self, action: str, count: int) -> None:
        """What became of events of the log that have been committed."""
        self.changes("event", action).inc(count)
        if action == "duplicate":
            self._prevented("preference").inc(count)
