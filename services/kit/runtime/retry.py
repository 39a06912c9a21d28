"""Trying again: for ever while an error may pass, a few times when it should not have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, wait_random_exponential

from services.kit.errors import Permanent, TactfulError, Transient

T = TypeVar("T")

MAX_RETRY_WAIT = 30.0
"""Seconds."""
_BACKOFF = wait_random_exponential(multiplier=0.05, max=5)


class RetryCancelled(Exception):
    """We are stopping: what has not succeeded is left to whoever comes next."""


class RetryPolicy:
    """Decides whether a failed step is worth another try, and counts. An unexpected error is given three tries."""

    def __init__(self, tries: int = 3) -> None:
        self.attempts = 0
        self._tries = tries
        self._unexpected_failures = 0

    def should_retry(self, state: RetryCallState) -> bool:
        """Tenacity's question after each try."""
        self.attempts += 1
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Transient):
            return True
        if not isinstance(error, Exception) or isinstance(error, (Permanent, RetryCancelled, LeaseLost)):
            return False
        self._unexpected_failures += 1
        return self._unexpected_failures < self._tries


class LeaseLost(Exception):
    """The work at hand is no longer, or no longer wholly, ours."""


class Retrier:
    """Persists until success or `stop`; rests in between, at random up to a growing limit."""

    def __init__(self, stopping: asyncio.Event, on_wait: Callable[[str, float], None]) -> None:
        """`told(reason, seconds)` hears of every rest before it begins."""
        self._stopping = stopping
        self._on_wait = on_wait

    async def run(self, step: Callable[[], Awaitable[T]], policy: RetryPolicy) -> T:
        """The step's result. Raises its last error if that will not pass; Abandoned when `stop` comes first."""
        retrying = AsyncRetrying(
            retry=policy.should_retry,
            wait=_wait_seconds,
            sleep=self._sleep,
            before_sleep=self._notify_wait,
            reraise=True,
        )

        async def attempt() -> T:
            return await step()

        return await retrying(attempt)

    def _notify_wait(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        reason = error.code if isinstance(error, TactfulError) else type(error).__name__
        self._on_wait(reason, state.next_action.sleep if state.next_action is not None else 0.0)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise RetryCancelled


def _wait_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    requested = error.retry_after if isinstance(error, Transient) else 0.0
    return max(_BACKOFF(state), min(requested, MAX_RETRY_WAIT))
