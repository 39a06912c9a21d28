"""Wiring of the orchestrator; nothing runs before `start`.

A process has one role, and each role can be scaled alone: `api` answers HTTP, `decide` reads events and decides,
`dispatch` hands messages over to providers, `schedule` evaluates deferred messages when they are due. `all` is every
role in one process. Every role serves HTTP, for health and metrics.
"""

import os
import secrets
from functools import partial
from typing import Literal

from fastapi import FastAPI

from schemas.topics import DEAD_LETTERS, EVENTS, MESSAGES
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.audit_signature import HeadKey
from services.kit.bus.consume_loop import ConsumeLoop
from services.kit.bus.consumer_series import PrometheusConsumerMetrics
from services.kit.bus.outgoing import delete_left_over
from services.kit.bus.protocol import Bus
from services.kit.bus.topic_publisher import TopicPublisher
from services.kit.db.database import Database, Tx
from services.kit.db.database_series import DatabaseMetrics
from services.kit.http.idempotency import IdempotencyStore
from services.kit.observability.dependency import dependency_gauge
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import repeat_every, run_periodic_checks
from services.kit.runtime.service import EXPIRY_SECONDS, Service
from services.orchestrator.audit_log.head_publisher import PUBLISH_SECONDS, HeadPublisher
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.components import Components
from services.orchestrator.console.sign_in_page import SignInLinks
from services.orchestrator.dead_letters.redrive_runner import RedriveRunner
from services.orchestrator.decisions.accepted_events import AcceptedEventExpiry
from services.orchestrator.decisions.backlog_gauges import backlog_check, catalogue_check
from services.orchestrator.decisions.message_life import render_changes
from services.orchestrator.decisions.pipeline import Pipeline
from services.orchestrator.decisions.scheduler import Scheduler
from services.orchestrator.delivery.adapter_secrets import LOOK_INTERVAL
from services.orchestrator.delivery.adapter_trouble import NOTE_INTERVAL, TroubleNotes
from services.orchestrator.delivery.adapters.registry import list_retentions
from services.orchestrator.delivery.claims import InlineDelivery, OutboxClaimer
from services.orchestrator.delivery.dispatcher import Dispatcher
from services.orchestrator.delivery.provider_waits import provider_wait_check
from services.orchestrator.delivery.receipts.relay import ReceiptRelay
from services.orchestrator.delivery.receipts.undecided_gauges import undecided_check
from services.orchestrator.delivery.recovery import AttemptRecovery
from services.orchestrator.delivery.retry_budget import RetryBudget
from services.orchestrator.holds.release import HoldReleaser
from services.orchestrator.http_app import build_console_context, build_http_app
from services.orchestrator.insight.audit.auditor import Auditor
from services.orchestrator.insight.simulations.runner import SimulationRunner
from services.orchestrator.retention.retention_rules import list_kept_kinds
from services.orchestrator.seen_names.sampler import NameSampler
from services.orchestrator.seen_names.store import SAVE_SECONDS, NameSaver
from services.orchestrator.settings import OrchestratorSettings
from services.retention.log_retention import check_retention
from services.retention.sweeper import SWEEP_SECONDS, RetentionMetrics, RetentionSweeper

Role = Literal["api", "decide", "dispatch", "schedule", "all"]
ROLES: tuple[Role, ...] = ("api", "decide", "dispatch", "schedule", "all")
GROUP = "tactful-orchestrator"
DECIDE_STAGE = "decide"


