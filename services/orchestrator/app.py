"""Builds the orchestrator from its parts; nothing happens before `start`.

Roles, each scalable alone: `api` answers HTTP, `decide` reads events, `dispatch` hands over, `schedule` brings waiting
messages back. `all` is everything in one process.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from fastapi import FastAPI

from schemas.topics import DEAD_LETTERS, EVENTS
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.consumer_series import ConsumerSeries
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseSeries, Look, keep_looking
from services.kit.observability.health import Health, Heartbeat
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import ServiceSettings
from services.orchestrator.components import Parts
from services.orchestrator.console.sign_in_page import SignIn
from services.orchestrator.decisions.backlog_gauges import backlog_look, catalogue_look
from services.orchestrator.decisions.pipeline import Pipeline, Prepared
from services.orchestrator.decisions.scheduler import Scheduler
from services.orchestrator.delivery.claim import Marker
from services.orchestrator.delivery.dispatcher import Dispatcher
from services.orchestrator.delivery.inline_delivery import Straight
from services.orchestrator.delivery.recovery import Recovery
from services.orchestrator.http_app import app_of, pages_of
from services.orchestrator.insight.audit.audit_series import AuditSeries
from services.orchestrator.insight.audit.auditor import Auditor
from services.orchestrator.insight.simulations.runner import Runner

Role = Literal["api", "decide", "dispatch", "schedule", "all"]
ROLES: tuple[Role, ...] = ("api", "decide", "dispatch", "schedule", "all")
GROUP = "tactful-orchestrator"
STAGE = "decide"
DRAIN = 5.0
BEAT = 1.0


class Service:
    """The orchestrator, ready to start. `app` answers HTTP; each role's work is a task."""

    def __init__(
        self, app: FastAPI, health: Health, bus: Bus, parts: Parts, topics: dict[str, int], sign_in: SignIn
    ) -> None:
        self.app = app
        self.health = health
        self.sign_in = sign_in
        self.parts = parts
        self.loop: ConsumeLoop[Prepared] | None = None
        self.scheduler: Scheduler | None = None
        self.auditor: Auditor | None = None
        self.dispatcher: Dispatcher | None = None
        self.recovery: Recovery | None = None
        self.proof_of_death = False
        self.tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._bus = bus
        self._topics = topics
        self._jobs: list[tuple[str, Callable[[asyncio.Event], Coroutine[Any, Any, None]]]] = []

    def job(self, name: str, run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        """Add work that runs until the event is set."""
        self._jobs.append((name, run))

    async def start(self) -> None:
        """Make the topics and begin to work. The database must be at its newest step."""
        await self._bus.ensure_topics(self._topics)
        if self.recovery is not None and self.proof_of_death:
            await self.recovery.close_of_the_dead()
        if self.dispatcher is not None:
            await self.dispatcher.start()
        for name, run in self._jobs:
            task = asyncio.create_task(run(self._stop), name=name)
            self.tasks += [task, asyncio.create_task(self._beat(self.health.loop(name), name, task))]
        self.health.started = True

    def jobs(self) -> list[asyncio.Task[None]]:
        """The tasks at work."""
        return list(self.tasks)

    async def stop(self, drain: float = DRAIN) -> None:
        """Finish what is under way; raises what ended a job before its time."""
        self.health.stopping = True
        self._stop.set()
        if self.loop is not None:
            await self.loop.stop(drain)
        done, late = await asyncio.wait(self.tasks, timeout=drain) if self.tasks else (set(), set())
        for task in late:
            task.cancel()
        for adapter in set(self.parts.adapters.values()):
            await adapter.close()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*done)

    async def _beat(self, heartbeat: Heartbeat, name: str, task: asyncio.Task[None]) -> None:
        while not task.done():
            if self.loop is None or name != GROUP or self.loop.stuck() is None:
                heartbeat.beat()
            await asyncio.wait({task}, timeout=BEAT)


