"""Tactful in production form: three services, the orchestrator's roles apart, on PostgreSQL and Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from schemas.times import Instant
from services.kit.db import migrate
from services.kit.db.database import Database
from services.orchestrator.app import GROUP
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME
from services.preference.preference_state import PreferenceState
from services.preference.preference_state import pack as pack_preference
from services.suppression.suppression_state import SuppressionState
from services.suppression.suppression_state import pack as pack_suppressed
from tests.bench import load
from tests.bench.contender import now
from tests.bench.ground import Ground, fetch, value
from tests.support.servers import free_port
from tests.support.service_processes import Process

SERVICES = ("orchestrator", "preference", "suppression")
ROLES = {"api": "api", "decide 1": "decide", "decide 2": "decide", "dispatch": "dispatch", "schedule": "schedule"}
"""Process -> role: one process a core decides, as one a core does in the reference."""
KEY = "a-key-of-the-benchmark"
SECRET = "whsec_" + "dGhlIHNlY3JldCBvZiB0aGUgYmVuY2htYXJrIGlzIGxvbmc="
CHUNK = 20_000
READ = "SELECT sum(next_offset) FROM partition_lease"
_UNDER_WAY = (
    "SELECT (SELECT count(*) FROM handover WHERE closed_at IS NULL) "
    "+ (SELECT count(*) FROM outbox) + (SELECT count(*) FROM timer)"
)
JOBS_DONE = "SELECT count(*) FROM settled WHERE name IN ('addresses', 'customer_lookup')"
START_JOBS = 2
"""Jobs of preference that look through all customers once, at the first start with them."""
_CLOSED = "SELECT count(*) FROM tracked_message WHERE state = 'accepted'"


@dataclass(frozen=True)
class OurLoad:
    """What is stored, and by which settings it is sent: the standard load, unless a measurement has one of its own."""

    topic: str = "bench.ours"
    settings: Mapping[str, str] = field(default_factory=lambda: {"TACTFUL_ADAPTERS__PUSH": "null"})
    campaign: Callable[[int], dict[str, Any]] = load.campaign
    preference: Callable[[int, Instant], PreferenceState] = load.preference
    suppressed: Callable[[int, Instant], SuppressionState | None] = load.suppressed


def over_http(sink: int) -> OurLoad:
    """The standard load, sent by webhook to a port of this machine."""
    settings = {
        "TACTFUL_ADAPTERS__PUSH": "webhook",
        "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
        "TACTFUL_WEBHOOK__URL": f"http://127.0.0.1:{sink}/messages",
    }
    return OurLoad("bench.ours.http", settings)


@dataclass
class Ours:
    """The processes, and their databases' URLs."""

    name: str
    topic: str
    databases: dict[str, str]
    processes: dict[str, Process]
    groups: dict[str, int] = field(default_factory=dict)
    readers: int = 3
    group: str = GROUP
    deciders: int = 2

    async def handed_over(self, wanted: int = 0) -> int:
        """See Contender. What counts the whole table is asked for only when nothing is measured."""
        database = self.databases["orchestrator"]
        if not wanted:
            return await value(database, _CLOSED)
        if (read := await value(database, READ)) < wanted:
            return read
        return wanted - await value(database, _UNDER_WAY)

    async def finished(self) -> float:
        """See Contender."""
        return await value(self.databases["orchestrator"], "SELECT max(closed_at) FROM handover") / 1e6

    async def latencies(self, after: int) -> list[float]:
        """See Contender."""
        rows = await fetch(
            self.databases["orchestrator"],
            "SELECT m.closed_at - e.time AS spent FROM stored_event e JOIN tracked_message m "
            "ON m.customer = e.customer AND m.event_source = e.source AND m.event_id = e.event_id "
            f"WHERE e.time >= {after} AND m.state = 'accepted'",
        )
        return [row["spent"] / 1000 for row in rows]

    async def read_up_to(self) -> int:
        """See Contender."""
        return sum([await value(url, READ) for url in self.databases.values()])

    async def bytes(self) -> int:
        """See Contender."""
        return sum([await value(url, "SELECT pg_database_size(current_database())") for url in self.databases.values()])

    async def analyse(self) -> None:
        """See Contender."""
        for url in self.databases.values():
            await fetch(url, "ANALYZE")

    def pids(self) -> list[int]:
        """See Contender."""
        return [process.running.pid for process in self.processes.values() if process.running]


@asynccontextmanager
async def ours(ground: Ground, directory: Path, customers: int, given: OurLoad | None = None) -> AsyncIterator[Ours]:
    """Databases made and filled, services started, campaigns active."""
    given = given or OurLoad()
    await ground.make_topic(given.topic)
    databases = {}
    for name in SERVICES:
        databases[name] = ground.postgres.database()
        await migrate.upgrade_schema(databases[name], f"services.{name}")
    await fill(databases, customers, given)
    contender = Ours("Tactful", given.topic, databases, _processes(ground, directory, databases, given))
    with _started(contender.processes):
        api = contender.processes["api"].url
        async with httpx.AsyncClient(base_url=api, timeout=60) as client:
            await seed(client, KEY, given)
        while await value(databases["preference"], JOBS_DONE) < START_JOBS:
            await asyncio.sleep(0.5)
        pids = {name: process.running.pid for name, process in contender.processes.items() if process.running}
        contender.groups = {**pids, "PostgreSQL": ground.postmaster, "Kafka": ground.broker}
        yield contender


