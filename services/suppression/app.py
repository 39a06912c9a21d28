"""Builds the service from its parts; nothing happens before `start`."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter, FastAPI

from schemas.topics import DEAD_LETTERS, EVENTS
from services.clients.orchestrator import AttemptsApi
from services.clients.suppression import address_key_fingerprint
from services.condition import compile_condition
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.consumer_series import PrometheusConsumerMetrics
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseMetrics, run_periodic_checks
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeyRing, KeyRing, KeyRingChain, Principal, RemoteKeyRing
from services.kit.http.idempotency import IdempotencyStore
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.suppression.api import (
    alertmanager_webhook,
    entry_routes,
    hold_plan_route,
    hold_routes,
    internal_api,
    situation_routes,
)
from services.suppression.consumer import SituationKindsCache, SuppressionBatch, SuppressionEventHandler
from services.suppression.entry_gauges import SuppressionGauges
from services.suppression.entry_registration import SuppressionList, new_entry_id
from services.suppression.metrics import SuppressionMetrics
from services.suppression.settings import SuppressionSettings
from services.suppression.situation_intervals import EventCondition
from services.suppression.store import situation_store as store
from services.suppression.suppression_enforcement import SuppressionEnforcer
from services.suppression.suppression_errors import AddressKeyMismatch

CONSUMER_GROUP = "tactful-suppression"
STAGE = "suppression"
DRAIN_SECONDS = 5.0
"""Seconds that a batch under way may still take."""
HEARTBEAT_SECONDS = 1.0
"""Seconds between signs of life."""
BEATS_PER_COUNT = 60
"""Beats between counts of entries and holds."""
MAX_BULK_BODY = 4 * 1024 * 1024
"""Bytes: room for 10,000 rows."""


class OrchestratorHoldApi(AttemptsApi, hold_plan_route.HoldPlanApi, Protocol):
    """What this service asks of the orchestrator: services.clients.orchestrator.OrchestratorClient."""

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of an API key. Raises Transient."""


