"""The orchestrator's HTTP API over a fresh database, with documents and API keys for its tests."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from fastapi import APIRouter, FastAPI

from schemas.facts import Preference, Suppressions
from schemas.recorded import SuppressionsAsOf
from schemas.roles import Role
from schemas.service_api import PastSuppressions, PastSuppressionsRequest, SuppressionRequest, SuppressionResponse
from schemas.times import parse_instant
from services.clients.address_hashes import AddressHasher
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.erasure.erased_customers import ErasedCustomers
from services.kit.bus.dead_letter_queue import DeadLetterQueue
from services.kit.bus.fence import WakeSignal
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database
from services.kit.http.app_factory import build_app
from services.kit.http.audit_trail import RequestAudit
from services.kit.http.auth import EnvKeyRing, KeyRingChain
from services.kit.http.idempotency import IdempotencyStore
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.kit.runtime.settings import load_settings
from services.orchestrator.access.api_keys import DatabaseKeyRing, create_key
from services.orchestrator.api_routes import orchestrator_routes
from services.orchestrator.audit_log.recorder import AuditRecorder
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.dead_letters.directory import DeadLetterDirectory
from services.orchestrator.decisions.erasure_intake import ErasureIntake
from services.orchestrator.decisions.evaluator import Evaluator
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.metrics import DecisionMetrics
from services.orchestrator.decisions.pipeline import Pipeline
from services.orchestrator.delivery.adapters.registry import build_adapters
from services.orchestrator.delivery.links.visit_metrics import VisitMetrics
from services.orchestrator.delivery.links.visit_recorder import VisitRecorder
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.insight.shadow.recorder import ShadowRecorder
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from services.orchestrator.settings import OrchestratorSettings
from tests.support.api_contract import ContractTransport
from tests.support.fresh_databases import migrate

NOON = parse_instant("2026-03-02T12:00:00Z")
ADMIN_KEY = "an-admin-key-of-the-tests"
SERVICE_KEY = "a-service-key-of-the-tests"
ADDRESS_KEY = b"an-address-key-of-the-tests"

CAMPAIGN: dict[str, Any] = {
    "key": "referral-ask",
    "name": "Ask delighted customers for a referral",
    "owner": "growth",
    "class": "marketing",
    "intent": "ask_referral",
    "topic": "referrals",
    "trigger": {"event": "shop.order.delivered"},
    "channels": ["sms"],
    "default_locale": "en",
    "content": {"sms": {"en": {"text": "Hi {{ customer.traits.name }}, know a friend? {{ links.unsubscribe }}"}}},
}
POLICY: dict[str, Any] = {
    "zone": "Europe/Berlin",
    "topics": [
        {"key": "referrals", "name": "Referrals and rewards"},
        {"key": "account", "name": "Your account", "required": True},
    ],
    "situations": [
        {
            "kind": "complaint",
            "opens": [{"event": "shop.complaint.filed"}],
            "closes": [{"event": "shop.complaint.resolved"}],
            "lapses": "180d",
        }
    ],
    "contact_history": [
        {
            "id": "no-ask-after-complaint",
            "scope": {"intents": ["ask_referral"]},
            "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True},
            "on_match": "drop",
        }
    ],
}


def campaign(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(CAMPAIGN), **changes}


def policy_document(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(POLICY), **changes}


@dataclass
class Others:
    """What preference and suppression would say, at the other end of their real clients."""

    preferences: dict[str, Preference] = field(default_factory=dict)
    suppressions: dict[str, Suppressions] = field(default_factory=dict)
    handed: list[tuple[str, Any]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    removed: int = 0
    """Entries of addresses that stood then and were removed since."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path in self.broken:
            return httpx.Response(503, headers={"Retry-After": "1"})
        question = msgspec.msgpack.decode(request.content)
        if set(question.get("positions", ())) - {"customer.events"}:
            return httpx.Response(422, json={"code": "unknown_topic"})  # as suppression does
        return httpx.Response(200, content=msgspec.msgpack.encode(self._answer(path, request.content, question)))

    def _answer(self, path: str, raw: bytes, question: Mapping[str, Any]) -> object:
        if path.endswith("/preference/facts"):
            return [self.preferences.get(name, Preference(name)) for name in question["customers"]]
        if path.endswith("/preference/facts-at"):
            return self.preferences.get(question["customer"], Preference(question["customer"]))
        if path.endswith("/suppression/facts-at"):
            asked_of = msgspec.msgpack.decode(raw, type=PastSuppressionsRequest)
            name = asked_of.customer.customer
            return PastSuppressions(
                (SuppressionsAsOf(asked_of.since, self.suppressions.get(name, Suppressions(name))),), self.removed
            )
        if path.endswith("/suppression/facts"):
            asked = msgspec.msgpack.decode(raw, type=SuppressionRequest).customers
            found = tuple(self.suppressions.get(each.customer, Suppressions(each.customer)) for each in asked)
            return SuppressionResponse(found)
        if path.endswith("/erasures"):
            return []
        self.handed.append((path, question))
        return {"policy_version": question["policy_version"]} if path.endswith("/topics") else {"done": True}


