"""Metrics of the suppression service. The label sets are closed."""

from collections.abc import Mapping

from schemas.vocabulary import SuppressionReason
from services.kit.observability.metrics import Registry, counter, gauge
from services.kit.observability.shared_series import (
    duplicates_counter,
    optout_histogram,
    quarantines_counter,
    rules_loaded_gauge,
)

SOURCES = ("suppression", "hold")
EVENTS = ("applied", "unchanged", "duplicate", "conflict", "erased", "unreadable", "unreadable_nobody")
MODES = ("drop", "defer")
ALERTS = ("placed", "stands", "lapsed", "lifted", "ignored")

IMPORT_ENDS = ("done", "failed")
IMPORTED_ROWS = ("added", "exists", "refused")


class SuppressionMetrics:
    """All metric families of the service; every series starts at zero."""

    def __init__(self, registry: Registry) -> None:
        self.reasons = tuple(reason.value for reason in SuppressionReason)
        self.entries = gauge(
            registry,
            "suppression_entries",
            "Entries per suppression list",
            {"list": self.reasons},
        )
        self.holds = gauge(registry, "holds_active", "Holds in force", {"mode": MODES})
        self.enforcement_seconds = optout_histogram(registry, *SOURCES)
        self.unenforced = counter(
            registry,
            "optout_unenforced_total",
            "Entries and holds answered with 202: handovers were in progress, or their state was unknown",
            {"source": SOURCES},
        )
        self.events = counter(
            registry,
            "suppression_events_total",
            "Events relevant to this service, by result",
            {"result": EVENTS},
        )
        self.situations = counter(
            registry,
            "situations_total",
            "Situations opened, closed and corrected by hand, and closings and corrections that found none",
            {"action": ("opened", "closed", "withdrawn", "corrected", "ignored")},
        )
        self.alerts = counter(
            registry, "alerts_total", "Alerts received from Alertmanager, by result", {"result": ALERTS}
        )
        self.imports = counter(
            registry, "suppression_imports_total", "Imports that have ended, by how", {"result": IMPORT_ENDS}
        )
        self.imported_rows = counter(
            registry,
            "suppression_imported_rows_total",
            "Rows of imports that have had their turn, those of dry runs included, by result",
            {"result": IMPORTED_ROWS},
        )
        self._quarantines = quarantines_counter(registry, "suppression")
        self._duplicates = duplicates_counter(registry, "suppression")
        self._rules_loaded = rules_loaded_gauge(registry, "suppression")

    def count_results(self, results: Mapping[str, int]) -> None:
        """Count the events of a batch after its transaction has committed."""
        for result, count in results.items():
            self.events(result).inc(count)
        self._duplicates("suppression").inc(results.get("duplicate", 0) + results.get("conflict", 0))

    def count_quarantines(self, change: str, count: int) -> None:
        """Count quarantines that have begun or ended."""
        self._quarantines("suppression", change).inc(count)

    def mark_kinds_current(self) -> None:
        """Record that the situation kinds in memory are those of the database."""
        self._rules_loaded("suppression").set_to_current_time()
