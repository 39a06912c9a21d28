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
from services.kit.bus.consumer_series import PrometheusConsumerMetrics
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseMetrics, PeriodicCheck, run_periodic_checks
from services.kit.observability.health import Health, Heartbeat
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.orchestrator.components import Components
from services.orchestrator.console.sign_in_page import SignInLinks
from services.orchestrator.decisions.backlog_gauges import backlog_check, catalogue_check
from services.orchestrator.decisions.pipeline import EvaluatedBatch, Pipeline
from services.orchestrator.decisions.scheduler import Scheduler
from services.orchestrator.delivery.delivery import InlineDelivery, OutboxClaimer
from services.orchestrator.delivery.dispatcher import Dispatcher
from services.orchestrator.delivery.recovery import AttemptRecovery
from services.orchestrator.holds.release import HoldReleaser
from services.orchestrator.http_app import build_console_context, build_http_app
from services.orchestrator.insight.audit.audit_series import AuditMetrics
from services.orchestrator.insight.audit.auditor import Auditor
from services.orchestrator.insight.simulations.runner import SimulationRunner
from services.orchestrator.settings import OrchestratorSettings

Role = Literal["api", "decide", "dispatch", "schedule", "all"]
ROLES: tuple[Role, ...] = ("api", "decide", "dispatch", "schedule", "all")
GROUP = "tactful-orchestrator"
DECIDE_STAGE = "decide"
DRAIN_SECONDS = 5.0
HEARTBEAT_SECONDS = 1.0


