"""Builds the service from its parts; nothing happens before `start`."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter, FastAPI

from schemas.topics import DEAD_LETTERS, EVENTS
from services.clients.orchestrator import Attempts
from services.clients.suppression import fingerprint
from services.condition import compile_condition
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.consumer_series import ConsumerSeries
from services.kit.bus.fence import Nudge
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseSeries, keep_looking
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeys, FirstOf, KeyRing, Principal, RemoteKeys
from services.kit.http.idempotency import Idempotency
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import ServiceSettings
from services.suppression.api import (
    alertmanager_webhook,
    entry_routes,
    hold_plan_route,
    hold_routes,
    internal_api,
    situation_routes,
)
from services.suppression.consumer import Ingest, Kinds, Prepared
from services.suppression.entry_gauges import Counting
from services.suppression.entry_registration import Desk, new_id
from services.suppression.metrics import Metrics
from services.suppression.situation_intervals import Condition
from services.suppression.store import situation_store as store
from services.suppression.suppression_enforcement import Enforcer
from services.suppression.suppression_errors import OtherAddressKey

GROUP = "tactful-suppression"
STAGE = "suppression"
DRAIN = 5.0
"""Seconds that a batch under way may still take."""
BEAT = 1.0
"""Seconds between signs of life."""
COUNT_EVERY = 60
"""Beats between counts of entries and holds."""
BULK_BODY = 4 * 1024 * 1024
"""Bytes: room for 10,000 rows."""


class Orchestrator(Attempts, hold_plan_route.Planner, Protocol):
    """What this service asks of the orchestrator: services.clients.orchestrator.OrchestratorClient."""

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of an API key. Raises Transient."""


class Service:
    """The service, ready to start. `app` answers HTTP; `loop` reads the log; `task` is the loop at work."""

    def __init__(self, parts: "Parts", app: FastAPI, loop: ConsumeLoop[Prepared], health: Health) -> None:
        self.app = app
        self.loop = loop
        self.health = health
        self.task: asyncio.Task[None] | None = None
        self._parts = parts
        self._helpers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the topics, begin to read the log. The database must be at its newest step.

        Raises OtherAddressKey when its addresses were kept under another key: none of them would be found any more.
        """
        ours = fingerprint(self._parts.address_key)
        async with self._parts.database.write() as tx:
            settled = await store.settle_address_key(tx, ours)
        if settled != ours:
            raise OtherAddressKey(
                "TACTFUL_ADDRESS_KEY is not the key under which this database keeps addresses: "
                "no suppressed address would be found. Start with the key of before"
            )
        topics = {self._parts.topic: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
        await self._parts.bus.ensure_topics(topics)
        self.task = asyncio.create_task(self.loop.run(), name=GROUP)
        looks = self._parts.series.look, self._parts.counting.kinds
        helpers = self._live(), keep_looking(asyncio.Event(), *looks)
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

    async def _live(self) -> None:
        heartbeat, beats = self.health.loop(GROUP), 0
        while self.task is not None and not self.task.done():
            if self.loop.stuck() is None:
                heartbeat.beat()
            if beats % COUNT_EVERY == 0:
                await self._parts.counting.once()
            beats += 1
            await asyncio.sleep(BEAT)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes, the loop and the service share."""

    database: Database
    bus: Bus
    clock: Clock
    topic: str
    address_key: bytes
    registry: Registry
    metrics: Metrics
    kinds: Kinds
    nudge: Nudge
    counting: Counting
    series: DatabaseSeries


def build(
    settings: ServiceSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    orchestrator: Orchestrator,
    registry: Registry | None = None,
) -> Service:
    """Wire the service. Raises SettingsError when a key is missing."""
    registry = registry or Registry()
    metrics, kinds = Metrics(registry), Kinds(compile_for_events)
    parts = Parts(
        database=database,
        bus=bus,
        clock=clock,
        topic=settings.kafka.events_topic,
        address_key=settings.need("address_key").encode(),
        registry=registry,
        metrics=metrics,
        kinds=kinds,
        nudge=Nudge(),
        counting=Counting(database, clock, metrics, kinds),
        series=DatabaseSeries(registry, "suppression", database, [settings.kafka.events_topic]),
    )
    health = Health()
    health.check("database", lambda: _reachable(database))
    app = build_app(
        title="Tactful: suppression",
        registry=registry,
        health=health,
        keys=_keys(settings, orchestrator),
        routers=_routers(parts, orchestrator),
        service_key=settings.need("service_key"),
        idempotency=Idempotency(database),
        max_body=max(settings.web.max_body, BULK_BODY),
    )
    return Service(parts, app, _loop(parts), health)


def _loop(parts: Parts) -> ConsumeLoop[Prepared]:
    return ConsumeLoop(
        parts.bus,
        parts.database,
        Ingest(parts.database, parts.kinds, parts.clock, parts.metrics, new_id),
        group=GROUP,
        topics=[parts.topic],
        clock=parts.clock,
        stage=STAGE,
        dead_letter_topic=DEAD_LETTERS.name,
        metrics=ConsumerSeries(parts.registry, GROUP, [parts.topic]),
        nudge=parts.nudge,
    )


def _routers(parts: Parts, orchestrator: Orchestrator) -> list[APIRouter]:
    database, clock, enforcer = parts.database, parts.clock, Enforcer(orchestrator, parts.metrics)
    facts = internal_api.Facts(database, clock, parts.nudge, parts.topic, fingerprint(parts.address_key))
    hands = situation_routes.SituationDesk(database, parts.bus, parts.topic, parts.kinds, clock, parts.nudge)
    return [
        entry_routes.router(database, Desk(parts.address_key), enforcer, clock),
        alertmanager_webhook.router(database, enforcer, clock, parts.metrics),
        hold_routes.router(database, enforcer, clock),
        hold_plan_route.router(database, orchestrator, clock),
        situation_routes.router(hands),
        internal_api.router(facts, database, clock, compile_for_events),
    ]


def compile_for_events(text: str, variables: frozenset[str]) -> Condition:
    """A condition over an event alone."""
    return compile_condition(text, variables)


def _keys(settings: ServiceSettings, orchestrator: Orchestrator) -> KeyRing:
    remote = RemoteKeys(orchestrator.find_key)
    return FirstOf(EnvKeys(settings.need("admin_key")), remote) if settings.admin_key else remote


async def _reachable(database: Database) -> None:
    async with database.read() as tx:
        await store.handed(tx)
