"""The orchestrator over HTTP: the API for programs and the console for people, on the same functions."""

from fastapi import FastAPI

from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeyRing, KeyRing, KeyRingChain
from services.kit.http.idempotency import IdempotencyStore
from services.kit.http.sessions import SessionStore
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.orchestrator.access.api_keys import DatabaseKeyRing
from services.orchestrator.api_routes import orchestrator_routes
from services.orchestrator.components import Components
from services.orchestrator.console import page_routes as console
from services.orchestrator.delivery.adapters.registry import keep_all_messages
from services.orchestrator.explain.api import Explainer
from services.orchestrator.settings import OrchestratorSettings


def build_console_context(
    settings: OrchestratorSettings,
    components: Components,
    database: Database,
    bus: Bus,
    clock: Clock,
    preference: PreferenceClient,
    suppression: SuppressionClient,
    registry: Registry,
    health: Health,
) -> console.ConsoleContext:
    """What the console works with."""
    return console.ConsoleContext(
        database=database,
        clock=clock,
        bus=bus,
        topic=settings.kafka.events_topic,
        snapshot=components.snapshot,
        facts_reader=components.facts_reader,
        preference=preference,
        suppression=suppression,
        explainer=Explainer(database, components.snapshot, components.facts_reader, clock),
        sessions=SessionStore(database, clock, path="/console", secure=settings.web.public_url.startswith("https:")),
        key_ring=_key_ring(settings, DatabaseKeyRing(database, clock)),
        health=health,
        registry=registry,
        sandbox=keep_all_messages(components.adapters),
    )


def build_http_app(
    settings: OrchestratorSettings,
    components: Components,
    console_context: console.ConsoleContext,
    preference: PreferenceClient,
    suppression: SuppressionClient,
) -> FastAPI:
    """The API and the console."""
    api = orchestrator_routes(
        console_context.database,
        console_context.bus,
        console_context.clock,
        topic=console_context.topic,
        decided_signal=components.decided_signal,
        ring=console_context.key_ring,
        topics=preference,
        situations=suppression,
        facts_reader=components.facts_reader,
        evaluator=components.evaluator,
        snapshot=components.snapshot,
        link_builder=components.links,
        ingest_metrics=components.metrics.ingest,
    )
    return build_app(
        title="Tactful: orchestrator",
        registry=console_context.registry,
        health=console_context.health,
        keys=console_context.key_ring,
        routers=[*api, *console.console_routers(console_context)],
        service_key=settings.require("service_key"),
        idempotency=IdempotencyStore(console_context.database),
        sessions=console_context.sessions,
        max_body=settings.web.max_body,
    )


def _key_ring(settings: OrchestratorSettings, stored: DatabaseKeyRing) -> KeyRing:
    return KeyRingChain(EnvKeyRing(settings.require("admin_key")), stored) if settings.admin_key else stored
