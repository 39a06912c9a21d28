"""Retries: for ever while an error is transient, a few times if it was unexpected."""

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
    """The process is stopping: unfinished work is left to the next owner."""


class RetryPolicy:
    """Decides whether a failed step is retried, and counts attempts. An unexpected error is tried three times."""

    def __init__(self, tries: int = 3) -> None:
        self.attempts = 0
        self._tries = tries
        self._unexpected_failures = 0

    def should_retry(self, state: RetryCallState) -> bool:
        """Whether to retry; called by tenacity after each attempt."""
        self.attempts += 1
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Transient):
            return True
        if not isinstance(error, Exception) or isinstance(error, (Permanent, RetryCancelled, LeaseLost)):
            return False
        self._unexpected_failures += 1
        return self._unexpected_failures < self._tries


class LeaseLost(Exception):
    """The work is no longer, or not entirely, ours."""


class Retrier:
    """Retries a step until success or `stop`, with random pauses up to a growing limit."""

    def __init__(self, stopping: asyncio.Event, on_wait: Callable[[str, float], None]) -> None:
        """`on_wait(reason, seconds)` is called before each pause."""
        self._stopping = stopping
        self._on_wait = on_wait

    async def run(self, step: Callable[[], Awaitable[T]], policy: RetryPolicy) -> T:
        """Returns the step's result. Raises its last error if that is not transient, RetryCancelled if `stop` comes
        first.
        """
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
