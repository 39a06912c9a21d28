"""Strict opt-out: after the commit, wait until no handover that it concerns is under way."""

import time
from collections.abc import Sequence

from schemas.facts import AttemptScope
from services.clients.orchestrator import MAX_WAIT, AttemptsApi, Enforcement, wait_until_enforced
from services.suppression.metrics import SuppressionMetrics

MAX_SCOPES = 16
"""More scopes than these are asked about as one that covers everything: more is waited for, nothing is missed."""
EVERYTHING = AttemptScope()


class SuppressionEnforcer:
    """Waits for attempts, at most `wait` seconds."""

    def __init__(self, attempts: AttemptsApi, metrics: SuppressionMetrics, wait: float = MAX_WAIT) -> None:
        self._attempts = attempts
        self._metrics = metrics
        self._wait = wait

    async def enforce(self, scopes: Sequence[AttemptScope], source: str) -> Enforcement:
        """To be called after the commit. Never raises for an orchestrator that cannot be asked."""
        start = time.monotonic()
        enforcement = await wait_until_enforced(self._attempts, _limit_scopes(scopes), wait=self._wait)
        if enforcement.enforced:
            self._metrics.enforcement_seconds(source).observe(time.monotonic() - start)
        else:
            self._metrics.unenforced(source).inc()
        return enforcement


def _limit_scopes(scopes: Sequence[AttemptScope]) -> Sequence[AttemptScope]:
    distinct = list(dict.fromkeys(scopes))
    return distinct if len(distinct) <= MAX_SCOPES else [EVERYTHING]
