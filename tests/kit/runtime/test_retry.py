"""Trying again: for ever for what may pass, three times for a mistake, never for what is permanent."""

from __future__ import annotations

import asyncio

import pytest

from services.kit.errors import Invalid, Transient
from services.kit.runtime.retry import Retrier, RetryCancelled, RetryPolicy


class Step:
    """Fails with these errors, one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def patience(rests: list[tuple[str, float]], stop: asyncio.Event | None = None) -> Retrier:
    return Retrier(stop or asyncio.Event(), lambda reason, seconds: rests.append((reason, seconds)))


async def test_what_may_pass_is_tried_until_it_does() -> None:
    rests: list[tuple[str, float]] = []
    effort = RetryPolicy()
    assert await patience(rests).run(Step(*[Transient(retry_after=0)] * 6), effort) == "done"
    assert [reason for reason, _ in rests] == ["unavailable"] * 6
    assert effort.attempts == 7
    assert all(seconds <= 0.05 * 2**n for n, (_, seconds) in enumerate(rests, 1))


async def test_it_rests_at_least_as_long_as_it_was_asked_to() -> None:
    rests: list[tuple[str, float]] = []
    await patience(rests).run(Step(Transient(retry_after=0.2)), RetryPolicy())
    assert rests[0][1] >= 0.2


@pytest.mark.parametrize(
    ("error", "tries", "attempts"), [(Invalid("no"), 3, 1), (KeyError("x"), 3, 3), (KeyError("x"), 1, 1)]
)
async def test_what_will_not_pass_is_raised(error: Exception, tries: int, attempts: int) -> None:
    effort = RetryPolicy(tries)
    with pytest.raises(type(error)):
        await patience([]).run(Step(*[error] * 9), effort)
    assert effort.attempts == attempts


async def test_stop_ends_a_rest() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(patience([], stop).run(Step(Transient(retry_after=20)), RetryPolicy()))
    await asyncio.sleep(0.02)
    stop.set()
    with pytest.raises(RetryCancelled):
        await asyncio.wait_for(task, 1)