class SuppressionService:
    """The service, ready to start. `app` answers HTTP; `loop` reads the log; `task` is the loop at work."""

    def __init__(
        self, components: "SuppressionComponents", app: FastAPI, loop: ConsumeLoop[SuppressionBatch], health: Health
    ) -> None:
        self.app = app
        self.consume_loop = loop
        self.health = health
        self.consume_task: asyncio.Task[None] | None = None
        self._components = components
        self._background_tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the topics, begin to read the log. The database must be at its newest step.

        Raises OtherAddressKey when its addresses were kept under another key: none of them would be found any more.
        """
        own_fingerprint = address_key_fingerprint(self._components.address_key)
        async with self._components.database.write() as tx:
            stored_fingerprint = await store.register_address_key(tx, own_fingerprint)
        if stored_fingerprint != own_fingerprint:
            raise AddressKeyMismatch(
                "TACTFUL_ADDRESS_KEY is not the key under which this database keeps addresses: "
                "no suppressed address would be found. Start with the key of before"
            )
        topics = {self._components.topic: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
        await self._components.bus.ensure_topics(topics)
        self.consume_task = asyncio.create_task(self.consume_loop.run(), name=CONSUMER_GROUP)
        checks = self._components.database_metrics.update_gauges, self._components.gauges.refresh_kinds
        background_tasks = self._run_heartbeat(), run_periodic_checks(asyncio.Event(), *checks)
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

    async def _run_heartbeat(self) -> None:
        heartbeat, beats = self.health.add_loop(CONSUMER_GROUP), 0
        while self.consume_task is not None and not self.consume_task.done():
            if self.consume_loop.stuck_reason() is None:
                heartbeat.beat()
            if beats % BEATS_PER_COUNT == 0:
                await self._components.gauges.update_counts()
            beats += 1
            await asyncio.sleep(HEARTBEAT_SECONDS)


@dataclass(frozen=True, slots=True)
class SuppressionComponents:
    """What the routes, the loop and the service share."""

    database: Database
    bus: Bus
    clock: Clock
    topic: str
    address_key: bytes
    registry: Registry
    metrics: SuppressionMetrics
    kinds_cache: SituationKindsCache
    wake_signal: WakeSignal
    gauges: SuppressionGauges
    database_metrics: DatabaseMetrics


def build(
    settings: SuppressionSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    orchestrator: OrchestratorHoldApi,
    registry: Registry | None = None,
) -> SuppressionService:
    """Wire the service. Raises SettingsError when a key is missing."""
    registry = registry or Registry()
    metrics, kinds = SuppressionMetrics(registry), SituationKindsCache(compile_event_condition)
    components = SuppressionComponents(
        database=database,
        bus=bus,
        clock=clock,
        topic=settings.kafka.events_topic,
        address_key=settings.require("address_key").encode(),
        registry=registry,
        metrics=metrics,
        kinds_cache=kinds,
        wake_signal=WakeSignal(),
        gauges=SuppressionGauges(database, clock, metrics, kinds),
        database_metrics=DatabaseMetrics(registry, "suppression", database, [settings.kafka.events_topic]),
    )
    health = Health()
    health.add_check("database", lambda: _check_database(database))
    app = build_app(
        title="Tactful: suppression",
        registry=registry,
        health=health,
        keys=_build_key_ring(settings, orchestrator),
        routers=_build_routers(components, orchestrator),
        service_key=settings.require("service_key"),
        idempotency=IdempotencyStore(database),
        max_body=max(settings.web.max_body, MAX_BULK_BODY),
    )
    return SuppressionService(components, app, _build_consume_loop(components), health)


def _build_consume_loop(components: SuppressionComponents) -> ConsumeLoop[SuppressionBatch]:
    return ConsumeLoop(
        components.bus,
        components.database,
        SuppressionEventHandler(
            components.database, components.kinds_cache, components.clock, components.metrics, new_entry_id
        ),
        group=CONSUMER_GROUP,
        topics=[components.topic],
        clock=components.clock,
        stage=STAGE,
        dead_letter_topic=DEAD_LETTERS.name,
        metrics=PrometheusConsumerMetrics(components.registry, CONSUMER_GROUP, [components.topic]),
        wake=components.wake_signal,
    )


def _build_routers(components: SuppressionComponents, orchestrator: OrchestratorHoldApi) -> list[APIRouter]:
    database, clock, enforcer = (
        components.database,
        components.clock,
        SuppressionEnforcer(orchestrator, components.metrics),
    )
    facts = internal_api.FactsEndpoint(
        database, clock, components.wake_signal, components.topic, address_key_fingerprint(components.address_key)
    )
    situation_service = situation_routes.SituationService(
        database, components.bus, components.topic, components.kinds_cache, clock, components.wake_signal
    )
    return [
        entry_routes.suppression_routes(database, SuppressionList(components.address_key), enforcer, clock),
        alertmanager_webhook.alertmanager_routes(database, enforcer, clock, components.metrics),
        hold_routes.hold_routes(database, enforcer, clock),
        hold_plan_route.hold_plan_routes(database, orchestrator, clock),
        situation_routes.situation_routes(situation_service),
        internal_api.internal_routes(facts, database, clock, compile_event_condition),
    ]


def compile_event_condition(text: str, variables: frozenset[str]) -> EventCondition:
    """A condition over an event alone."""
    return compile_condition(text, variables)


def _build_key_ring(settings: SuppressionSettings, orchestrator: OrchestratorHoldApi) -> KeyRing:
    remote_keys = RemoteKeyRing(orchestrator.find_key)
    return KeyRingChain(EnvKeyRing(settings.require("admin_key")), remote_keys) if settings.admin_key else remote_keys


async def _check_database(database: Database) -> None:
    async with database.read() as tx:
        await store.get_active_situations(tx)