class OrchestratorService(Service):
    """The orchestrator, ready to start. `scheduler` is None where the process does not have that role."""

    def __init__(
        self,
        app: FastAPI,
        health: Health,
        bus: Bus,
        components: Components,
        sign_in: SignInLinks,
        idempotency: IdempotencyStore,
    ) -> None:
        topics = {
            components.settings.kafka.events_topic: EVENTS.partitions,
            DEAD_LETTERS.name: DEAD_LETTERS.partitions,
        }
        super().__init__(app, health, bus, topics, idempotency)
        self.components = components
        self.sign_in = sign_in
        self.scheduler: Scheduler | None = None


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
    """Wires the service.

    `free_running`: the scheduler and the auditor run by themselves; otherwise the caller runs them, as in virtual time.
    `is_sole_dispatcher`: no other dispatcher can be alive on this database, as with a locked data directory; attempts
    that a killed process left open are then closed at start.
    Raises SettingsError when a key is missing or an adapter is not configured.
    """
    components = Components(settings, database, clock, preference, suppression, registry or Registry())
    health, idempotency = Health(), IdempotencyStore(database)
    health.add_check("database", lambda: database.check_readable(_read_catalogue_state))
    health.add_check("policy", partial(_check_policy, database, components.snapshot), required=False)
    dependency_gauge(components.registry, "database", "kafka", "preference", "suppression")
    console_context = build_console_context(components, bus, health)
    app = build_http_app(components, console_context, idempotency)
    sign_in = SignInLinks(console_context.sessions, settings.web.public_url)
    service = OrchestratorService(app, health, bus, components, sign_in, idempotency)
    if settings.kafka.messages_topic is not None:
        database.out_topics = {MESSAGES.name: settings.kafka.messages_topic}
        service.add_topic(settings.kafka.messages_topic, MESSAGES.partitions)
    events = [settings.kafka.events_topic]
    service.add_tracer(components.tracer)
    _add_adapter_jobs(service, components, hands_over=role in ("decide", "dispatch", "all"))
    checks = [
        DatabaseMetrics(components.registry, "orchestrator", database, events).update_gauges,
        catalogue_check(database, components.snapshot, components.backlog_metrics),
    ]
    if role in ("schedule", "all"):
        checks.append(backlog_check(database, clock, components.backlog_metrics))
        checks.append(undecided_check(database, components.receipt_metrics))
        checks.append(provider_wait_check(database, components.adapters, components.delivery_metrics))
    service.add_checks(*checks)
    if role in ("decide", "all"):
        _add_decide_role(service, components, bus)
    if role in ("schedule", "all"):
        _add_schedule_role(service, components, bus, free_running)
        _add_retention(service, components, bus)
    if role in ("dispatch", "all"):
        _add_dispatch_role(service, components, is_sole_dispatcher)

    return service


def _add_adapter_jobs(service: OrchestratorService, components: Components, *, hands_over: bool) -> None:
    """What a process does for its adapters beside handing over: their secrets are taken anew by those that only take
    receipts as well.
    """
    if hands_over:
        notes = TroubleNotes(components.database, components.delivery.health, _new_owner_id())
        service.add_job("adapter troubles", partial(repeat_every, NOTE_INTERVAL, notes.note))
    try_again = components.delivery.try_again if hands_over else _nothing_to_try
    service.add_job("link visits", components.visits.run_until_stopped)
    look = partial(components.look_at_secrets, try_again)
    service.add_job("adapter secrets", partial(repeat_every, LOOK_INTERVAL, look))

    async def close_adapters() -> None:
        for adapter in components.adapters.by_name.values():
            await adapter.close()

    service.after_stop(close_adapters)


def _nothing_to_try(adapter: str) -> None:
    """This process hands nothing over."""


def _new_owner_id() -> str:
    """Returns an owner of claims that no other process has, before or after this one."""
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"


def _add_decide_role(service: OrchestratorService, components: Components, bus: Bus) -> None:
    database, clock, events = components.database, components.clock, [components.settings.kafka.events_topic]
    inline_delivery = InlineDelivery(_new_owner_id(), components.hash_address, components.delivery)
    names = NameSampler()
    handler = Pipeline(
        components.evaluator,
        clock,
        components.decision_metrics,
        components.shadow,
        components.erasure_intake,
        inline_delivery,
        names,
        components.tracer,
    )
    loop = ConsumeLoop(
        bus,
        database,
        handler,
        group=GROUP,
        topics=events,
        clock=clock,
        stage=DECIDE_STAGE,
        dead_letter_topic=DEAD_LETTERS.name,
        metrics=PrometheusConsumerMetrics(components.registry, GROUP, events),
        wake=components.decided_signal,
    )

    async def finish_inline_deliveries() -> None:
        inline_delivery.stop_claiming()
        await inline_delivery.wait_until_idle()

    service.add_consume_loop(GROUP, loop, then=finish_inline_deliveries)
    service.add_job("seen names", partial(repeat_every, SAVE_SECONDS, NameSaver(database, names, clock).save))


