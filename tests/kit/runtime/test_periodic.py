"""Periodic work waits out what is transient, and ends by anything else or by the stop event."""

import asyncio

import pytest

from services.kit.errors import Transient
from services.kit.runtime.periodic import do_once, repeat_every, run_periodic_checks, sleep_unless_set


class Action:
    """Raises the given errors in turn, then succeeds, and sets the event after its last turn."""

    def __init__(self, stopping: asyncio.Event, *errors: Exception | None) -> None:
        self._stopping = stopping
        self._errors = list(errors)

    async def __call__(self) -> None:
        error = self._errors.pop(0)
        if not self._errors:
            self._stopping.set()
        if error is not None:
            raise error


async def test_checks_go_on_after_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.kit.runtime.periodic.CHECK_INTERVAL", 0.001)
    stopping = asyncio.Event()
    first, second = Action(stopping, Transient("busy"), None, None), Action(asyncio.Event(), None, None, None)
    await asyncio.wait_for(run_periodic_checks(stopping, first, second), 5)
    assert first._errors == second._errors == []


async def test_checks_end_by_an_error_that_will_not_pass() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_periodic_checks(asyncio.Event(), Action(asyncio.Event(), ZeroDivisionError(), None))


async def test_an_action_is_repeated_until_stopped() -> None:
    stopping = asyncio.Event()
    action = Action(stopping, None, Transient("busy"), None)
    await asyncio.wait_for(repeat_every(0.001, action, stopping), 5)
    assert action._errors == []
    with pytest.raises(ZeroDivisionError):
        await repeat_every(0.001, Action(asyncio.Event(), ZeroDivisionError(), None), asyncio.Event())


async def test_a_transient_error_of_an_action_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    stopping = asyncio.Event()
    await asyncio.wait_for(repeat_every(0.001, Action(stopping, Transient("busy"), None), stopping), 5)
    assert [record.msg for record in caplog.records] == ["periodic_work_failed"]


async def test_what_is_done_once_is_tried_until_it_succeeds_and_not_again() -> None:
    stopping = asyncio.Event()
    action = Action(asyncio.Event(), Transient("busy"), None, ZeroDivisionError())
    job = asyncio.create_task(do_once(lambda _: action(), stopping, retry_seconds=0.001))
    await asyncio.sleep(0.05)
    assert not job.done() and len(action._errors) == 1
    stopping.set()
    await asyncio.wait_for(job, 5)


async def test_a_sleep_ends_when_the_event_is_set() -> None:
    stopping = asyncio.Event()
    await sleep_unless_set(stopping, 0.001)
    asyncio.get_running_loop().call_later(0.01, stopping.set)
    await asyncio.wait_for(sleep_unless_set(stopping, 60), 5)