@dataclass
class World:
    """The orchestrator's HTTP interface over a real database and log, with a clock that stands."""

    app: FastAPI
    database: Database
    clock: ManualClock
    bus: LocalBus
    others: Others
    snapshot: CatalogueSnapshot
    keys: dict[str, str] = field(default_factory=dict)

    async def key_of(self, role: Role | str, name: str | None = None) -> str:
        """The key of somebody with a role."""
        owner = name or f"person-{role}"
        if owner not in self.keys:
            _, self.keys[owner] = await create_key(self.database, owner, Role(role), "tests", self.clock.now())
        return self.keys[owner]

    async def call(
        self, role: Role | str, method: str, path: str, name: str | None = None, **options: Any
    ) -> httpx.Response:
        """A request by somebody with a role."""
        headers = {"Authorization": f"Bearer {await self.key_of(role, name)}", **options.pop("headers", {})}
        async with httpx.AsyncClient(transport=ContractTransport(self.app), base_url="http://test") as client:
            return await client.request(method, path, headers=headers, **options)

    async def launch(self, document: dict[str, Any]) -> None:
        """Lead a campaign all the way."""
        path = f"/v1/campaigns/{document['key']}"
        assert (await self.call("marketer", "PUT", path, json=document)).status_code in (200, 201)
        for role, action in (("marketer", "submit"), ("approver", "approve"), ("approver", "activate")):
            answer = await self.call(role, "POST", f"{path}/{action}")
            assert answer.status_code == 200, answer.text

    async def enact(self, document: dict[str, Any]) -> int:
        """Lead a policy all the way; its version."""
        answer = await self.call("marketer", "PUT", "/v1/policy", json=document)
        number = int(answer.json()["version"])
        for role, action in (("marketer", "submit"), ("approver", "approve"), ("approver", "activate")):
            answer = await self.call(role, "POST", f"/v1/policy/versions/{number}/{action}")
            assert answer.status_code == 200, answer.text
        return number


def links(
    customer: str,
    topic: str | None,
    cls: str,
    now: int,
    consent_request: str | None = None,
    address_request: str | None = None,
) -> dict[str, str]:
    """The links of every message here."""
    return {"unsubscribe": "https://example.com/u/1", "preferences": "https://example.com/p/1"}


def _neighbours(outside: httpx.AsyncClient) -> tuple[PreferenceClient, SuppressionClient]:
    return PreferenceClient(outside, SERVICE_KEY), SuppressionClient(outside, SERVICE_KEY, ADDRESS_KEY)


