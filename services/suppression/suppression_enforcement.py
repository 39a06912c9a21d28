"""Strict opt-out: after the commit, wait until no handover that it concerns is under way."""

import time
from collections.abc import Sequence

from schemas.facts import AttemptScope
from services.clients.orchestrator import WAIT, Attempts, Enforcement, enforced
from services.suppression.metrics import Metrics

MOST_SCOPES = 16
"""More scopes than these are asked about as one that covers everything: more is waited for, nothing is missed."""
EVERYTHING = AttemptScope()


class Enforcer:
    """Waits for attempts, at most `wait` seconds."""

    def __init__(self, attempts: Attempts, metrics: Metrics, wait: float = WAIT) -> None:
        self._attempts = attempts
        self._metrics = metrics
        self._wait = wait

    async def enforce(self, scopes: Sequence[AttemptScope], source: str) -> Enforcement:
        """To be called after the commit. Never raises for an orchestrator that cannot be asked."""
        began = time.monotonic()
        enforcement = await enforced(self._attempts, _few(scopes), wait=self._wait)
        if enforcement.enforced:
            self._metrics.enforced(source).observe(time.monotonic() - began)
        else:
            self._metrics.unenforced(source).inc()
        return enforcement


def _few(scopes: Sequence[AttemptScope]) -> Sequence[AttemptScope]:
    distinct = list(dict.fromkeys(scopes))
    return distinct if len(distinct) <= MOST_SCOPES else [EVERYTHING]
