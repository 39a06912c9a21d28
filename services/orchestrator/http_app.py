"""The orchestrator over HTTP: the API for programs and the console for people, on the same functions."""

from fastapi import FastAPI

from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeys, FirstOf, KeyRing
from services.kit.http.idempotency import Idempotency
from services.kit.http.sessions import Sessions
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import ServiceSettings
from services.orchestrator.access.api_keys import DatabaseKeys
from services.orchestrator.api_routes import routers
from services.orchestrator.components import Parts
from services.orchestrator.console import page_routes as console
from services.orchestrator.delivery.adapters.sandbox import Sandbox
from services.orchestrator.explain.api import Explainer


def pages_of(
    settings: ServiceSettings,
    parts: Parts,
    database: Database,
    bus: Bus,
    clock: Clock,
    preference: PreferenceClient,
    suppression: SuppressionClient,
    registry: Registry,
    health: Health,
) -> console.Parts:
    """What the console works with."""
    return console.Parts(
        database=database,
        clock=clock,
        bus=bus,
        topic=settings.kafka.events_topic,
        snapshot=parts.snapshot,
        gatherer=parts.gatherer,
        preference=preference,
        suppression=suppression,
        explainer=Explainer(database, parts.snapshot, parts.gatherer, clock),
        sessions=Sessions(database, clock, path="/console", secure=settings.web.public_url.startswith("https:")),
        ring=_keys(settings, DatabaseKeys(database, clock)),
        health=health,
        registry=registry,
        sandbox=all(isinstance(adapter, Sandbox) for adapter in parts.adapters.values()),
    )


def app_of(
    settings: ServiceSettings,
    parts: Parts,
    pages: console.Parts,
    preference: PreferenceClient,
    suppression: SuppressionClient,
) -> FastAPI:
    """The API and the console."""
    api = routers(
        pages.database,
        pages.bus,
        pages.clock,
        topic=pages.topic,
        applied=parts.applied,
        ring=pages.ring,
        topics=preference,
        situations=suppression,
        gatherer=parts.gatherer,
        snapshot=parts.snapshot,
        links=parts.links,
        intake=parts.metrics.intake,
    )
    return build_app(
        title="Tactful: orchestrator",
        registry=pages.registry,
        health=pages.health,
        keys=pages.ring,
        routers=[*api, *console.routers(pages)],
        service_key=settings.need("service_key"),
        idempotency=Idempotency(pages.database),
        sessions=pages.sessions,
        max_body=settings.web.max_body,
    )


def _keys(settings: ServiceSettings, stored: DatabaseKeys) -> KeyRing:
    return FirstOf(EnvKeys(settings.need("admin_key")), stored) if settings.admin_key else stored
