"""Work that a service does beside its requests: checks that set gauges, removal of what has expired, and what is to be
done once after an upgrade.

A database that is busy for a while must not end the process, so a `Transient` error is logged and the work is tried
again at the next turn. Every other error ends the job, and with it the service.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from services.kit.errors import Transient
from services.kit.observability.logs import log_error

CHECK_INTERVAL = 5.0
"""Seconds between two rounds of checks, at least."""
MAX_TIME_SHARE = 0.05
"""The share of time that checks may take: slow checks, as on a long backlog, are made less often."""

RETRY_SECONDS = 5.0
"""Seconds until work that is to be done once is tried again."""

PeriodicCheck = Callable[[], Awaitable[None]]


async def run_periodic_checks(stopping: asyncio.Event, *checks: PeriodicCheck) -> None:
    """Runs all checks every few seconds until `stopping` is set."""
    while not stopping.is_set():
        began = time.monotonic()
        for check in checks:
            try:
                await check()
            except Transient as error:
                log_error("look_failed", error, "warning")
        await sleep_unless_set(stopping, max(CHECK_INTERVAL, (time.monotonic() - began) / MAX_TIME_SHARE))


async def repeat_every(seconds: float, action: Callable[[], Awaitable[object]], stopping: asyncio.Event) -> None:
    """Runs `action` every `seconds` until `stopping` is set."""
    while not stopping.is_set():
        try:
            await action()
        except Transient as error:
            log_error("periodic_work_failed", error, "warning")
        await sleep_unless_set(stopping, seconds)


async def do_once(
    action: Callable[[asyncio.Event], Awaitable[object]], stopping: asyncio.Event, retry_seconds: float = RETRY_SECONDS
) -> None:
    """Runs `action(stopping)` until it succeeds, and waits for the end: a job that has done its work goes on."""
    while not stopping.is_set():
        try:
            await action(stopping)
        except Transient as error:
            log_error("periodic_work_failed", error, "warning")
            await sleep_unless_set(stopping, retry_seconds)
        else:
            await stopping.wait()


async def sleep_unless_set(stopping: asyncio.Event, seconds: float) -> None:
    """Sleeps for `seconds`, or until `stopping` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


async def wait_for_any(seconds: float | None, *events: asyncio.Event) -> None:
    """Waits until one of the events is set, or for `seconds`; None: as long as it takes."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
