"""Prometheus metrics of the auditor."""

from schemas.times import SECOND, Instant
from services.kit.observability.metrics import Registry, counter, gauge


class AuditMetrics:
    """Counts audited handovers and violations, and shows how far the auditor has got."""

    def __init__(self, registry: Registry) -> None:
        self._handovers = counter(registry, "audited_handovers_total", "Handovers that the auditor has checked")
        help_text = "When the last handover that was audited had been marked; 0 before"
        self._position = gauge(registry, "audit_reached_timestamp_seconds", help_text)

    def record_page(self, count: int, reached: Instant) -> None:
        """Counts an audited page."""
        self._handovers().inc(count)
        self._position().set(reached / SECOND)