@contextlib.contextmanager
def _started(processes: dict[str, Process]) -> Iterator[None]:
    try:
        for process in processes.values():
            process.start()
        for process in processes.values():
            process.wait_ready()
        yield
    finally:
        for process in processes.values():
            if process.alive:
                process.kill()


def _processes(ground: Ground, directory: Path, databases: dict[str, str], given: OurLoad) -> dict[str, Process]:
    ports = {name: free_port() for name in ("preference", "suppression", *ROLES)}
    common = {
        "TACTFUL_KAFKA__BOOTSTRAP": ground.kafka.bootstrap,
        "TACTFUL_KAFKA__EVENTS_TOPIC": given.topic,
        "TACTFUL_SERVICES__ORCHESTRATOR_URL": f"http://127.0.0.1:{ports['api']}",
        "TACTFUL_SERVICES__PREFERENCE_URL": f"http://127.0.0.1:{ports['preference']}",
        "TACTFUL_SERVICES__SUPPRESSION_URL": f"http://127.0.0.1:{ports['suppression']}",
        "TACTFUL_WEB__PUBLIC_URL": f"http://127.0.0.1:{ports['preference']}",
        "TACTFUL_ADAPTERS__EMAIL": "off",
        "TACTFUL_ADAPTERS__SMS": "off",
        "TACTFUL_ADAPTERS__IN_APP": "off",
        "TACTFUL_ADAPTERS__PUSH": "off",
        "TACTFUL_WEBHOOK__SECRET": SECRET,
        "TACTFUL_ADMIN_KEY": KEY,
        "TACTFUL_SERVICE_KEY": f"service-{KEY}",
        "TACTFUL_ADDRESS_KEY": f"address-{KEY}",
        **given.settings,
    }
    made = {}
    for name, port in ports.items():
        service = "orchestrator" if name in ROLES else name
        command = [sys.executable, "-m", f"services.{service}", "--port", str(port)]
        command += ["--role", ROLES[name]] if name in ROLES else []
        environment = {**common, "TACTFUL_DATABASE__URL": databases[service]}
        made[name] = Process(
            name, tuple(command), port, environment, directory / f"{given.topic}.{name.replace(' ', '-')}.log"
        )
    return made


async def fill(databases: dict[str, str], customers: int, given: OurLoad) -> None:
    """Write the packed rows of all customers, by the services' own forms."""
    at = now()
    opened = {name: Database.open(url, pool=1) for name, url in databases.items()}
    ring = load.past(at).pack()
    for first in range(0, customers, CHUNK):
        numbers = range(first, min(first + CHUNK, customers))
        states = [given.preference(number, at) for number in numbers]
        silenced = [state for number in numbers if (state := given.suppressed(number, at))]
        async with opened["preference"].write() as tx:
            rows: list[tuple[Any, ...]] = [(state.customer, state.version, pack_preference(state)) for state in states]
            await tx.bulk_insert("preference_state", ("customer", "version", "state"), rows)
        async with opened["suppression"].write() as tx:
            rows = [(state.customer, state.version, pack_suppressed(state)) for state in silenced]
            await tx.bulk_insert("customer_state", ("customer", "version", "body"), rows)
        async with opened["orchestrator"].write() as tx:
            rows = [(load.customer(number), 1, BEGINNING_OF_TIME, ring) for number in numbers]
            await tx.bulk_insert("ledger", ("customer", "version", "complete_from", "ring"), rows)
    for database in opened.values():
        await database.close()


async def seed(client: httpx.AsyncClient, admin: str, given: OurLoad) -> None:
    """Policy and campaigns through the public doors: one person writes, another approves."""

    async def ask(method: str, path: str, key: str, body: Any = None) -> Any:
        answer = await client.request(method, path, json=body, headers={"authorization": f"Bearer {key}"})
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    first, second = [
        (await ask("POST", "/v1/keys", admin, {"name": name, "role": role}))["key"]
        for name, role in (("first-person", "admin"), ("second-person", "approver"))
    ]
    version = (await ask("PUT", "/v1/policy", first, load.policy(now())))["version"]
    paths = [f"/v1/policy/versions/{version}"]
    for number in range(load.CAMPAIGNS):
        document = given.campaign(number)
        paths.append(f"/v1/campaigns/{document['key']}")
        await ask("PUT", paths[-1], first, document)
    for path in paths:
        await ask("POST", f"{path}/submit", first)
        await ask("POST", f"{path}/approve", second)
        await ask("POST", f"{path}/activate", second)
