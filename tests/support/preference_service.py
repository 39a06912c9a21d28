"""A running preference service and a small real orchestrator, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from fastapi import FastAPI, Request, Response

from schemas.audit_log import AuditEntry
from schemas.event import Event, encode_event
from schemas.facts import Preference
from schemas.service_api import (
    CONTACT_COUNTS_PATH,
    FIND_KEY_PATH,
    OPEN_ATTEMPTS_PATH,
    RECORD_AUDIT_PATH,
    STILL_OPEN_PATH,
    AttemptIds,
    AttemptScope,
    AuditNumber,
    ContactCountRequest,
    ContactCounts,
    KeyDigest,
    KeyLookup,
    KeyOwner,
    LogPositions,
    OpenAttemptCount,
    OpenAttempts,
)
from schemas.times import parse_instant
from schemas.topics import DEAD_LETTERS, EVENTS
from services.clients.orchestrator import OrchestratorClient
from services.clients.preference import PreferenceClient
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Outgoing
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.http import internal_api
from services.kit.http.auth import hash_key
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.preference.app import PreferenceService, build
from services.preference.settings import PreferenceSettings
from tests.support.api_contract import ContractTransport
from tests.support.fresh_databases import migrate

NOW = parse_instant("2026-03-02T12:00:00Z")
SERVICE_KEY = "service-key-for-tests"
ADMIN_KEY = "admin-key-for-the-tests"
AGENT_KEY = "agent-key-for-the-tests"
VIEWER_KEY = "viewer-key-for-the-tests"
CONNECTOR_KEY = "connector-key-for-the-tests"
ADDRESS_KEY = "address-key-for-tests"
PEOPLE = {
    hash_key(AGENT_KEY): KeyOwner("agent", "agent", "k-1"),
    hash_key(VIEWER_KEY): KeyOwner("viewer", "viewer", "k-2"),
    hash_key(CONNECTOR_KEY): KeyOwner("connector", "connector", "k-3"),
}


RawRecord = tuple[bytes | None, bytes | None] | tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


@dataclass
class Orchestrator:
    """The part of the orchestrator that an opt-out asks, over HTTP: attempts that are open until they are closed."""

    attempts: dict[int, AttemptScope] = field(default_factory=dict)
    asked: list[AttemptScope] = field(default_factory=list)
    reachable: bool = True
    contacts: dict[str, int] | None = None
    """What it answers to how many messages came; None: it is of a version that does not know the question."""
    counted: list[tuple[str, int]] = field(default_factory=list)
    slow: bool = False
    audited: list[AuditEntry] = field(default_factory=list)
    audits: bool = True

    def app(self) -> FastAPI:
        """Its doors, as the real one has them."""
        app = FastAPI()

        @app.post(OPEN_ATTEMPTS_PATH)
        async def open_attempts(request: Request) -> Response:
            if not self.reachable:
                return Response(status_code=503)
            scope = await internal_api.read_request(request, AttemptScope)
            self.asked.append(scope)
            found = tuple((f"msg_{number}", 1) for number, attempt in self.attempts.items() if _touches(attempt, scope))
            return internal_api.respond(OpenAttempts(found))

        @app.post(STILL_OPEN_PATH)
        async def still_open(request: Request) -> Response:
            ids = await internal_api.read_request(request, AttemptIds)
            return internal_api.respond(
                OpenAttemptCount(sum((f"msg_{number}", 1) in ids.attempts for number in self.attempts))
            )

        @app.post(CONTACT_COUNTS_PATH)
        async def count_contacts(request: Request) -> Response:
            asked = await internal_api.read_request(request, ContactCountRequest)
            if self.contacts is None:
                return Response(status_code=404)
            if self.slow:
                await asyncio.sleep(30)
            self.counted.append((asked.customer, asked.since))
            return internal_api.respond(ContactCounts(self.contacts))

        @app.post(RECORD_AUDIT_PATH)
        async def record_audit_entry(request: Request) -> Response:
            if not self.audits:
                return Response(status_code=503)
            self.audited.append(await internal_api.read_request(request, AuditEntry))
            return internal_api.respond(AuditNumber(len(self.audited)))

        @app.post(FIND_KEY_PATH)
        async def find_key(request: Request) -> Response:
            return internal_api.respond(
                KeyLookup(PEOPLE.get((await internal_api.read_request(request, KeyDigest)).digest))
            )

        return app


def _touches(attempt: AttemptScope, scope: AttemptScope) -> bool:
    pairs = [
        (attempt.channels, scope.channels),
        (attempt.topics, scope.topics),
        (attempt.classes, scope.classes),
    ]
    return attempt.customer == scope.customer and all(
        asked is None or (mine is not None and set(mine) <= set(asked)) for mine, asked in pairs
    )


@dataclass
class Running:
    """The service at work on a real database and a real log."""

    service: PreferenceService
    database: Database
    bus: LocalBus
    clock: ManualClock
    orchestrator: Orchestrator
    registry: Registry
    http: httpx.AsyncClient
    doors: PreferenceClient

    async def publish(self, *events: Event) -> LogPositions:
        """Put events on the log. Returns how far it goes then."""
        return await self.publish_raw(*((event.customer.encode(), encode_event(event)) for event in events))

    async def publish_raw(self, *records: RawRecord) -> LogPositions:
        """The same with any bytes: (key, value) or (key, value, headers)."""
        await self.bus.publish([Outgoing(EVENTS.name, *record) for record in records])
        ends = await self.bus.end_offsets(EVENTS.name)
        return {EVENTS.name: {partition.partition: offset for partition, offset in ends.items()}}

    async def facts(self, customers: Sequence[str], positions: LogPositions) -> dict[str, Preference]:
        """Facts once the log is applied, however busy the machine: like the orchestrator, we ask again."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.doors.get_facts(customers, positions)
                except Transient:
                    continue

    async def counted(self, source: str, action: str, number: int) -> None:
        """Wait until so many have been counted, which is shortly after their commit."""

        async def there() -> bool:
            return await self.count(source, action) == number

        await eventually(there)

    async def dead_letters(self) -> list[Any]:
        async with self.database.read() as tx:
            return list(await tx.rows("SELECT * FROM dead_letter ORDER BY id"))

    async def count(self, source: str, action: str) -> float:
        text = (await self.http.get("/metrics")).text
        sample = f'tactful_preference_changes_total{{action="{action}",source="{source}"}} '
        other = f'tactful_preference_changes_total{{source="{source}",action="{action}"}} '
        return next(float(line.split(" ")[1]) for line in text.splitlines() if line.startswith((sample, other)))


