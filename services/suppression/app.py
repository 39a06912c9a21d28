"""Wiring of the suppression service; nothing runs before `Service.start`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI

from schemas.addresses import address_key_fingerprint
from schemas.topics import DEAD_LETTERS, EVENTS
from services.bulk_import.sealed_parts import PartSeal
from services.bulk_import.wiring import BulkImport
from services.clients.opt_out_barrier import MAX_BARRIER_WAIT, AttemptsApi, OptOutBarrier
from services.clients.retention_settings import RetentionSettings
from services.condition import compile_condition
from services.erasure.erased_customers import ErasedCustomers
from services.erasure.eraser import Eraser
from services.kit.bus.consume_loop import LONGEST_PACE, ConsumeLoop
from services.kit.bus.consumer_series import PrometheusConsumerMetrics
from services.kit.bus.dead_letter_queue import DeadLetterQueue
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Bus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseMetrics
from services.kit.db.recent_changes import FORGET_SECONDS, RecentChanges
from services.kit.http.app_factory import build_app
from services.kit.http.audit_trail import AuditTrail, RequestAudit
from services.kit.http.auth import Principal, RemoteKeyRing, add_admin_key
from services.kit.http.dead_letter_routes import dead_letter_routes
from services.kit.http.idempotency import IdempotencyStore
from services.kit.http.rate_limits import LimitedKeyRing
from services.kit.observability.dependency import dependency_gauge
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.observability.tracing import start_tracing
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import repeat_every
from services.kit.runtime.service import EXPIRY_SECONDS, Service
from services.retention.log_retention import MarkRetention
from services.retention.sweeper import SWEEP_SECONDS, RetentionMetrics, RetentionSweeper
from services.suppression.api import (
    alertmanager_webhook,
    entry_routes,
    hold_routes,
    import_routes,
    internal_api,
    list_internal_api,
    removal_routes,
    situation_changes,
    situation_internal_api,
    situation_routes,
)
from services.suppression.api.scope_notes import NamesApi
from services.suppression.consumer import SuppressionBatch, SuppressionEventHandler
from services.suppression.entry_gauges import SuppressionGauges
from services.suppression.entry_registration import HashedSuppression, SuppressionList, new_entry_id
from services.suppression.erased_stores import ERASED_STORES
from services.suppression.erasure_steps import ERASE_STEPS
from services.suppression.imports.entry_import import ENTRY_IMPORTS, EntryImport
from services.suppression.imports.situation_wiring import build_situation_import
from services.suppression.metrics import SuppressionMetrics
from services.suppression.removals.removal_requests import RemovalChecksApi, RemovalRequests
from services.suppression.retention_rules import INBOX_KEYS, list_kept_kinds
from services.suppression.settings import SuppressionSettings
from services.suppression.situation_intervals import EventCondition
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import entry_store
from services.suppression.store import situation_store as store
from services.suppression.suppression_enforcement import SuppressionEnforcer
from services.suppression.suppression_errors import AddressKeyMismatch
from services.suppression.tables import WATCHED_TABLES

CONSUMER_GROUP = "tactful-suppression"
STAGE = "suppression"
COUNT_SECONDS = 60.0
"""Seconds between two counts of all entries."""
MAX_BULK_BODY = 4 * 1024 * 1024
"""Bytes: room for 10,000 rows."""


class OrchestratorHoldApi(AttemptsApi, AuditTrail, hold_routes.HoldPlanApi, NamesApi, RemovalChecksApi, Protocol):
    """What this service asks of the orchestrator: services.clients.orchestrator.OrchestratorClient."""

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of an API key. Raises Transient."""


@dataclass(frozen=True, slots=True)
class SuppressionComponents:
    """What the routes, the consume loop and the jobs share."""

    database: Database
    bus: Bus
    clock: Clock
    topic: str
    address_key: bytes
    region: str | None
    registry: Registry
    metrics: SuppressionMetrics
    kinds_cache: SituationKindsCache
    signature: SenderSignature
    wake_signal: WakeSignal
    gauges: SuppressionGauges
    handler: SuppressionEventHandler
    letters: DeadLetterQueue[SuppressionBatch]
    erased: ErasedCustomers
    eraser: Eraser
    changes: RecentChanges
    facts: internal_api.FactsEndpoint
    suppression_list: SuppressionList
    seal: PartSeal


