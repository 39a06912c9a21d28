"""Builds the service from its parts; nothing happens before `start`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from fastapi import FastAPI

from schemas.topics import DEAD_LETTERS, EVENTS
from services.clients.orchestrator import Attempts
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.consumer_series import ConsumerSeries
from services.kit.bus.fence import Nudge
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseSeries, Look, keep_looking
from services.kit.errors import Transient
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeys, FirstOf, KeyRing, Principal, RemoteKeys
from services.kit.http.idempotency import Idempotency
from services.kit.observability.health import Health, Heartbeat
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import ServiceSettings
from services.preference import store
from services.preference.api import door_routes, preference_routes
from services.preference.centre.link_routes import centre_routes
from services.preference.consumer import GROUP, STAGE, Changes, Prepared
from services.preference.editor import Editor
from services.preference.link_tokens import token_key
from services.preference.metrics import Metrics
from services.preference.opt_out_enforcement import Enforcer

DRAIN = 5.0
"""Seconds that a batch under way may still take."""
BEAT = 1.0
"""Seconds between signs of life."""
TIDY = 3600.0
"""Seconds between removals of answers kept for too long."""


class OrchestratorDoor(Attempts, Protocol):
    """What this service asks of the orchestrator."""

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of an API key. Raises Transient."""


class Service:
    """The service, ready to start. `app` answers HTTP; `loop` reads the log; `task` is the loop at work."""

    def __init__(
        self,
        app: FastAPI,
        loop: ConsumeLoop[Prepared],
        *,
        bus: Bus,
        health: Health,
        idempotency: Idempotency,
        topics: dict[str, int],
        look: Look,
    ) -> None:
        self.app = app
        self.loop = loop
        self.health = health
        self.task: asyncio.Task[None] | None = None
        self._bus = bus
        self._idempotency = idempotency
        self._topics = topics
        self._look = look
        self._helpers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the topics, begin to read the log. The database must be at its newest step."""
        await self._bus.ensure_topics(self._topics)
        self.task = asyncio.create_task(self.loop.run(), name=GROUP)
        heartbeat = self.health.loop(GROUP)
        helpers = self._beat(heartbeat), self._tidy(), keep_looking(asyncio.Event(), self._look)
        self._helpers = [asyncio.create_task(helper) for helper in helpers]
        self.health.started = True

    def jobs(self) -> tuple[asyncio.Task[None], ...]:
        """The tasks that must not end before their time."""
        return () if self.task is None else (self.task,)

    async def stop(self, drain: float = DRAIN) -> None:
        """Finish the batch under way and stop reading. Raises what ended the loop before its time."""
        self.health.stopping = True
        await self.loop.stop(drain)
        for helper in self._helpers:
            helper.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)
        if self.task is not None:
            await self.task

    async def _beat(self, heartbeat: Heartbeat) -> None:
        while self.task is not None and not self.task.done():
            if self.loop.stuck() is None:
                heartbeat.beat()
            await asyncio.sleep(BEAT)

    async def _tidy(self) -> None:
        while True:
            with contextlib.suppress(Transient):
                await self._idempotency.forget()
            await asyncio.sleep(TIDY)


def build(
    settings: ServiceSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    orchestrator: OrchestratorDoor,
    registry: Registry | None = None,
) -> Service:
    """Wire the service. Raises SettingsError when a key is missing."""
    registry = registry or Registry()
    metrics, nudge, health = Metrics(registry), Nudge(), Health()
    editor = Editor(database, clock, metrics, Enforcer(orchestrator))
    events = settings.kafka.events_topic
    loop = ConsumeLoop(
        bus, database, Changes(clock, metrics),
        group=GROUP, topics=[events], clock=clock, stage=STAGE, dead_letter_topic=DEAD_LETTERS.name,
        metrics=ConsumerSeries(registry, GROUP, [events]), nudge=nudge,
    )  # fmt: skip
    idempotency, key = Idempotency(database), token_key(settings.need("address_key"))
    app = build_app(
        title="Tactful: preference",
        registry=registry,
        health=health,
        keys=_keys(settings, orchestrator),
        routers=[
            preference_routes(database, editor),
            door_routes(database, nudge),
            centre_routes(database, editor, clock, key),
        ],
        service_key=settings.need("service_key"),
        idempotency=idempotency,
        max_body=settings.web.max_body,
    )
    health.check("database", lambda: _reachable(database))
    topics = {events: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
    look = DatabaseSeries(registry, "preference", database, [events]).look
    return Service(app, loop, bus=bus, health=health, idempotency=idempotency, topics=topics, look=look)


def _keys(settings: ServiceSettings, orchestrator: OrchestratorDoor) -> KeyRing:
    remote = RemoteKeys(orchestrator.find_key)
    return FirstOf(EnvKeys(settings.need("admin_key")), remote) if settings.admin_key else remote


async def _reachable(database: Database) -> None:
    async with database.read() as tx:
        await store.topics(tx)
