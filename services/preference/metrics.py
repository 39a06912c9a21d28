"""What this service counts. Labels are closed."""

from services.kit.metrics import Registry, counter, histogram

SOURCES = ("event", "api", "unsubscribe")
ACTIONS = ("changed", "opted_out", "unchanged", "duplicate", "conflict", "blocked")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """`changes` by source and action; `enforced`: seconds from an opt-out's arrival to its effect."""

    def __init__(self, registry: Registry) -> None:
        self.changes = counter(
            registry,
            "preference_changes_total",
            "Consent and preference changes",
            {"source": SOURCES, "action": ACTIONS},
        )
        self.enforced = histogram(
            registry,
            "optout_enforced_seconds",
            "Time from an opt-out's arrival until no message it covers can be handed over",
            {"source": ("api", "unsubscribe")},
            buckets=_SECONDS,
        )
