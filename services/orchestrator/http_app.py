"""The HTTP app of the orchestrator: the API for programs and the console for people, on the same functions."""

from fastapi import FastAPI

from services.kit.bus.protocol import Bus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.http.app_factory import build_app
from services.kit.http.audit_trail import RequestAudit
from services.kit.http.auth import add_admin_key
from services.kit.http.idempotency import IdempotencyStore
from services.kit.http.rate_limits import LimitedKeyRing
from services.kit.http.sessions import SessionStore
from services.kit.observability.health import Health
from services.orchestrator.access.api_keys import DatabaseKeyRing
from services.orchestrator.agent_messages.agent_messages import AgentMessages
from services.orchestrator.api_routes import orchestrator_routes
from services.orchestrator.components import Components
from services.orchestrator.console import page_routes as console
from services.orchestrator.decisions.event_intake import EventLog
from services.orchestrator.delivery.adapters.registry import keep_all_messages
from services.orchestrator.delivery.channels.costs import CostEstimator
from services.orchestrator.delivery.rendering import explanation_renderer
from services.orchestrator.erasure.proof import ErasureProofs
from services.orchestrator.explain.explainer import Explainer
from services.orchestrator.holds.lift_plan import HoldPlanner
from services.orchestrator.sign_in.provider_sign_in import build_provider_sign_in


def build_console_context(components: Components, bus: Bus, health: Health) -> console.ConsoleContext:
    """Collects what the pages of the console work with."""
    settings, database, clock = components.settings, components.database, components.clock
    return console.ConsoleContext(
        database=database,
        clock=clock,
        bus=bus,
        topic=settings.kafka.events_topic,
        snapshot=components.snapshot,
        facts_reader=components.facts_reader,
        preference=components.preference,
        suppression=components.suppression,
        hold_planner=HoldPlanner(database, components.evaluator, clock),
        explainer=Explainer(
            database,
            components.snapshot,
            components.facts_reader,
            clock,
            explanation_renderer(components.snapshot, components.links, settings),
        ),
        letters=components.letters,
        sessions=SessionStore(
            database,
            clock,
            path="/console",
            secure=settings.web.public_url.startswith("https:"),
            takes_keys=settings.oidc.key_sign_in,
        ),
        provider_sign_in=build_provider_sign_in(settings, database, clock),
        audit=RequestAudit(
            *("orchestrator", components.audit_recorder, components.erased.pseudonyms.of_customer, components.registry)
        ),
        key_ring=add_admin_key(settings.admin_key, DatabaseKeyRing(database, clock)),
        health=health,
        registry=components.registry,
        costs=CostEstimator(settings),
        settings=settings,
        adapters=components.adapters,
        reply_decisions=components.receipt_intake.reply_decisions,
        erasures=ErasureProofs(
            database,
            components.erased.pseudonyms,
            {"preference": components.preference, "suppression": components.suppression},
        ),
        sandbox=keep_all_messages(components.settings),
        agent_messages=AgentMessages(_build_event_log(components, bus), clock, settings.agents.messages_per_day),
    )


def _build_event_log(components: Components, bus: Bus) -> EventLog:
    """Where the console publishes the events of agents."""
    settings = components.settings
    return EventLog(
        *(bus, settings.kafka.events_topic, components.database, components.decided_signal, components.snapshot),
        *(components.erased, SenderSignature(settings.require("service_key")), settings.region),
        components.ingest_metrics,
    )


def build_http_app(
    components: Components, console_context: console.ConsoleContext, idempotency: IdempotencyStore
) -> FastAPI:
    """Builds the app that serves the API and the console."""
    api = orchestrator_routes(
        console_context.database,
        console_context.bus,
        console_context.clock,
        topic=console_context.topic,
        decided_signal=components.decided_signal,
        signature=SenderSignature(components.settings.require("service_key")),
        ring=console_context.key_ring,
        audit=components.audit_recorder,
        topics=components.preference,
        situations=components.suppression,
        facts_reader=components.facts_reader,
        evaluator=components.evaluator,
        snapshot=components.snapshot,
        link_builder=components.links,
        letters=components.letters,
        erased=components.erased,
        other_services={"preference": components.preference, "suppression": components.suppression},
        ingest_metrics=components.ingest_metrics,
        settings=components.settings,
        adapters=components.adapters,
        adapter_settings=components.adapter_secrets.settings_of,
        receipt_intake=components.receipt_intake,
        receipt_metrics=components.receipt_metrics,
        visits=components.visits,
        is_stopping=lambda: console_context.health.stopping,
    )
    return build_app(
        title="Tactful: orchestrator",
        registry=console_context.registry,
        health=console_context.health,
        keys=LimitedKeyRing(console_context.key_ring),
        routers=[*api, components.contact_import.routes(), *console.console_routers(console_context)],
        service_key=components.settings.require("service_key"),
        idempotency=idempotency,
        sessions=console_context.sessions,
        max_body=components.settings.web.max_body,
        large_bodies=dict([components.contact_import.large_body]),
        rate=components.settings.web.rate,
        audit=console_context.audit,
        tracer=components.tracer,
        people=None if console_context.provider_sign_in is None else console_context.provider_sign_in.people,
    )
