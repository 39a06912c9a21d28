"""Builds the service from its parts; nothing happens before `start`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from fastapi import FastAPI

from schemas.topics import DEAD_LETTERS, EVENTS
from services.clients.orchestrator import AttemptsApi
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.consumer_series import PrometheusConsumerMetrics
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseMetrics, PeriodicCheck, run_periodic_checks
from services.kit.errors import Transient
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeyRing, KeyRing, KeyRingChain, Principal, RemoteKeyRing
from services.kit.http.idempotency import IdempotencyStore
from services.kit.observability.health import Health, Heartbeat
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.api import internal_routes, preference_routes
from services.preference.centre.link_routes import centre_routes
from services.preference.consumer import CONSUMER_GROUP, STAGE, PreferenceBatch, PreferenceEventHandler
from services.preference.editor import PreferenceEditor
from services.preference.link_tokens import derive_token_key
from services.preference.metrics import PreferenceMetrics
from services.preference.opt_out_enforcement import OptOutEnforcer
from services.preference.settings import PreferenceSettings

DRAIN_SECONDS = 5.0
"""Seconds that a batch under way may still take."""
HEARTBEAT_SECONDS = 1.0
"""Seconds between signs of life."""
CLEANUP_SECONDS = 3600.0
"""Seconds between removals of answers kept for too long."""


class OrchestratorApi(AttemptsApi, Protocol):
    """What this service asks of the orchestrator."""

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of an API key. Raises Transient."""


class PreferenceService:
    """The service, ready to start. `app` answers HTTP; `loop` reads the log; `task` is the loop at work."""

    def __init__(
        self,
        app: FastAPI,
        loop: ConsumeLoop[PreferenceBatch],
        *,
        bus: Bus,
        health: Health,
        idempotency: IdempotencyStore,
        topics: dict[str, int],
        database_check: PeriodicCheck,
    ) -> None:
        self.app = app
        self.consume_loop = loop
        self.health = health
        self.consume_task: asyncio.Task[None] | None = None
        self._bus = bus
        self._idempotency_store = idempotency
        self._topics = topics
        self._database_check = database_check
        self._background_tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the topics, begin to read the log. The database must be at its newest step."""
        await self._bus.ensure_topics(self._topics)
        self.consume_task = asyncio.create_task(self.consume_loop.run(), name=CONSUMER_GROUP)
        heartbeat = self.health.add_loop(CONSUMER_GROUP)
        background_tasks = (
            self._send_heartbeats(heartbeat),
            self._delete_expired_responses(),
            run_periodic_checks(asyncio.Event(), self._database_check),
        )
        self._background_tasks = [asyncio.create_task(helper) for helper in background_tasks]
        self.health.started = True

    def jobs(self) -> tuple[asyncio.Task[None], ...]:
        """The tasks that must not end before their time."""
        return () if self.consume_task is None else (self.consume_task,)

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Finish the batch under way and stop reading. Raises what ended the loop before its time."""
        self.health.stopping = True
        await self.consume_loop.stop(drain)
        for helper in self._background_tasks:
            helper.cancel()
        await asyncio.gather(*self._background_tasks, return_exceptions=True)
        if self.consume_task is not None:
            await self.consume_task

    async def _send_heartbeats(self, heartbeat: Heartbeat) -> None:
        while self.consume_task is not None and not self.consume_task.done():
            if self.consume_loop.stuck_reason() is None:
                heartbeat.beat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _delete_expired_responses(self) -> None:
        while True:
            with contextlib.suppress(Transient):
                await self._idempotency_store.delete_expired()
            await asyncio.sleep(CLEANUP_SECONDS)


def build(
    settings: PreferenceSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    orchestrator: OrchestratorApi,
    registry: Registry | None = None,
) -> PreferenceService:
    """Wire the service. Raises SettingsError when a key is missing."""
    registry = registry or Registry()
    metrics, wake_signal, health = PreferenceMetrics(registry), WakeSignal(), Health()
    editor = PreferenceEditor(database, clock, metrics, OptOutEnforcer(orchestrator))
    events = settings.kafka.events_topic
    loop = ConsumeLoop(
        bus, database, PreferenceEventHandler(clock, metrics),
        group=CONSUMER_GROUP, topics=[events], clock=clock, stage=STAGE, dead_letter_topic=DEAD_LETTERS.name,
        metrics=PrometheusConsumerMetrics(registry, CONSUMER_GROUP, [events]), wake=wake_signal,
    )  # fmt: skip
    idempotency, key = IdempotencyStore(database), derive_token_key(settings.require("address_key"))
    app = build_app(
        title="Tactful: preference",
        registry=registry,
        health=health,
        keys=_build_key_ring(settings, orchestrator),
        routers=[
            preference_routes(database, editor),
            internal_routes(database, wake_signal),
            centre_routes(database, editor, clock, key),
        ],
        service_key=settings.require("service_key"),
        idempotency=idempotency,
        max_body=settings.web.max_body,
    )
    health.add_check("database", lambda: _check_database(database))
    topics = {events: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
    database_check = DatabaseMetrics(registry, "preference", database, [events]).update_gauges
    return PreferenceService(
        app, loop, bus=bus, health=health, idempotency=idempotency, topics=topics, database_check=database_check
    )


def _build_key_ring(settings: PreferenceSettings, orchestrator: OrchestratorApi) -> KeyRing:
    remote_keys = RemoteKeyRing(orchestrator.find_key)
    return KeyRingChain(EnvKeyRing(settings.require("admin_key")), remote_keys) if settings.admin_key else remote_keys


async def _check_database(database: Database) -> None:
    async with database.read() as tx:
        await store.get_topics(tx)
