"""Collects the API routes of the orchestrator and gives each the objects it works with."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter

from schemas.campaign import Campaign
from schemas.finding import Finding
from schemas.link_tokens import LinkBuilder
from schemas.message import Message
from schemas.times import Instant
from services.clients.address_hashes import AddressHasher
from services.erasure.erased_customers import ErasedCustomers
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Bus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database
from services.kit.http.auth import KeyRing
from services.kit.http.dead_letter_routes import dead_letter_routes
from services.kit.runtime.clock import Clock
from services.orchestrator import internal_api, removal_checks, runbooks
from services.orchestrator.access import api as access_api
from services.orchestrator.audit_log import api as audit_log_api
from services.orchestrator.audit_log.recorder import AuditRecorder
from services.orchestrator.campaigns import api as campaigns_api
from services.orchestrator.campaigns import policy_api, preview_api
from services.orchestrator.campaigns.lint import with_confirmations, with_senders, with_windows
from services.orchestrator.campaigns.policy_workflow import SituationsApi, TopicsApi
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.dead_letters import api as dead_letters_api
from services.orchestrator.dead_letters.directory import DeadLetterDirectory
from services.orchestrator.decisions import api as decisions_api
from services.orchestrator.decisions import contacts_api, event_intake, events_api
from services.orchestrator.decisions.erasure_intake import ErasuresApi
from services.orchestrator.decisions.evaluator import Evaluator
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.metrics import IngestMetrics
from services.orchestrator.delivery import adapters_api
from services.orchestrator.delivery import api as delivery_api
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.adapters.registry import create_adapter_routes
from services.orchestrator.delivery.channels.content_work import check_content
from services.orchestrator.delivery.links import tracked_link_routes
from services.orchestrator.delivery.links.visit_recorder import VisitRecorder
from services.orchestrator.delivery.receipts import api as receipts_api
from services.orchestrator.delivery.receipts import replies_api
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from services.orchestrator.delivery.rendering import explanation_renderer
from services.orchestrator.erasure import api as erasure_api
from services.orchestrator.erasure.proof import ErasureProofs
from services.orchestrator.explain import api as explain_api
from services.orchestrator.explain import timeline_api
from services.orchestrator.explain.explainer import Explainer
from services.orchestrator.explain.replay import Replayer
from services.orchestrator.explain.wording import explained_document
from services.orchestrator.holds import api as holds_api
from services.orchestrator.holds.lift_plan import HoldPlanner
from services.orchestrator.insight.audit import api as audit_api
from services.orchestrator.insight.shadow import api as shadow_api
from services.orchestrator.insight.simulations import api as simulations_api
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.sign_in import api as people_api
from services.orchestrator.subject_export import api as export_api


def orchestrator_routes(
    database: Database,
    bus: Bus,
    clock: Clock,
    *,
    topic: str,
    decided_signal: WakeSignal,
    ring: KeyRing,
    audit: AuditRecorder,
    topics: TopicsApi,
    situations: SituationsApi,
    facts_reader: FactsReader,
    evaluator: Evaluator,
    snapshot: CatalogueSnapshot,
    link_builder: LinkBuilder,
    letters: DeadLetterDirectory,
    erased: ErasedCustomers,
    other_services: Mapping[str, ErasuresApi],
    signature: SenderSignature,
    settings: OrchestratorSettings,
    adapters: Adapters,
    adapter_settings: Callable[[str], Any],
    receipt_intake: ReceiptIntake,
    receipt_metrics: ReceiptMetrics,
    visits: VisitRecorder,
    ingest_metrics: IngestMetrics | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> list[APIRouter]:
    """Builds the routers, one for each kind of resource."""
    event_log = event_intake.EventLog(
        *(bus, topic, database, decided_signal, snapshot, erased, signature, settings.region, ingest_metrics)
    )
    return [
        campaigns_api.campaign_routes(database, clock, _check_for(settings)),
        policy_api.policy_routes(database, clock, topics, situations),
        shadow_api.shadow_routes(database),
        simulations_api.simulation_routes(database, clock, check_content),
        audit_api.violation_routes(database),
        *_access_routes(database, clock, erased),
        events_api.event_routes(event_log, clock),
        decisions_api.decision_routes(database, explained_document, Replayer(database, facts_reader).replay_document),
        delivery_api.message_routes(database, adapters),
        *create_adapter_routes(adapter_settings, database, clock, receipt_intake.take, is_stopping),
        adapters_api.adapter_routes(database, adapters, settings),
        *_receipt_routes(database, settings, adapter_settings, receipt_intake, receipt_metrics, visits, clock),
        contacts_api.contact_routes(database),
        _why_routes(
            database, snapshot, facts_reader, clock, explanation_renderer(snapshot, link_builder, settings), adapters
        ),
        timeline_api.timeline_routes(database, snapshot, facts_reader, clock),
        preview_api.preview_routes(
            preview_api.Previewer(database, snapshot, facts_reader, link_builder, settings, clock)
        ),
        *_internal_routes(database, ring, audit, snapshot, facts_reader, settings, clock),
        dead_letters_api.dead_letter_api(database, letters, clock),
        dead_letter_routes("orchestrator", letters.source("orchestrator")),
        *_privacy_routes(database, clock, erased, other_services, settings),
        *_hold_routes(database, clock, evaluator, snapshot),
        runbooks.runbook_routes(),
    ]


def _access_routes(database: Database, clock: Clock, erased: ErasedCustomers) -> list[APIRouter]:
    keys, people = access_api.key_routes(database, clock), people_api.people_routes(database, clock)
    return [keys, people, audit_log_api.audit_log_routes(database, erased.pseudonyms.of_customer)]


def _hold_routes(
    database: Database, clock: Clock, evaluator: Evaluator, snapshot: CatalogueSnapshot
) -> list[APIRouter]:
    planner = HoldPlanner(database, evaluator, clock)
    return [holds_api.hold_plan_routes(planner), holds_api.scope_name_routes(database, snapshot)]


def _receipt_routes(
    database: Database,
    settings: OrchestratorSettings,
    adapter_settings: Callable[[str], Any],
    intake: ReceiptIntake,
    metrics: ReceiptMetrics,
    visits: VisitRecorder,
    clock: Clock,
) -> list[APIRouter]:
    """What providers and links of our own tell of messages, and what customers have answered."""
    told = receipts_api.receipt_routes(settings, adapter_settings, intake, metrics, clock)
    links = tracked_link_routes.link_routes(settings.tracked_links, visits, clock)
    return [told, links, replies_api.reply_routes(database, intake.reply_decisions)]


def _privacy_routes(
    database: Database,
    clock: Clock,
    erased: ErasedCustomers,
    other_services: Mapping[str, ErasuresApi],
    settings: OrchestratorSettings,
) -> list[APIRouter]:
    return [
        erasure_api.erasure_routes(ErasureProofs(database, erased.pseudonyms, other_services)),
        export_api.export_routes(database, clock, erased, settings.retention.exports),
    ]


def _why_routes(
    database: Database,
    snapshot: CatalogueSnapshot,
    facts_reader: FactsReader,
    clock: Clock,
    render: Callable[[PlannedMessage, Facts, Instant], Message],
    adapters: Adapters,
) -> APIRouter:
    return explain_api.why_routes(Explainer(database, snapshot, facts_reader, clock, render), adapters)


def _internal_routes(
    database: Database,
    ring: KeyRing,
    audit: AuditRecorder,
    snapshot: CatalogueSnapshot,
    facts_reader: FactsReader,
    settings: OrchestratorSettings,
    clock: Clock,
) -> list[APIRouter]:
    hasher = AddressHasher(settings.require("address_key").encode(), settings.region)
    return [
        internal_api.internal_routes(database, ring, audit),
        removal_checks.removal_check_routes(database, snapshot, facts_reader, hasher, clock),
    ]


def _check_for(settings: OrchestratorSettings) -> Callable[[Campaign], list[Finding]]:
    """The check of contents, with what the settings of this installation mean for a campaign."""
    sending = [channel for channel in settings.adapters if settings.leaves_installation(channel)]
    shared = [channel for channel in settings.adapters if settings.shares_window(channel)]
    check = with_windows(with_confirmations(check_content, settings.silent_adapters()), shared)
    return with_senders(check, settings.mail, sending)