@asynccontextmanager
async def running(
    url: str,
    directory: Path,
    *,
    reading: bool = True,
    region: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> AsyncIterator[Running]:
    """The service, started on a fresh database; `reading`: it reads the log."""
    migrate(url, "services.preference")
    database, bus = Database.open(url), LocalBus(directory / "log.db")
    clock, orchestrator, registry = ManualClock(NOW), Orchestrator(), Registry()
    keys = {"admin_key": ADMIN_KEY, "service_key": SERVICE_KEY, "address_key": ADDRESS_KEY}
    given = {**keys, "data_dir": directory, "region": region, **(more or {})}
    settings = PreferenceSettings.model_validate(given)
    asked = httpx.AsyncClient(transport=httpx.ASGITransport(orchestrator.app()), base_url="http://orchestrator")
    client = OrchestratorClient(asked, SERVICE_KEY)
    service = build(settings, database=database, bus=bus, clock=clock, orchestrator=client, registry=registry)
    transport = ContractTransport(service.app)
    headers = {"Authorization": f"Bearer {AGENT_KEY}"}
    await bus.ensure_topics({EVENTS.name: 4, DEAD_LETTERS.name: 1})
    async with (
        asked,
        httpx.AsyncClient(transport=transport, base_url="http://preference", headers=headers) as http,
        httpx.AsyncClient(transport=transport, base_url="http://preference") as inner,
    ):
        if reading:
            await service.start()
        try:
            yield Running(
                service, database, bus, clock, orchestrator, registry, http, PreferenceClient(inner, SERVICE_KEY)
            )
        finally:
            if reading:
                await service.stop()
            await bus.close()
            await database.close()


def change(event_id: str, customer: str = "c-1", at: int = NOW, kind: str = "preference.changed", **data: Any) -> Event:
    """An event that changes preferences."""
    raw = msgspec.Raw(msgspec.json.encode(data))
    return Event(id=event_id, source="/shop", type=f"tactful.{kind}", subject=customer, time=at, data=raw)


async def eventually(check: Any, timeout: float = 5.0) -> None:
    """Return when `check()` (awaited) is true. Fails after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not await check():
            await asyncio.sleep(0.01)


def partition_zero(positions: LogPositions, beyond: int) -> LogPositions:
    """Positions that lie `beyond` the end of the first partition."""
    topic = EVENTS.name
    return {topic: {0: positions[topic].get(0, 0) + beyond}}
