"""All metrics of this service."""

from schemas.vocabulary import SuppressionReason
from services.kit.metrics import Registry, counter, gauge, histogram

SOURCES = ("suppression", "hold")
EVENTS = ("applied", "unchanged", "duplicate", "unreadable", "unreadable_nobody")
MODES = ("drop", "defer")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The families of this service, all series at zero from the start."""

    def __init__(self, registry: Registry) -> None:
        self.reasons = tuple(reason.value for reason in SuppressionReason)
        self.entries = gauge(
            registry,
            "suppression_entries",
            "Live do-not-contact entries by list, which is their reason",
            {"list": self.reasons},
        )
        self.holds = gauge(registry, "holds_active", "Holds in force", {"mode": MODES})
        self.enforced = histogram(
            registry,
            "optout_enforced_seconds",
            "Time from an opt-out's arrival until no message it covers can be handed over",
            {"source": SOURCES},
            buckets=_SECONDS,
        )
        self.unenforced = counter(
            registry,
            "optout_unenforced_total",
            "Entries and holds answered with 202: handovers were still under way, or could not be asked about",
            {"source": SOURCES},
        )
        self.events = counter(
            registry,
            "suppression_events_total",
            "Events that concerned this service, by what came of them",
            {"result": EVENTS},
        )
        self.situations = counter(
            registry,
            "situations_total",
            "Situations opened and closed, and closings that met nothing open",
            {"action": ("opened", "closed", "ignored")},
        )
        self.quarantines = counter(registry, "quarantines_total", "Customers put on hold after an unreadable event")
