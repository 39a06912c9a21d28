"""What the auditor counts."""

from schemas.times import SECOND, Instant
from services.kit.observability.metrics import Registry, counter, gauge


class AuditSeries:
    """How much has been audited, and how far the auditor has come."""

    def __init__(self, registry: Registry) -> None:
        self._audited = counter(registry, "audited_handovers_total", "Handovers that the auditor has checked")
        words = "When the last handover that was audited had been marked; 0 before"
        self._reached = gauge(registry, "audit_reached_timestamp_seconds", words)

    def audited(self, count: int, reached: Instant) -> None:
        """A page has been audited."""
        self._audited().inc(count)
        self._reached().set(reached / SECOND)
