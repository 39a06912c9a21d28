"""Wiring of the preference service; nothing runs before `Service.start`."""

import os
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from fastapi import APIRouter, FastAPI

from schemas.address_ids import AddressIds
from schemas.topics import DEAD_LETTERS, EVENTS, OPT_OUTS, OUT_TOPICS
from services.bulk_import.event_rows import EventRow
from services.bulk_import.wiring import BulkImport
from services.clients.opt_out_barrier import AttemptsApi, OptOutBarrier
from services.erasure.erased_customers import ErasedCustomers
from services.erasure.eraser import Eraser
from services.kit.bus.consume_loop import LONGEST_PACE, ConsumeLoop
from services.kit.bus.consumer_series import PrometheusConsumerMetrics
from services.kit.bus.dead_letter_queue import DeadLetterQueue
from services.kit.bus.fence import WakeSignal
from services.kit.bus.outgoing import delete_left_over
from services.kit.bus.protocol import Bus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.bus.topic_publisher import TopicMetrics, TopicPublisher
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
from services.kit.runtime.periodic import do_once, repeat_every, run_periodic_checks
from services.kit.runtime.service import EXPIRY_SECONDS, Service
from services.kit.signed_json import DocumentSigner
from services.preference import store
from services.preference.address_carry_over import AddressCarryOver
from services.preference.addresses import verification_store
from services.preference.addresses.address_book import AddressBook
from services.preference.addresses.api import address_routes
from services.preference.addresses.hygiene_job import CHECK_SECONDS, AddressHygiene, HygieneMetrics
from services.preference.addresses.report_api import report_routes
from services.preference.addresses.verifications import AddressVerifications
from services.preference.agent_changes import agent_change_routes
from services.preference.api import internal_routes, preference_routes
from services.preference.centre.address_forms import AddressForms
from services.preference.centre.brand import load_brand
from services.preference.centre.confirm_routes import confirm_routes
from services.preference.centre.link_context import LinkContext
from services.preference.centre.link_routes import ContactCounter, centre_routes
from services.preference.centre.links_api import links_routes
from services.preference.centre.unsubscribe_routes import unsubscribe_routes
from services.preference.centre.verify_routes import verify_routes
from services.preference.consents import request_store
from services.preference.consents.api import consent_routes, wording_routes
from services.preference.consents.consent_report import EXPORT_KEY_PURPOSE
from services.preference.consents.consent_requests import ConsentRequests
from services.preference.consumer import CONSUMER_GROUP, STAGE, PreferenceBatch, PreferenceEventHandler
from services.preference.customer_lookup_build import CustomerLookupBuild
from services.preference.editor import PreferenceEditor
from services.preference.erased_stores import ERASED_STORES
from services.preference.erasure_steps import ERASE_STEPS, CustomerEraser
from services.preference.facts_endpoint import PreferenceFacts
from services.preference.imports.wiring import build_imports
from services.preference.metrics import PreferenceMetrics
from services.preference.opt_out_topic import render_opt_outs
from services.preference.opt_out_topic_fill import OptOutTopicFill
from services.preference.retention_rules import INBOX_KEYS, list_kept_kinds
from services.preference.settings import PreferenceSettings
from services.preference.tables import WATCHED_TABLES
from services.retention.log_retention import MarkRetention
from services.retention.sweeper import SWEEP_SECONDS, RetentionMetrics, RetentionSweeper


