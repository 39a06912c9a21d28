"""A running suppression service and a small real orchestrator, for its tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from schemas.audit_log import AuditEntry
from schemas.event import Event, encode_event
from schemas.policy import SituationKind
from schemas.service_api import (
    FIND_KEY_PATH,
    OPEN_ATTEMPTS_PATH,
    RECORD_AUDIT_PATH,
    STILL_OPEN_PATH,
    UNKNOWN_NAMES_PATH,
    AttemptIds,
    AttemptScope,
    AuditNumber,
    KeyDigest,
    KeyLookup,
    KeyOwner,
    OpenAttemptCount,
    OpenAttempts,
    ScopeNames,
    UnknownScopeName,
    UnknownScopeNames,
)
from schemas.suppression_list_api import (
    CONSENT_PATH,
    TWO_PEOPLE_PATH,
    KeyNames,
    NewConsentQuestion,
    YesOrNo,
)
from schemas.times import Instant, parse_instant
from services.clients.opt_out_barrier import MAX_BARRIER_WAIT
from services.clients.orchestrator import OrchestratorClient
from services.clients.suppression import SuppressionClient
from services.condition import compile_condition
from services.kit.bus.fence import wait_until_applied
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Bus, Outgoing, Partition
from services.kit.db.database import Database
from services.kit.http import internal_api
from services.kit.http.auth import hash_key
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.suppression.app import SuppressionService, build
from services.suppression.settings import SuppressionSettings
from services.suppression.situation_intervals import SituationKinds, compile_kinds
from tests.support.api_contract import ContractTransport
from tests.support.fresh_databases import migrate

ADMIN = "admin-key-of-the-tests"
SERVICE = "service-key-of-the-tests"
ADDRESS_KEY = "address-key-of-the-tests"
TOPIC = "customer.events"
NOW = parse_instant("2026-03-02T10:00:00Z")

COMPLAINT = {
    "kind": "complaint",
    "opens": [{"event": "shop.complaint.filed"}],
    "closes": [{"event": "shop.complaint.resolved"}],
    "ref": "data.case",
    "lapses": "10d",
}
LOW_SCORE = {
    "kind": "low_score",
    "opens": [{"event": "tactful.feedback.given", "when": "event.data.score <= 6"}],
    "closes": [{"event": "tactful.feedback.given", "when": "event.data.score >= 9"}],
    "lapses": "14d",
}


def at(text: str) -> Instant:
    """`02T10:00` of March 2026."""
    return parse_instant(f"2026-03-{text}:00Z")


def kinds(*documents: Mapping[str, Any]) -> SituationKinds:
    """The situations of a policy."""
    return compile_kinds([SituationKind.model_validate(document) for document in documents], compile_condition)


def event(type: str, data: object = None, *, time: Instant = NOW, id: str = "e-1", customer: str = "c-1") -> Event:
    """An event of the shop."""
    raw = msgspec.Raw(msgspec.json.encode({} if data is None else data))
    return Event(id, "/shop", type, customer, time, raw)


def record(event: Event) -> Outgoing:
    """The event as it is published."""
    return Outgoing(TOPIC, event.subject.encode(), encode_event(event))


@dataclass
class Handovers:
    """A small orchestrator: which attempts are under way, and what it was asked.

    `missing`: names that no topic and no campaign has; `names_asked`: each question about names. `consented`: what it
    answers about consents; `consents`: each question about one. Two keys are of one person if they have one name.
    """

    under_way: set[int] = field(default_factory=set)
    asked: list[AttemptScope] = field(default_factory=list)
    answered: asyncio.Condition = field(default_factory=asyncio.Condition)
    polls: int = 0
    down: bool = False
    keys: dict[str, str] = field(default_factory=dict)
    audited: list[AuditEntry] = field(default_factory=list)
    audits: bool = True
    missing: frozenset[str] = frozenset()
    names_asked: list[ScopeNames] = field(default_factory=list)
    consents: list[NewConsentQuestion] = field(default_factory=list)
    consented: bool = False

    def app(self) -> FastAPI:
        """Its door."""
        app = FastAPI()

        @app.post(OPEN_ATTEMPTS_PATH)
        async def open_attempts(request: Request) -> Response:
            if self.down:
                return Response(status_code=503)
            scope = await internal_api.read_request(request, AttemptScope)
            async with self.answered:
                self.asked.append(scope)
                self.answered.notify_all()
                found = tuple((f"msg_{number}", 1) for number in sorted(self.under_way))
            return internal_api.respond(OpenAttempts(found))

        @app.post(STILL_OPEN_PATH)
        async def still_open(request: Request) -> Response:
            asked = await internal_api.read_request(request, AttemptIds)
            async with self.answered:
                self.polls += 1
                self.answered.notify_all()
                count = sum((f"msg_{number}", 1) in asked.attempts for number in self.under_way)
            return internal_api.respond(OpenAttemptCount(count))

        @app.post(RECORD_AUDIT_PATH)
        async def record_audit_entry(request: Request) -> Response:
            if not self.audits:
                return Response(status_code=503)
            self.audited.append(await internal_api.read_request(request, AuditEntry))
            return internal_api.respond(AuditNumber(len(self.audited)))

        @app.post(FIND_KEY_PATH)
        async def find_key(request: Request) -> Response:
            role = self.keys.get((await internal_api.read_request(request, KeyDigest)).digest)
            return internal_api.respond(KeyLookup(None if role is None else KeyOwner(role, role, f"key_{role}")))

        @app.post(UNKNOWN_NAMES_PATH)
        async def unknown_names(request: Request) -> Response:
            names = await internal_api.read_request(request, ScopeNames)
            self.names_asked.append(names)
            found = [
                UnknownScopeName(field, index, name, None)
                for field, asked in (("topics", names.topics), ("campaigns", names.campaigns))
                for index, name in enumerate(asked)
                if name in self.missing
            ]
            return internal_api.respond(UnknownScopeNames(tuple(found)))

        @app.post(TWO_PEOPLE_PATH)
        async def two_people(request: Request) -> Response:
            names = await internal_api.read_request(request, KeyNames)
            return internal_api.respond(YesOrNo(names.first != names.second))

        @app.post(CONSENT_PATH)
        async def consents(request: Request) -> Response:
            self.consents.append(await internal_api.read_request(request, NewConsentQuestion))
            return internal_api.respond(YesOrNo(self.consented))

        return app

    async def wait_until_asked(self) -> None:
        """Return once it has answered which attempts are open."""
        async with self.answered:
            await self.answered.wait_for(lambda: self.asked)

    async def wait_until_polled(self) -> None:
        """Return once it has answered again, from now on, how many of them are still open; twice, so that the first
        of these answers has been taken note of."""
        polls = self.polls
        async with self.answered:
            await self.answered.wait_for(lambda: self.polls >= polls + 2)

    def key(self, role: str) -> dict[str, str]:
        """Headers with a key of this role."""
        plain = f"key-of-the-{role}"
        self.keys[hash_key(plain)] = role
        return {"Authorization": f"Bearer {plain}"}


@dataclass
class Running:
    """The service at work."""

    service: SuppressionService
    database: Database
    bus: Bus
    clock: ManualClock
    handovers: Handovers
    registry: Registry
    http: httpx.AsyncClient
    client: SuppressionClient

    async def publish(self, *records: Outgoing) -> dict[str, dict[int, int]]:
        """Publish; returns the positions after them."""
        positions: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in await self.bus.publish(records):
            positions.setdefault(topic, {})[partition] = offset + 1
        return positions

    async def events(self, *events: Event) -> None:
        """Publish and wait until they are applied."""
        await self.settle(await self.publish(*map(record, events)))

    async def settle(self, positions: Mapping[str, Mapping[int, int]]) -> None:
        """Wait until all this is applied."""
        places = {Partition(topic, n): offset for topic, each in positions.items() for n, offset in each.items()}
        await wait_until_applied(self.database, places, 10, self.service.components.wake_signal)

    async def situations(self, *documents: Mapping[str, Any], version: int = 1) -> None:
        """Put these in force."""
        await self.client.set_situations(version, [dict(document) for document in documents])

    async def remove(self, entry: str, reason: str = "a mistake") -> None:
        """Remove an entry: asked for by `admin`, approved by another person."""
        asked = await self.http.request("DELETE", f"/v1/suppressions/{entry}", json={"reason": reason})
        assert asked.status_code == 202, asked.text
        path = f"/v1/suppressions/removals/{asked.json()['id']}/approve"
        approved = await self.http.post(path, headers=self.handovers.key("privacy"))
        assert approved.status_code == 200, approved.text

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.registry.get_sample_value(f"tactful_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def running(
    url: str,
    directory: Path,
    *,
    start: bool = True,
    barrier_wait: float = MAX_BARRIER_WAIT,
    region: str | None = None,
) -> AsyncIterator[Running]:
    """The service on this database, with a local log."""
    migrate(url, "services.suppression")
    settings = SuppressionSettings.model_validate(
        {"admin_key": ADMIN, "service_key": SERVICE, "address_key": ADDRESS_KEY, "region": region}
    )
    database, bus, clock = Database.open(url), LocalBus(directory / "log.db"), ManualClock(NOW)
    handovers, registry = Handovers(), Registry()
    transport = httpx.ASGITransport(handovers.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestrator") as away:
        orchestrator = OrchestratorClient(away, SERVICE)
        service = build(
            settings,
            database=database,
            bus=bus,
            clock=clock,
            orchestrator=orchestrator,
            registry=registry,
            barrier_wait=barrier_wait,
        )
        async with httpx.AsyncClient(
            transport=ContractTransport(service.app),
            base_url="http://suppression",
            headers={"Authorization": f"Bearer {ADMIN}"},
        ) as http:
            client = SuppressionClient(http, SERVICE, ADDRESS_KEY.encode())
            if start:
                await service.start()
            try:
                yield Running(service, database, bus, clock, handovers, registry, http, client)
            finally:
                if start:
                    async with asyncio.timeout(20):
                        await service.stop()
                await bus.close()
                await database.close()