def build(
    settings: ServiceSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    preference: PreferenceClient,
    suppression: SuppressionClient,
    registry: Registry | None = None,
    role: Role = "all",
    free_running: bool = True,
    proof_of_death: bool = False,
) -> Service:
    """Wire the service. `free_running`: the scheduler looks by itself; else somebody calls its `tick`.

    `proof_of_death`: no other dispatcher can be alive on this database, as with a locked data directory.
    Raises SettingsError when a key is missing or an adapter is not configured.
    """
    registry = registry or Registry()
    parts = Parts(settings, database, clock, preference, suppression, registry)
    health = Health()
    events = settings.kafka.events_topic
    pages = pages_of(settings, parts, database, bus, clock, preference, suppression, registry, health)
    app = app_of(settings, parts, pages, preference, suppression)
    health.check("database", lambda: _reachable(database))
    topics = {events: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
    service = Service(app, health, bus, parts, topics, SignIn(pages.sessions, settings.web.public_url))
    service.proof_of_death = proof_of_death
    looks: list[Look] = [DatabaseSeries(registry, "orchestrator", database, [events]).look]
    looks.append(catalogue_look(database, parts.snapshot, parts.metrics))
    if role in ("schedule", "all"):
        looks.append(backlog_look(database, clock, parts.metrics))
    service.job("watch", lambda stop: keep_looking(stop, *looks))
    if role in ("decide", "all"):
        _decide(service, parts, database, bus, clock, events, registry)
    if role in ("schedule", "all"):
        _schedule(service, parts, database, clock, suppression, events, free_running)
    if role in ("dispatch", "all"):
        _dispatch(service, parts, settings, database, clock)
    return service


def _owner() -> str:
    """A name for who marks: nobody else has it, before or after."""
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"


def _decide(
    service: Service, parts: Parts, database: Database, bus: Bus, clock: Clock, events: str, registry: Registry
) -> None:
    straight = Straight(_owner(), parts.gatherer.address_hash, parts.handover)
    handler = Pipeline(
        database,
        parts.snapshot,
        parts.gatherer,
        parts.renderer,
        clock,
        parts.metrics,
        parts.ready,
        parts.shadow,
        straight,
    )
    loop = ConsumeLoop(
        bus, database, handler, group=GROUP, topics=[events], clock=clock, stage=STAGE,
        dead_letter_topic=DEAD_LETTERS.name, metrics=ConsumerSeries(registry, GROUP, [events]), nudge=parts.applied,
    )  # fmt: skip
    service.loop = loop

    async def run(_stop: asyncio.Event) -> None:
        try:
            await loop.run()
        finally:
            straight.end()
            await straight.drained()

    service.job(GROUP, run)


def _schedule(
    service: Service,
    parts: Parts,
    database: Database,
    clock: Clock,
    suppression: SuppressionClient,
    events: str,
    free_running: bool,
) -> None:
    service.scheduler = Scheduler(
        database,
        parts.snapshot,
        parts.gatherer,
        parts.renderer,
        suppression,
        clock,
        parts.metrics,
        parts.ready,
        [events],
    )
    service.auditor = Auditor(database, parts.recorder, clock, parts.metrics, AuditSeries(parts.registry))
    service.job("simulations", Runner(database, parts.recorder, clock).run)
    if free_running:
        service.job("schedule", service.scheduler.run)
        service.job("audit", service.auditor.run)


def _dispatch(service: Service, parts: Parts, settings: ServiceSettings, database: Database, clock: Clock) -> None:
    limits = settings.dispatch
    service.recovery = Recovery(database, parts.adapters, clock, deadline=limits.deadline, slack=limits.slack)
    marker = Marker(_owner(), parts.key)
    service.dispatcher = Dispatcher(database, marker, parts.handover, service.recovery, clock, parts.ready)
    service.job("dispatch", service.dispatcher.run)


async def _reachable(database: Database) -> None:
    async with database.read() as tx:
        await tx.row("SELECT version FROM catalogue_state")