class OrchestratorApi(AttemptsApi, ContactCounter, AuditTrail, Protocol):
    """What this service asks of the orchestrator."""

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of an API key. Raises Transient."""


class PreferenceService(Service):
    """The preference service, ready to start. `facts`: for the orchestrator in the same process."""

    def __init__(
        self,
        app: FastAPI,
        health: Health,
        bus: Bus,
        topics: Mapping[str, int],
        idempotency: IdempotencyStore,
        facts: PreferenceFacts,
        imports: Sequence[BulkImport[EventRow]],
    ) -> None:
        super().__init__(app, health, bus, topics, idempotency)
        self.facts = facts
        self.imports = imports


def build(
    settings: PreferenceSettings,
    *,
    database: Database,
    bus: Bus,
    clock: Clock,
    orchestrator: OrchestratorApi,
    registry: Registry | None = None,
) -> PreferenceService:
    """Wires the service. Raises SettingsError when a key is missing."""
    database.columns, registry = settings.column_cipher(), registry or Registry()
    metrics, wake_signal, health = PreferenceMetrics(registry), WakeSignal(), Health()
    region, terms = settings.region, settings.consent.terms
    eraser = Eraser(database, ERASE_STEPS, stores=ERASED_STORES)
    customer_eraser = CustomerEraser(settings.require("address_key").encode(), region, eraser.wake.notify)
    erased = customer_eraser.erased
    editor = PreferenceEditor(database, clock, metrics, OptOutBarrier(orchestrator), region, erased, terms)
    events, idempotency = settings.kafka.events_topic, IdempotencyStore(database)
    changes = RecentChanges(database, WATCHED_TABLES)
    facts = PreferenceFacts(database, changes, wake_signal, region)
    imports = build_imports(settings, database, clock, registry, erased, facts, OptOutBarrier(orchestrator))
    signature = SenderSignature(settings.require("service_key"))
    handler = PreferenceEventHandler(clock, metrics, region, signature, customer_eraser, terms)
    requests = ConsentRequests(database, bus, events, clock, signature, metrics, region, erased)
    addresses = _Addresses(settings, database, bus, clock, editor, signature, metrics, erased, registry)
    letters = DeadLetterQueue("preference", database, handler, clock, registry, topics=[events], wake=wake_signal)
    tracer = start_tracing(settings.traces, "preference", registry)
    app = build_app(
        title="Tactful: preference",
        registry=registry,
        health=health,
        keys=LimitedKeyRing(add_admin_key(settings.admin_key, RemoteKeyRing(orchestrator.find_key))),
        routers=[
            *_customer_routers(database, editor, facts, wake_signal, region),
            dead_letter_routes("preference", letters),
            *_page_routes(settings, database, editor, requests, clock, orchestrator, addresses),
            *_consent_routers(settings, database, requests, clock),
            *_list_routers(database, region, addresses, imports),
        ],
        service_key=settings.require("service_key"),
        idempotency=idempotency,
        max_body=settings.web.max_body,
        large_bodies=dict(each.large_body for each in imports),
        rate=settings.web.rate,
        tracer=tracer,
        audit=RequestAudit("preference", orchestrator, erased.pseudonyms.of_customer, registry),
    )
    _watch_database(health, database, registry)
    topics = {events: EVENTS.partitions, DEAD_LETTERS.name: DEAD_LETTERS.partitions}
    service = PreferenceService(app, health, bus, topics, idempotency, facts, imports)
    service.add_tracer(tracer)
    _add_opt_out_topic(service, database, bus, settings.kafka.optouts_topic, TopicMetrics(registry, OUT_TOPICS))
    _add_carry_overs(service, database, clock, region, erased)
    _add_recent_changes(service, changes)
    service.add_checks(DatabaseMetrics(registry, "preference", database, [events]).update_gauges)
    _add_consume_loop(service, database, bus, handler, events, clock, registry, wake_signal)
    _add_customer_work(service, eraser, requests, addresses)
    _add_clean_up(service, database, letters, clock)
    _add_retention(service, settings, database, bus, clock, registry)
    return service


def _watch_database(health: Health, database: Database, registry: Registry) -> None:
    health.add_check("database", lambda: database.check_readable(store.get_topics))
    dependency_gauge(registry, "database", "kafka", "orchestrator")


class _Addresses:
    """What changes and verifies addresses."""

    def __init__(
        self,
        settings: PreferenceSettings,
        database: Database,
        bus: Bus,
        clock: Clock,
        editor: PreferenceEditor,
        signature: SenderSignature,
        metrics: PreferenceMetrics,
        erased: ErasedCustomers,
        registry: Registry,
    ) -> None:
        ids = AddressIds(settings.require("address_key").encode())
        self.book = AddressBook(editor, ids, clock, settings.region)
        self.verifications = AddressVerifications(
            *(database, bus, settings.kafka.events_topic, clock, signature, metrics, settings.region, erased),
            self.book,
            settings.link_keys(),
        )
        self._hygiene = AddressHygiene(database, clock, settings.region, erased, HygieneMetrics(registry))

    def routers(self, database: Database, region: str | None) -> list[APIRouter]:
        """The HTTP API."""
        return [address_routes(database, self.book, self.verifications, region), report_routes(database)]

    def add_jobs(self, service: Service) -> None:
        """What publishes requests, and makes the report."""
        service.add_job("address verifications", self.verifications.publisher.run_until_stopped)
        service.add_job("address report", partial(repeat_every, CHECK_SECONDS, self._hygiene.make_if_due))


def _customer_routers(
    database: Database, editor: PreferenceEditor, facts: PreferenceFacts, wake: WakeSignal, region: str | None
) -> list[APIRouter]:
    """What programs, the other services and agents ask about a customer, and change."""
    return [
        preference_routes(database, editor, region),
        internal_routes(database, facts, wake, region),
        agent_change_routes(database, editor, region),
    ]


def _list_routers(
    database: Database, region: str | None, addresses: _Addresses, imports: Sequence[BulkImport[EventRow]]
) -> list[APIRouter]:
    """What concerns addresses, and whole files of customers."""
    return [*addresses.routers(database, region), *(each.routes() for each in imports)]


def _consent_routers(
    settings: PreferenceSettings, database: Database, requests: ConsentRequests, clock: Clock
) -> list[APIRouter]:
    signer = DocumentSigner(settings.require("address_key").encode(), EXPORT_KEY_PURPOSE)
    return [
        consent_routes(database, requests, signer, clock, settings.region),
        wording_routes(database, signer, clock),
    ]


def _add_customer_work(
    service: PreferenceService, eraser: Eraser, requests: ConsentRequests, addresses: _Addresses
) -> None:
    """What is done about customers in the background: erasing, messages that ask them something, imports."""
    service.add_job("erasure", eraser.run_until_stopped)
    service.add_job("consent requests", requests.publisher.run_until_stopped)
    addresses.add_jobs(service)
    for each in service.imports:
        each.add_jobs(service)


def _add_recent_changes(service: Service, changes: RecentChanges) -> None:
    """What can answer whose facts have changed since some were read."""
    service.before_jobs(changes.check_triggers)
    service.add_job("recent changes", partial(repeat_every, FORGET_SECONDS, changes.forget_old))


def _add_carry_overs(
    service: Service, database: Database, clock: Clock, region: str | None, erased: ErasedCustomers
) -> None:
    """What is done once after settings or versions have changed."""
    service.add_job("opt-outs fill", partial(do_once, OptOutTopicFill(database, clock, region, erased).fill))
    service.add_job("addresses", partial(do_once, AddressCarryOver(database, region, erased).carry_over))
    service.add_job("customer lookup", partial(do_once, CustomerLookupBuild(database, region, erased).build))


def _add_clean_up(
    service: Service, database: Database, letters: DeadLetterQueue[PreferenceBatch], clock: Clock
) -> None:
    """What deletes rows whose time is over."""
    now = clock.now
    service.add_job("dead letters", partial(repeat_every, EXPIRY_SECONDS, letters.delete_expired))
    service.add_job("left over", partial(repeat_every, EXPIRY_SECONDS, lambda: delete_left_over(database, now())))
    service.add_job(
        "old consent requests",
        partial(repeat_every, EXPIRY_SECONDS, lambda: request_store.delete_old_requests(database, now())),
    )
    service.add_job(
        "old address verifications",
        partial(repeat_every, EXPIRY_SECONDS, lambda: verification_store.delete_old_verifications(database, now())),
    )


def _page_routes(
    settings: PreferenceSettings,
    database: Database,
    editor: PreferenceEditor,
    requests: ConsentRequests,
    clock: Clock,
    counter: ContactCounter,
    addresses: _Addresses,
) -> list[APIRouter]:
    """The public pages, and the links to them."""
    context = LinkContext(database, editor, clock, settings.link_keys(), settings.region, load_brand(settings.centre))
    return [
        centre_routes(context, counter, requests, AddressForms(context, addresses.book, addresses.verifications)),
        confirm_routes(context, requests),
        unsubscribe_routes(context),
        links_routes(context, settings.web.public_url),
        verify_routes(context, addresses.verifications),
    ]


def _add_retention(
    service: Service,
    settings: PreferenceSettings,
    database: Database,
    bus: Bus,
    clock: Clock,
    registry: Registry,
) -> None:
    kinds = list_kept_kinds(settings.retention)
    sweeper = RetentionSweeper(database, clock, kinds, RetentionMetrics(registry, "preference", kinds))

    marks = MarkRetention(
        bus, settings.kafka.events_topic, settings.retention.inbox_keys, partial(sweeper.keep_for, INBOX_KEYS)
    )

    async def sweep() -> None:
        await marks.refresh()
        await sweeper.delete_expired()

    service.before_jobs(marks.check_days)
    service.health.add_check("retention", sweeper.check_lateness, required=False)
    service.add_job("retention", partial(repeat_every, SWEEP_SECONDS, sweep))


def _add_opt_out_topic(
    service: Service, database: Database, bus: Bus, topic: str | None, metrics: TopicMetrics
) -> None:
    if topic is None:
        return
    database.out_topics = {OPT_OUTS.name: topic}
    service.add_topic(topic, OPT_OUTS.partitions, compacted=True)
    owner = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
    render = partial(render_opt_outs, topic)
    publisher = TopicPublisher(database, bus, topic, owner, render, metrics, label=OPT_OUTS.name)
    service.add_job("opt-outs topic", publisher.run_until_stopped)
    service.add_job("opt-outs topic gauge", lambda stop: run_periodic_checks(stop, publisher.update_gauge))


def _add_consume_loop(
    service: Service,
    database: Database,
    bus: Bus,
    handler: PreferenceEventHandler,
    topic: str,
    clock: Clock,
    registry: Registry,
    wake: WakeSignal,
) -> None:
    loop = ConsumeLoop(
        bus,
        database,
        handler,
        group=CONSUMER_GROUP,
        topics=[topic],
        clock=clock,
        stage=STAGE,
        pace=LONGEST_PACE,  # answers alone depend on the log, and whoever waits for one lets it hurry
        dead_letter_topic=DEAD_LETTERS.name,
        metrics=PrometheusConsumerMetrics(registry, CONSUMER_GROUP, [topic]),
        wake=wake,
    )
    service.add_consume_loop(CONSUMER_GROUP, loop)
