"""The runtime of one service: its HTTP app and its background jobs, started and stopped together.

A service's `build` function wires a `Service` and returns it; nothing runs before `start`. A job is a coroutine that
works until the event it is given is set. The liveness probe fails when the consume loop no longer moves. A job that
ends or raises before `stop` ends the process (`standalone.serve_until_stopped`).

Order at start: topics, hooks (`before_jobs`), jobs. Order at stop: readiness turns false, the stop event is set, the
consume loop finishes the batch at hand, the other jobs end, hooks (`after_stop`) close what the jobs used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from fastapi import FastAPI

from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.protocol import Bus
from services.kit.http.idempotency import IdempotencyStore
from services.kit.observability.dependency import PROBE_TIMEOUT, Dependency, Probe, watch_dependency
from services.kit.observability.health import Health, Heartbeat
from services.kit.observability.tracer import Tracer
from services.kit.runtime.periodic import PeriodicCheck, repeat_every, run_periodic_checks

DRAIN_SECONDS = 5.0
"""Seconds that a batch under way, and then each other job, may still take after `stop`."""
HEARTBEAT_SECONDS = 5.0
LOSS_SECONDS = 15.0
"""Seconds without an answer from a server after which a process that needs it is not ready."""
EXPIRY_SECONDS = 3600.0
"""Seconds between removals of stored responses that have expired."""

JobFunction: TypeAlias = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
Hook: TypeAlias = Callable[[], Awaitable[object]]


class Job(NamedTuple):
    """A background job. `is_moving`: whether its heartbeat may be sent."""

    name: str
    run: JobFunction
    is_moving: Callable[[], bool]


class StopReport(NamedTuple):
    """How a service has ended: the jobs that finished, those that were cut off, and whether a batch was."""

    finished: tuple[str, ...]
    cut_off: tuple[str, ...]
    is_batch_dropped: bool


class Service:
    """A service that is ready to start. `app` answers HTTP; `tasks` are its jobs and their heartbeats, once started."""

    def __init__(
        self, app: FastAPI, health: Health, bus: Bus, topics: Mapping[str, int], idempotency: IdempotencyStore
    ) -> None:
        """`topics`: the topics to create at start, with the number of partitions of each."""
        self.app = app
        self.health = health
        self.tasks: list[asyncio.Task[None]] = []
        self._bus = bus
        self._topics = dict(topics)
        self._compacted: set[str] = set()
        self._stop = asyncio.Event()
        self._before_jobs: list[Hook] = []
        self._after_stop: list[Hook] = []
        self._jobs: list[Job] = []
        self._consume_loop: ConsumeLoop[Any] | None = None
        self.add_job("expiry", partial(repeat_every, EXPIRY_SECONDS, idempotency.delete_expired))

    def add_topic(self, name: str, partitions: int, *, compacted: bool = False) -> None:
        """Creates a topic at start as well."""
        self._topics[name] = partitions
        if compacted:
            self._compacted.add(name)

    def add_job(self, name: str, run: JobFunction, *, is_moving: Callable[[], bool] = lambda: True) -> None:
        """Adds work that runs until the event passed to it is set."""
        self._jobs.append(Job(name, run, is_moving))

    def watch(
        self, dependency: Dependency, probe: Probe, *, timeout: float = PROBE_TIMEOUT, required: bool = True
    ) -> None:
        """Probes a server for as long as the service runs. Readiness names it once it has not answered for 15 s.

        `required`: whether the process is then not ready; otherwise it is only named.
        """
        watch = partial(watch_dependency, dependency, probe, timeout=timeout)
        self.add_job(f"watch {dependency.name}", watch)
        if dependency.name not in self.health.check_names():
            self.health.add_check(dependency.name, dependency.readiness_check(LOSS_SECONDS), required=required)

    def add_checks(self, *checks: PeriodicCheck) -> None:
        """Adds checks that are made every few seconds, such as those that set gauges."""
        self.add_job("watch", lambda stop: run_periodic_checks(stop, *checks))

    def add_consume_loop(self, group: str, loop: ConsumeLoop[Any], *, then: Hook | None = None) -> None:
        """Adds the job that reads the log as a member of `group`. `then` runs once the loop has ended."""
        self._consume_loop = loop

        async def consume(_stop: asyncio.Event) -> None:
            try:
                await loop.run()
            finally:
                if then is not None:
                    await then()

        self.add_job(group, consume, is_moving=lambda: loop.stuck_reason() is None)

    def before_jobs(self, hook: Hook) -> None:
        """Runs `hook` at start, before any job; what it raises prevents the start."""
        self._before_jobs.append(hook)

    def after_stop(self, hook: Hook) -> None:
        """Runs `hook` once all jobs have ended or have been told to."""
        self._after_stop.append(hook)

    def add_tracer(self, tracer: Tracer | None) -> None:
        """Sends at the stop what has been recorded and not sent yet."""
        if tracer is not None:
            self.after_stop(partial(asyncio.to_thread, tracer.sink.close))

    async def start(self) -> None:
        """Creates the topics, runs the hooks and starts the jobs. The database must have its newest schema."""
        await self._bus.ensure_topics(self._topics, compacted=self._compacted)
        for hook in self._before_jobs:
            await hook()
        for job in self._jobs:
            task = asyncio.create_task(job.run(self._stop), name=job.name)
            self.tasks += [task, asyncio.create_task(_send_heartbeats(self.health.add_loop(job.name), job, task))]
        self.health.started = True

    async def stop(self, drain: float = DRAIN_SECONDS) -> StopReport:
        """Finishes what is under way. Raises what ended a job before `stop`."""
        self.health.stopping = True
        self._stop.set()
        is_batch_dropped = not await self.stop_consuming(drain)
        done, late = await asyncio.wait(self.tasks, timeout=drain) if self.tasks else (set(), set())
        for task in late:
            task.cancel()
        for hook in self._after_stop:
            await hook()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*done)
        jobs = [job.name for job in self._jobs]
        finished, cut_off = ({task.get_name() for task in tasks} for tasks in (done, late))
        return StopReport(
            tuple(name for name in jobs if name in finished),
            tuple(name for name in jobs if name in cut_off),
            is_batch_dropped,
        )

    async def stop_consuming(self, drain: float = DRAIN_SECONDS) -> bool:
        """Finishes the batch at hand within `drain` seconds, or drops it, and reads nothing more. Returns whether it
        was finished.
        """
        return self._consume_loop is None or await self._consume_loop.stop(drain)


async def _send_heartbeats(heartbeat: Heartbeat, job: Job, task: asyncio.Task[None]) -> None:
    while not task.done():
        if job.is_moving():
            heartbeat.beat()
        await asyncio.wait({task}, timeout=HEARTBEAT_SECONDS)
