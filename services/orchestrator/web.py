"""The orchestrator over HTTP: the API for programs and the console for people, on the same functions."""

from fastapi import FastAPI

from services.kit.auth import EnvKeys, FirstOf, KeyRing
from services.kit.bus import Bus
from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.health import Health
from services.kit.idempotency import Idempotency
from services.kit.metrics import Registry
from services.kit.sessions import Sessions
from services.kit.settings import ServiceSettings
from services.kit.web import build_app
from services.orchestrator.api.why import Explainer
from services.orchestrator.catalogue.keys import DatabaseKeys
from services.orchestrator.console import routes as console
from services.orchestrator.delivery.adapters.sandbox import Sandbox
from services.orchestrator.parts import Parts
from services.orchestrator.routes import routers
from services.preference.client import PreferenceClient
from services.suppression.client import SuppressionClient


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