class OrchestratorService:
    """The orchestrator, ready to start. `app` answers HTTP; each role's work is a task."""

    def __init__(
        self,
        app: FastAPI,
        health: Health,
        bus: Bus,
        components: Components,
        topics: dict[str, int],
        sign_in: SignInLinks,
    ) -> None:
        self.app = app
        self.health = health
        self.sign_in = sign_in
        self.components = components
        self.consume_loop: ConsumeLoop[EvaluatedBatch] | None = None
        self.scheduler: Scheduler | None = None
        self.auditor: Auditor | None = None
        self.dispatcher: Dispatcher | None = None
        self.recovery: AttemptRecovery | None = None
        self.is_sole_dispatcher = False
        self.tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._bus = bus
        self._topics = topics
        self._jobs: list[tuple[str, Callable[[asyncio.Event], Coroutine[Any, Any, None]]]] = []

    def add_job(self, name: str, run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        """Add work that runs until the event is set."""
        self._jobs.append((name, run))

    async def start(self) -> None:
        """Make the topics and begin to work. The database must be at its newest step."""
        await self._bus.ensure_topics(self._topics)
        if self.recovery is not None and self.is_sole_dispatcher:
            await self.recovery.close_all_open()
        if self.dispatcher is not None:
            await self.dispatcher.start()
        for name, run in self._jobs:
            task = asyncio.create_task(run(self._stop), name=name)
            self.tasks += [task, asyncio.create_task(self._send_heartbeats(self.health.add_loop(name), name, task))]
        self.health.started = True

    def jobs(self) -> list[asyncio.Task[None]]:
        """The tasks at work."""
        return list(self.tasks)

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Finish what is under way; raises what ended a job before its time."""
        self.health.stopping = True
        self._stop.set()
        if self.consume_loop is not None:
            await self.consume_loop.stop(drain)
        done, late = await asyncio.wait(self.tasks, timeout=drain) if self.tasks else (set(), set())
        for task in late:
            task.cancel()
        for adapter in set(self.components.adapters.values()):
            await adapter.close()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*done)

    async def _send_heartbeats(self, heartbeat: Heartbeat, name: str, task: asyncio.Task[None]) -> None:
        while not task.done():
            if self.consume_loop is None or name != GROUP or self.consume_loop.stuck_reason() is None:
                heartbeat.beat()
            await asyncio.wait({task}, timeout=HEARTBEAT_SECONDS)


def build(
    settings: OrchestratorSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    preference: PreferenceClient,
    suppression: SuppressionClient,
    registry: Registry | None = None,
    role: Role = "all",
    free_running: bool = True,
    is_sole_dispatcher: bool = False,
) -> OrchestratorService:
    """Wire the service. `free_running`: the scheduler looks by itself; else somebody calls its `tick`.

    `proof_of_death`: no other dispatcher can be alive on this database, as with a locked data directory.
    Raises SettingsError when a key is missing or an adapter is not configured.
    """
    registry = registry or Registry()
    components = Components(settings, database, clock, preference, suppression, registry)
    health = Health()
    events = settings.kafka.events_topic
    console_context = build_console_context(
        settings, components, database, bus, clock, preference, suppression, registry, health
    )
    app = build_http_app(settings, components, console_context, preference, suppression)
    health.add_check("database", lambda: _check_database(database))
    topics = {events: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
    service = OrchestratorService(
        app, health, bus, components, topics, SignInLinks(console_context.sessions, settings.web.public_url)
    )
    service.is_sole_dispatcher = is_sole_dispatcher
    checks: list[PeriodicCheck] = [DatabaseMetrics(registry, "orchestrator", database, [events]).update_gauges]
    checks.append(catalogue_check(database, components.snapshot, components.metrics))
    if role in ("schedule", "all"):
        checks.append(backlog_check(database, clock, components.metrics))
    service.add_job("watch", lambda stop: run_periodic_checks(stop, *checks))
    if role in ("decide", "all"):
        _add_decide_role(service, components, database, bus, clock, events, registry)
    if role in ("schedule", "all"):
        _add_schedule_role(service, components, database, clock, suppression, free_running)
    if role in ("dispatch", "all"):
        _add_dispatch_role(service, components, settings, database, clock)
    return service


def _new_owner_id() -> str:
    """A name for who marks: nobody else has it, before or after."""
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"


def _add_decide_role(
    service: OrchestratorService,
    components: Components,
    database: Database,
    bus: Bus,
    clock: Clock,
    events: str,
    registry: Registry,
) -> None:
    inline_delivery = InlineDelivery(_new_owner_id(), components.facts_reader.hash_address, components.delivery)
    handler = Pipeline(
        components.evaluator,
        clock,
        components.metrics,
        components.outbox_signal,
        components.shadow,
        inline_delivery,
    )
    loop = ConsumeLoop(
        bus, database, handler, group=GROUP, topics=[events], clock=clock, stage=DECIDE_STAGE,
        dead_letter_topic=DEAD_LETTERS.name, metrics=PrometheusConsumerMetrics(registry, GROUP, [events]),
        wake=components.decided_signal,
    )  # fmt: skip
    service.consume_loop = loop

    async def run(_stop: asyncio.Event) -> None:
        try:
            await loop.run()
        finally:
            inline_delivery.stop_claiming()
            await inline_delivery.wait_until_idle()

    service.add_job(GROUP, run)


def _add_schedule_role(
    service: OrchestratorService,
    components: Components,
    database: Database,
    clock: Clock,
    suppression: SuppressionClient,
    free_running: bool,
) -> None:
    releaser = HoldReleaser(database, suppression, clock, components.metrics)
    service.scheduler = Scheduler(
        database,
        components.evaluator,
        releaser.release_ended_holds,
        clock,
        components.metrics,
        components.outbox_signal,
    )
    service.auditor = Auditor(
        database, components.recorder, clock, components.metrics, AuditMetrics(components.registry)
    )
    service.add_job("simulations", SimulationRunner(database, components.recorder, clock).run_until_stopped)
    if free_running:
        service.add_job("schedule", service.scheduler.run_until_stopped)
        service.add_job("audit", service.auditor.run_until_stopped)


def _add_dispatch_role(
    service: OrchestratorService,
    components: Components,
    settings: OrchestratorSettings,
    database: Database,
    clock: Clock,
) -> None:
    limits = settings.dispatch
    service.recovery = AttemptRecovery(
        database, components.adapters, clock, deadline=limits.deadline, slack=limits.slack
    )
    claimer = OutboxClaimer(_new_owner_id(), components.address_key)
    service.dispatcher = Dispatcher(
        database, claimer, components.delivery, service.recovery, clock, components.outbox_signal
    )
    service.add_job("dispatch", service.dispatcher.run_until_stopped)


async def _check_database(database: Database) -> None:
    async with database.read() as tx:
        await tx.row("SELECT version FROM catalogue_state")
