"""Waits for the opt-out barrier after do-not-contact entries and holds have committed, and counts the outcome."""

import time
from collections.abc import Sequence

from schemas.service_api import AttemptScope
from services.clients.opt_out_barrier import Enforcement, OptOutBarrier
from services.suppression.metrics import SuppressionMetrics

EVERY_ATTEMPT = AttemptScope()


class SuppressionEnforcer:
    """The opt-out barrier with the metrics of this service."""

    def __init__(self, barrier: OptOutBarrier, metrics: SuppressionMetrics) -> None:
        self._barrier = barrier
        self._metrics = metrics

    async def enforce(self, scopes: Sequence[AttemptScope], source: str) -> Enforcement:
        """Call it after the commit. `source`: `suppression` or `hold`. Does not raise: see `OptOutBarrier`."""
        start = time.monotonic()
        enforcement = await self._barrier.wait_until_enforced(scopes, EVERY_ATTEMPT)
        if enforcement.enforced:
            self._metrics.enforcement_seconds(source).observe(time.monotonic() - start)
        else:
            self._metrics.unenforced(source).inc()
        return enforcement