def _add_schedule_role(service: OrchestratorService, components: Components, bus: Bus, free_running: bool) -> None:
    database, clock = components.database, components.clock
    releaser = HoldReleaser(database, components.suppression, clock, components.hold_metrics)
    service.scheduler = Scheduler(
        database,
        components.evaluator,
        releaser.release_ended_holds,
        clock,
        components.decision_metrics,
        RetryBudget(components.delivery_metrics),
    )
    _add_audit_heads(service, components)
    expiry = AcceptedEventExpiry(database, clock)
    service.add_job("accepted events", partial(repeat_every, EXPIRY_SECONDS, expiry.delete_expired))
    service.add_job("erasure", components.eraser.run_until_stopped)
    service.add_job("dead letters", partial(repeat_every, EXPIRY_SECONDS, components.own_letters.delete_expired))
    service.add_job("redrive", RedriveRunner(database, components.letters, clock).run_until_stopped)
    receipts = ReceiptRelay(database, bus, components.settings.kafka.events_topic, components.receipt_intake)
    service.add_job("receipts", receipts.run_until_stopped)
    if components.settings.kafka.messages_topic is not None:
        publisher = _build_publisher(components, bus, components.settings.kafka.messages_topic)
        service.add_job("messages topic", publisher.run_until_stopped)
        service.add_job("messages topic gauge", lambda stop: run_periodic_checks(stop, publisher.update_gauge))
    service.add_job("left over", partial(repeat_every, EXPIRY_SECONDS, lambda: delete_left_over(database, clock.now())))
    components.contact_import.add_jobs(service)
    service.add_job("exports", components.exports.run_until_stopped)
    service.add_job("simulations", SimulationRunner(database, components.recorder, clock).run_until_stopped)
    if free_running:
        auditor = Auditor(database, components.recorder, clock, components.audit_metrics)
        service.add_job("schedule", service.scheduler.run_until_stopped)
        service.add_job("audit", auditor.run_until_stopped)


def _add_audit_heads(service: OrchestratorService, components: Components) -> None:
    """The hourly signature of the audit log, where a key for it is set."""
    audit = components.settings.audit
    if audit.key is not None:
        key = HeadKey(audit.key.get_secret_value())
        publisher = HeadPublisher(components.database, components.clock, key, audit.heads_file)
        service.add_job("audit heads", partial(repeat_every, PUBLISH_SECONDS, publisher.publish_head))


def _build_publisher(components: Components, bus: Bus, topic: str) -> TopicPublisher:
    return TopicPublisher(
        components.database,
        bus,
        topic,
        _new_owner_id(),
        partial(render_changes, topic),
        components.topic_metrics,
        label=MESSAGES.name,
    )


def _add_retention(service: OrchestratorService, components: Components, bus: Bus) -> None:
    for adapter, expiry_of in list_retentions(components.settings, components.database, components.clock).items():
        service.add_job(f"retention {adapter}", partial(repeat_every, EXPIRY_SECONDS, expiry_of))
    settings = components.settings.retention
    kinds = list_kept_kinds(settings)
    if settings.decisions is not None:
        effect = "one that is read again after its decisions have been deleted would be decided again"
        topic = components.settings.kafka.events_topic
        service.before_jobs(partial(check_retention, bus, topic, settings.decisions, "decisions", effect))
    metrics = RetentionMetrics(components.registry, "orchestrator", kinds)
    sweeper = RetentionSweeper(components.database, components.clock, kinds, metrics)
    service.health.add_check("retention", sweeper.check_lateness, required=False)
    service.add_job("retention", partial(repeat_every, SWEEP_SECONDS, sweeper.delete_expired))


def _add_dispatch_role(service: OrchestratorService, components: Components, is_sole_dispatcher: bool) -> None:
    database, clock = components.database, components.clock
    recovery = AttemptRecovery(database, components.adapters, clock, components.handover_limits)
    claimer = OutboxClaimer(_new_owner_id(), components.address_key, components.adapters.memories)
    dispatcher = Dispatcher(database, claimer, components.delivery, recovery, clock)
    if is_sole_dispatcher:
        service.before_jobs(recovery.close_all_open)
    service.before_jobs(dispatcher.start)
    service.add_job("dispatch", dispatcher.run_until_stopped)


async def _read_catalogue_state(tx: Tx) -> None:
    await tx.row("SELECT version FROM catalogue_state")


async def _check_policy(database: Database, snapshot: CatalogueSnapshot) -> None:
    """Raises UnreadablePolicy while the active policy stops all decisions."""
    async with database.read() as tx:
        await snapshot.get_catalogue(tx)
