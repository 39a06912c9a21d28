"""Strict opt-out: after the commit, wait until no handover that it concerns is under way.

An attempt that was marked before we ask is waited for; one marked later reads facts that hold our commit, and stops.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from schemas.facts import AttemptScope, OpenAttempts
from services.kit.errors import TactfulError
from services.kit.logs import log_error
from services.suppression.metrics import Metrics

WAIT = 5.0
"""Seconds that an answer waits at most."""
POLL = 0.020
MOST_SCOPES = 16
"""More scopes than these are asked about as one that covers everything: more is waited for, nothing is missed."""
EVERYTHING = AttemptScope()


class Attempts(Protocol):
    """What the orchestrator's door tells: services.orchestrator.client.OrchestratorClient."""

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts in this scope that are under way now."""

    async def still_open(self, ids: Sequence[int]) -> int:
        """How many of these attempts are still under way."""


class Enforcement(NamedTuple):
    """`in_flight`: attempts that may still go out; None: the orchestrator could not be asked."""

    enforced: bool
    in_flight: int | None = 0

    def answer(self) -> dict[str, Any]:
        """The fields that an answer carries."""
        return {"enforced": True} if self.enforced else {"enforced": False, "in_flight": self.in_flight}


class Enforcer:
    """Waits for attempts, at most `wait` seconds."""

    def __init__(self, attempts: Attempts, metrics: Metrics, wait: float = WAIT) -> None:
        self._attempts = attempts
        self._metrics = metrics
        self._wait = wait

    async def enforce(self, scopes: Sequence[AttemptScope], source: str) -> Enforcement:
        """To be called after the commit. Never raises for an orchestrator that cannot be asked."""
        began = time.monotonic()
        enforcement = await self._settled(scopes)
        if enforcement.enforced:
            self._metrics.enforced(source).observe(time.monotonic() - began)
        else:
            self._metrics.unenforced(source).inc()
        return enforcement

    async def _settled(self, scopes: Sequence[AttemptScope]) -> Enforcement:
        left: int | None = None
        try:
            async with asyncio.timeout(self._wait):
                attempts = await self._open(scopes)
                left = len(attempts)
                while left:
                    await asyncio.sleep(POLL)
                    left = await self._attempts.still_open(attempts)
        except TimeoutError:
            return Enforcement(False, left)
        except TactfulError as error:
            log_error("opt_out_not_confirmed", error, "warning")
            return Enforcement(False, None)
        return Enforcement(True)

    async def _open(self, scopes: Sequence[AttemptScope]) -> list[int]:
        distinct = list(dict.fromkeys(scopes))
        if len(distinct) > MOST_SCOPES:
            distinct = [EVERYTHING]
        found = [await self._attempts.open_attempts(scope) for scope in distinct]
        return sorted({attempt for answer in found for attempt in answer.attempts})