def _letters_of_all(
    own: DeadLetterQueue[Any], preference: PreferenceClient, suppression: SuppressionClient
) -> DeadLetterDirectory:
    others = {"preference": preference.dead_letters, "suppression": suppression.dead_letters}
    return DeadLetterDirectory({"orchestrator": own, **others})


def _own_letters(
    database: Database,
    clock: ManualClock,
    registry: Registry,
    evaluator: Evaluator,
    renderer: Renderer,
    erasures: ErasureIntake,
) -> DeadLetterQueue[Any]:
    """The orchestrator's dead letters, decided again by a pipeline of their own."""
    shadow = ShadowRecorder(renderer.render_message, ShadowMetrics(registry))
    redriver = Pipeline(evaluator, clock, DecisionMetrics(registry), shadow, erasures)
    return DeadLetterQueue("orchestrator", database, redriver, clock, registry, topics=["customer.events"])


def _app_of(
    database: Database, registry: Registry, ring: KeyRingChain, audit: RequestAudit, routers: Sequence[APIRouter]
) -> FastAPI:
    return build_app(
        title="orchestrator",
        registry=registry,
        health=Health(),
        keys=ring,
        service_key=SERVICE_KEY,
        idempotency=IdempotencyStore(database),
        audit=audit,
        routers=routers,
    )


@asynccontextmanager
async def world(url: str, folder: Path) -> AsyncIterator[World]:
    """Everything, fresh."""
    migrate(url, "services.orchestrator")
    database, clock, others = Database.open(url), ManualClock(NOON), Others()
    bus = LocalBus(folder / "log.db", partitions=4)
    await bus.ensure_topics({"customer.events": 4})
    outside = httpx.AsyncClient(transport=httpx.MockTransport(others), base_url="http://others")
    preference, suppression = _neighbours(outside)
    snapshot = CatalogueSnapshot(frozenset({"email", "sms"}))
    gatherer = FactsReader(preference, suppression, AddressHasher(ADDRESS_KEY, None), ["customer.events"])
    ring = KeyRingChain(EnvKeyRing(ADMIN_KEY), DatabaseKeyRing(database, clock))

    registry = Registry()
    settings = load_settings(OrchestratorSettings, address_key="an-address-key-of-the-tests")
    receipt_metrics = ReceiptMetrics(registry, settings.adapter_names)
    receipts = ReceiptIntake(database, suppression, clock, receipt_metrics)
    erased, renderer = ErasedCustomers(ADDRESS_KEY), Renderer(snapshot, links)
    evaluator = Evaluator(
        database, snapshot, gatherer, renderer.render_message, ["customer.events"], lambda adapter: True
    )
    erasures = ErasureIntake(preference, suppression, erased, lambda: None)
    own_letters = _own_letters(database, clock, registry, evaluator, renderer, erasures)
    recorder = AuditRecorder(database, clock)
    routers = orchestrator_routes(
        database,
        bus,
        clock,
        topic="customer.events",
        decided_signal=WakeSignal(),
        ring=ring,
        audit=recorder,
        topics=preference,
        situations=suppression,
        facts_reader=gatherer,
        evaluator=evaluator,
        snapshot=snapshot,
        link_builder=links,
        letters=_letters_of_all(own_letters, preference, suppression),
        erased=erased,
        other_services={"preference": preference, "suppression": suppression},
        signature=SenderSignature(SERVICE_KEY),
        settings=settings,
        adapters=build_adapters(settings, database, clock),
        adapter_settings=settings.settings_of,
        receipt_intake=receipts,
        receipt_metrics=receipt_metrics,
        visits=VisitRecorder(database, receipts.take, VisitMetrics(registry), settings.tracked_links.machine_seconds),
    )
    audit = RequestAudit("orchestrator", recorder, erased.pseudonyms.of_customer, registry)
    app = _app_of(database, registry, ring, audit, routers)
    try:
        yield World(app, database, clock, bus, others, snapshot)
    finally:
        await outside.aclose()
        await bus.close()
        await database.close()
