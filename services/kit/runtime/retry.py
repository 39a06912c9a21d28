"""Trying again: for ever while an error may pass, a few times when it should not have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, wait_random_exponential

from services.kit.errors import Permanent, TactfulError, Transient

T = TypeVar("T")

LONGEST_REST = 30.0
"""Seconds."""
_jittered = wait_random_exponential(multiplier=0.05, max=5)


class Abandoned(Exception):
    """We are stopping: what has not succeeded is left to whoever comes next."""


class Effort:
    """Decides whether a failed step is worth another try, and counts. An unexpected error is given three tries."""

    def __init__(self, tries: int = 3) -> None:
        self.attempts = 0
        self._tries = tries
        self._unexpected = 0

    def again(self, state: RetryCallState) -> bool:
        """Tenacity's question after each try."""
        self.attempts += 1
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Transient):
            return True
        if not isinstance(error, Exception) or isinstance(error, (Permanent, Abandoned, Stale)):
            return False
        self._unexpected += 1
        return self._unexpected < self._tries


class Stale(Exception):
    """The work at hand is no longer, or no longer wholly, ours."""


class Patience:
    """Persists until success or `stop`; rests in between, at random up to a growing limit."""

    def __init__(self, stop: asyncio.Event, told: Callable[[str, float], None]) -> None:
        """`told(reason, seconds)` hears of every rest before it begins."""
        self._stop = stop
        self._told = told

    async def persist(self, step: Callable[[], Awaitable[T]], effort: Effort) -> T:
        """The step's result. Raises its last error if that will not pass; Abandoned when `stop` comes first."""
        retrying = AsyncRetrying(
            retry=effort.again, wait=_rest, sleep=self._sleep, before_sleep=self._tell, reraise=True
        )

        async def once() -> T:
            return await step()

        return await retrying(once)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        reason = error.code if isinstance(error, TactfulError) else type(error).__name__
        self._told(reason, state.next_action.sleep if state.next_action is not None else 0.0)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
        raise Abandoned


def _rest(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, Transient) else 0.0
    return max(_jittered(state), min(asked, LONGEST_REST))