class SuppressionService(Service):
    """The suppression service, ready to start."""

    def __init__(
        self,
        app: FastAPI,
        health: Health,
        components: SuppressionComponents,
        idempotency: IdempotencyStore,
        enforcer: SuppressionEnforcer,
        imports: Sequence[BulkImport[Any]],
    ) -> None:
        topics = {components.topic: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
        super().__init__(app, health, components.bus, topics, idempotency)
        self.components = components
        self.enforcer = enforcer
        self.imports = imports


def build(
    settings: SuppressionSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    orchestrator: OrchestratorHoldApi,
    registry: Registry | None = None,
    barrier_wait: float = MAX_BARRIER_WAIT,
) -> SuppressionService:
    """Wires the service. `barrier_wait`: see OptOutBarrier, in seconds. Raises SettingsError when a key is missing."""
    registry = registry or Registry()
    metrics, kinds = SuppressionMetrics(registry), SituationKindsCache(compile_event_condition)
    topic, wake_signal, changes = settings.kafka.events_topic, WakeSignal(), RecentChanges(database, WATCHED_TABLES)
    address_key = settings.require("address_key").encode()
    erased, eraser = ErasedCustomers(address_key), Eraser(database, ERASE_STEPS, stores=ERASED_STORES)
    handler = SuppressionEventHandler(
        database, kinds, clock, metrics, new_entry_id, erased, on_erasure=eraser.wake.notify
    )
    components = SuppressionComponents(
        database=database,
        bus=bus,
        clock=clock,
        topic=topic,
        address_key=address_key,
        region=settings.region,
        registry=registry,
        metrics=metrics,
        kinds_cache=kinds,
        signature=SenderSignature(settings.require("service_key")),
        wake_signal=wake_signal,
        gauges=SuppressionGauges(database, clock, metrics, kinds),
        handler=handler,
        letters=DeadLetterQueue("suppression", database, handler, clock, registry, topics=[topic], wake=wake_signal),
        erased=erased,
        eraser=eraser,
        changes=changes,
        facts=internal_api.FactsEndpoint(
            database, changes, clock, wake_signal, topic, address_key_fingerprint(address_key), erased.pseudonyms
        ),
        suppression_list=SuppressionList(address_key, settings.region),
        seal=PartSeal(address_key),
    )
    return _build_service(settings, components, orchestrator, barrier_wait)


def _build_service(
    settings: SuppressionSettings,
    components: SuppressionComponents,
    orchestrator: OrchestratorHoldApi,
    barrier_wait: float,
) -> SuppressionService:
    database, registry, metrics = components.database, components.registry, components.metrics
    health, idempotency = Health(), IdempotencyStore(database)
    health.add_check("database", lambda: database.check_readable(store.get_active_situations))
    dependency_gauge(registry, "database", "kafka", "orchestrator")
    enforcer = SuppressionEnforcer(OptOutBarrier(orchestrator, wait=barrier_wait), metrics)
    imports = _build_imports(components, enforcer)
    tracer = start_tracing(settings.traces, "suppression", registry)
    app = build_app(
        title="Tactful: suppression",
        registry=registry,
        health=health,
        keys=LimitedKeyRing(add_admin_key(settings.admin_key, RemoteKeyRing(orchestrator.find_key))),
        # Imports come first: `/v1/suppressions/{id}` would take their paths for the ids of entries.
        routers=[*(each.routes() for each in imports), *_build_routers(components, orchestrator, enforcer)],
        service_key=settings.require("service_key"),
        idempotency=idempotency,
        max_body=max(settings.web.max_body, MAX_BULK_BODY),
        large_bodies=dict(each.large_body for each in imports),
        rate=settings.web.rate,
        tracer=tracer,
        audit=RequestAudit("suppression", orchestrator, components.erased.pseudonyms.of_customer, registry),
    )
    service = SuppressionService(app, health, components, idempotency, enforcer, imports)
    service.add_tracer(tracer)
    service.before_jobs(partial(_check_address_key, database, address_key_fingerprint(components.address_key)))
    _add_jobs(service, components, settings.retention)
    for each in imports:
        each.add_jobs(service)
    return service


def _add_jobs(service: SuppressionService, components: SuppressionComponents, retention: RetentionSettings) -> None:
    _add_retention(service, components, retention)
    gauges = DatabaseMetrics(components.registry, "suppression", components.database, [components.topic])
    service.add_checks(gauges.update_gauges, components.gauges.refresh_kinds, components.gauges.update_holds)
    service.before_jobs(components.changes.check_triggers)
    service.add_job("recent changes", partial(repeat_every, FORGET_SECONDS, components.changes.forget_old))
    service.add_job("counts", partial(repeat_every, COUNT_SECONDS, components.gauges.update_entries))
    service.add_job("erasure", components.eraser.run_until_stopped)
    service.add_job("dead letters", partial(repeat_every, EXPIRY_SECONDS, components.letters.delete_expired))
    service.add_consume_loop(CONSUMER_GROUP, _build_consume_loop(components))


def _build_imports(components: SuppressionComponents, enforcer: SuppressionEnforcer) -> list[BulkImport[Any]]:
    """What this service imports: do-not-contact entries, and situations."""
    situations = build_situation_import(
        *(components.database, components.seal, components.clock, components.registry),
        *(components.kinds_cache, components.erased, enforcer, lambda: components.facts.questions),
    )
    return [create_entry_import(components, enforcer), situations]


def create_entry_import(
    components: SuppressionComponents, enforcer: SuppressionEnforcer
) -> BulkImport[HashedSuppression]:
    """What imports do-not-contact lists in this process."""
    steps = EntryImport(
        components.suppression_list,
        components.clock,
        components.metrics,
        enforcer,
        components.facts.answer_facts,
        address_key_fingerprint(components.address_key),
        lambda: components.facts.questions,
    )
    paths, database = import_routes.ENTRY_PATHS, components.database
    return BulkImport(paths, ENTRY_IMPORTS, steps, database, components.seal, components.clock)


def _add_retention(service: SuppressionService, components: SuppressionComponents, settings: RetentionSettings) -> None:
    kinds = list_kept_kinds(settings)
    metrics = RetentionMetrics(components.registry, "suppression", kinds)
    sweeper = RetentionSweeper(components.database, components.clock, kinds, metrics)

    marks = MarkRetention(components.bus, components.topic, settings.inbox_keys, partial(sweeper.keep_for, INBOX_KEYS))

    async def sweep() -> None:
        await marks.refresh()
        await sweeper.delete_expired()

    service.before_jobs(marks.check_days)
    service.health.add_check("retention", sweeper.check_lateness, required=False)
    service.add_job("retention", partial(repeat_every, SWEEP_SECONDS, sweep))


async def _check_address_key(database: Database, fingerprint: str) -> None:
    """Refuses a key other than the one that the stored addresses are hashed with. Raises AddressKeyMismatch."""
    async with database.write() as tx:
        stored_fingerprint = await entry_store.register_address_key(tx, fingerprint)
    if stored_fingerprint != fingerprint:
        raise AddressKeyMismatch(
            "TACTFUL_ADDRESS_KEY is not the key under which this database keeps addresses: "
            "no suppressed address would be found. Start with the previous key"
        )


def _build_consume_loop(components: SuppressionComponents) -> ConsumeLoop[SuppressionBatch]:
    return ConsumeLoop(
        components.bus,
        components.database,
        components.handler,
        group=CONSUMER_GROUP,
        topics=[components.topic],
        clock=components.clock,
        stage=STAGE,
        pace=LONGEST_PACE,  # answers alone depend on the log, and whoever waits for one lets it hurry
        dead_letter_topic=DEAD_LETTERS.name,
        metrics=PrometheusConsumerMetrics(components.registry, CONSUMER_GROUP, [components.topic]),
        wake=components.wake_signal,
    )


def _build_routers(
    components: SuppressionComponents,
    orchestrator: OrchestratorHoldApi,
    enforcer: SuppressionEnforcer,
) -> list[APIRouter]:
    database, clock, suppression_list = components.database, components.clock, components.suppression_list
    removals = RemovalRequests(database, suppression_list, orchestrator, clock)
    situation_service = situation_changes.SituationService(
        *(database, components.bus, components.topic, components.kinds_cache, clock, components.wake_signal),
        *(components.erased, components.signature),
    )
    return [
        entry_routes.suppression_routes(database, suppression_list, enforcer, orchestrator, clock),
        import_routes.export_routes(database),
        removal_routes.removal_routes(database, removals),
        entry_routes.entry_route(database),
        list_internal_api.internal_list_routes(database, suppression_list, removals),
        entry_routes.internal_entry_routes(database, suppression_list, clock),
        alertmanager_webhook.alertmanager_routes(database, enforcer, orchestrator, clock, components.metrics),
        hold_routes.hold_routes(database, enforcer, orchestrator, clock),
        hold_routes.hold_plan_routes(database, orchestrator, clock),
        situation_routes.situation_routes(situation_service),
        situation_internal_api.internal_situation_routes(situation_service),
        internal_api.internal_routes(components.facts, database, clock, compile_event_condition),
        dead_letter_routes("suppression", components.letters),
    ]


def compile_event_condition(text: str, variables: frozenset[str]) -> EventCondition:
    """A condition over an event alone."""
    return compile_condition(text, variables)
