"""Prometheus metrics of the auditor."""

from typing import Final

from schemas.times import SECOND, Instant
from services.kit.observability.metrics import Registry, counter, gauge
from services.orchestrator.policy.rules.registry import AUDIT_INVARIANTS

INVARIANTS: Final = (
    *dict.fromkeys(AUDIT_INVARIANTS.values()),
    *("duplicate_sent", "unapproved_sent", "unexplained_sent", "ledger_differs"),
)
"""The invariants that rules declare, and those of the product as a whole."""


class AuditMetrics:
    """Counts audited handovers and violations, and shows how far the auditor has got."""

    def __init__(self, registry: Registry) -> None:
        self._handovers = counter(registry, "audited_handovers_total", "Handovers that the auditor has checked")
        help_text = "Violations found by the auditor; must stay 0"
        self._violations = counter(registry, "invariant_violations_total", help_text, {"invariant": INVARIANTS})
        help_text = "Claim time of the last audited handover; 0 before the first"
        self._position = gauge(registry, "audit_reached_timestamp_seconds", help_text)

    def record_violation(self, invariant: str) -> None:
        """Count a violation that was not known before."""
        self._violations(invariant).inc()

    def record_page(self, count: int, reached: Instant) -> None:
        """Counts an audited page."""
        self._handovers().inc(count)
        self._position().set(reached / SECOND)
