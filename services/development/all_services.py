"""The three services in one process, with an embedded log, SQLite files and in-process HTTP. Wiring only.

The code is that of production; only the transports differ. A lock on the data directory proves that no other process
uses it, so attempts that a killed predecessor has left open can be closed at once.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.roles import Role
from schemas.times import Instant
from services.clients.orchestrator import OrchestratorClient
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.deployment_settings import DeploymentSettings
from services.development import dev_settings
from services.development.local_log_erasure import ERASE_SECONDS, LocalLogErasure
from services.development.local_log_retention import LocalLogRetention
from services.development.virtual_time import VirtualTime, clock_routes
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Bus
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.errors import Malformed
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeyRing
from services.kit.http.idempotency import IdempotencyStore
from services.kit.http.openapi import merge_documents
from services.kit.http.openapi_page import OpenApiPage
from services.kit.http.path_segments import routable_path
from services.kit.observability.build_info import publish_build_info
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock, ManualClock, SystemClock
from services.kit.runtime.periodic import repeat_every
from services.kit.runtime.settings import SettingsError
from services.orchestrator import app as orchestrator_app
from services.orchestrator.access import api_keys
from services.preference import app as preference_app
from services.retention.sweeper import SWEEP_SECONDS
from services.suppression import app as suppression_app

SERVICE_NAMES = ("orchestrator", "preference", "suppression")
PATH_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "preference": (
        "/v1/preferences",
        "/v1/consents",
        "/p",
        "/u",
        "/c",
        "/a",
        "/v1/reports/addresses",
        "/v1/imports/customers",
        "/v1/imports/consents",
        "/internal/preference",
    ),
    "suppression": (
        "/v1/suppressions",
        "/v1/holds",
        "/v1/situations",
        "/v1/imports/situations",
        "/internal/suppression",
    ),
    "development": ("/v1/dev",),
}


OPENAPI_PATH = "/openapi.json"


class Gateway:
    """ASGI app that serves all services at one address. Their public paths do not overlap."""

    def __init__(self, apps: dict[str, ASGIApp]) -> None:
        self.apps = apps
        self._openapi_page = OpenApiPage(self._describe)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to the service that owns the path."""
        if scope["type"] == "http" and scope["path"] == OPENAPI_PATH and scope["method"] in ("GET", "HEAD"):
            await (await self._openapi_page.respond())(scope, receive, send)
        else:
            await self.apps[self._owner(scope)](scope, receive, send)

    def _describe(self) -> dict[str, Any]:
        documents = [app.openapi() for app in self.apps.values() if isinstance(app, FastAPI)]
        return merge_documents("Tactful", documents)

    def _owner(self, scope: Scope) -> str:
        with suppress(Malformed):  # which every service refuses
            path = routable_path(scope) if scope["type"] == "http" else ""
            for name, prefixes in PATH_PREFIXES.items():
                if name in self.apps and any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes):
                    return name
        return "orchestrator"


class InProcessTransport(httpx.AsyncBaseTransport):
    """HTTP transport of the internal clients: calls the gateway in this process, without a socket."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Handle the request in process. Raises httpx.ConnectError before the gateway is set."""
        if self.gateway is None:
            raise httpx.ConnectError("the services have not been wired yet")
        return await httpx.ASGITransport(app=self.gateway).handle_async_request(request)


class AllServices:
    """The three services on given databases, log and clock. With a manual clock, `virtual_time` moves it."""

    def __init__(
        self,
        settings: DeploymentSettings,
        databases: Mapping[str, Database],
        bus: Bus,
        clock: Clock,
        *,
        is_sole_dispatcher: bool = False,
        registry: Registry | None = None,
    ) -> None:
        self.settings = settings
        self.databases = databases
        self.bus = bus
        self.clock = clock
        self._transport = InProcessTransport()
        self._client = httpx.AsyncClient(transport=self._transport, base_url="http://tactful")
        self._build_services(self._client, settings.require("service_key"), registry or Registry(), is_sole_dispatcher)
        if isinstance(bus, LocalBus):
            pseudonyms = self.orchestrator.components.erased.pseudonyms
            log_erasure = LocalLogErasure(bus, databases, pseudonyms)
            self.orchestrator.add_job("log erasure", partial(repeat_every, ERASE_SECONDS, log_erasure.delete_records))
            log_retention = LocalLogRetention(bus, databases, settings.retention.embedded_log)
            self.orchestrator.add_job("log retention", partial(repeat_every, SWEEP_SECONDS, log_retention.delete_old))
        self.virtual_time = self._create_virtual_time()
        self.app = self._transport.gateway = Gateway({name: getattr(self, name).app for name in SERVICE_NAMES})
        if self.virtual_time is not None:
            self.serve_development_api()

    def _build_services(
        self, client: httpx.AsyncClient, key: str, registry: Registry, is_sole_dispatcher: bool
    ) -> None:
        shared: Any = {"bus": self.bus, "clock": self.clock, "registry": registry}
        orchestrator = OrchestratorClient(client, key)
        self.preference = preference_app.build(
            self.settings, database=self.databases["preference"], orchestrator=orchestrator, **shared
        )
        self.suppression = suppression_app.build(
            self.settings, database=self.databases["suppression"], orchestrator=orchestrator, **shared
        )
        self.orchestrator = orchestrator_app.build(
            self.settings,
            database=self.databases["orchestrator"],
            preference=PreferenceClient(client, key, self.preference.facts),
            suppression=SuppressionClient(
                client, key, self.settings.require("address_key").encode(), self.suppression.components.facts
            ),
            free_running=not isinstance(self.clock, ManualClock),
            is_sole_dispatcher=is_sole_dispatcher,
            **shared,
        )
        for name, service in (("preference", self.preference), ("suppression", self.suppression)):
            self.orchestrator.health.add_check(name, partial(_passes_all_checks, service.health))

    def _create_virtual_time(self) -> VirtualTime | None:
        if not isinstance(self.clock, ManualClock) or self.orchestrator.scheduler is None:
            return None
        return VirtualTime(
            self.clock,
            self.orchestrator.scheduler,
            self.databases["orchestrator"],
            list(self.databases.values()),
            self.bus,
            self.settings.kafka.events_topic,
        )

    def serve_development_api(self, *routers: APIRouter) -> None:
        """Serve `/v1/dev`, which exists only in development: the routes of a manual clock, and those given."""
        if self.virtual_time is not None and isinstance(self.clock, ManualClock):
            routers = (*routers, clock_routes(self.virtual_time, self.clock))
        self.app.apps["development"] = build_app(
            title="Tactful: development",
            registry=Registry(),
            health=Health(),
            keys=EnvKeyRing(self.settings.require("admin_key")),
            idempotency=IdempotencyStore(self.databases["orchestrator"]),
            routers=routers,
        )

    async def start(self) -> None:
        """Start all three services. The schemas of the databases must be up to date."""
        for service in (self.preference, self.suppression, self.orchestrator):
            await service.start()

    async def stop(self) -> None:
        """Finish what is in progress. Databases and log stay open."""
        await self.orchestrator.stop()  # first: the batch at hand needs facts from the other two
        await asyncio.gather(self.preference.stop(), self.suppression.stop())
        await self._client.aclose()

    def jobs(self) -> list[asyncio.Task[None]]:
        """The tasks that must run until `stop`; if one ends earlier, the process must end."""
        return [task for each in (self.preference, self.suppression, self.orchestrator) for task in each.tasks]


@contextmanager
def _named_file(path: Path) -> Iterator[None]:
    """Names the file of the data directory that cannot be used. Raises SettingsError."""
    try:
        yield
    except migrate.AnotherServicesSchema:
        raise SettingsError(f"{path} is the database of another service: {_RESTORE}") from None
    except (sqlite3.DatabaseError, DBAPIError) as error:
        raise SettingsError(f"{path} cannot be used ({_file_fault(error)}): {_RESTORE}") from None


def _file_fault(error: BaseException) -> object:
    """What SQLite says, such as "file is not a database"."""
    return (error.orig if isinstance(error, DBAPIError) else None) or error


_RESTORE = "restore it, or choose another --data-dir"


class EmbeddedTactful:
    """All of Tactful in this process, on files in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 8000,
        clock: Instant | None = None,
        brand: Mapping[str, object] | None = None,
    ) -> None:
        """`port`: where it listens. `brand`: of the public pages, where none is set. Raises SettingsError: see
        `dev_settings`.
        """
        given = dev_settings.read_given_settings()
        self.directory = directory
        self._lock_file = dev_settings.lock_data_dir(directory)
        self.keys = dev_settings.load_or_create_keys(directory, given)
        self.lab_keys = dev_settings.load_or_create_lab_keys(directory)
        self.settings = dev_settings.complete_settings(given, directory, port, self.keys, self.lab_keys, brand)
        self.address = dev_settings.address_of(self.settings.web.host, port)
        self.clock: Clock = SystemClock() if clock is None else ManualClock(clock)
        self.registry = Registry()
        publish_build_info(self.registry, *SERVICE_NAMES)
        self.services: AllServices

    @property
    def app(self) -> ASGIApp:
        """The ASGI app that serves everything at one address."""
        return self.services.app

    async def start(self) -> None:
        """Upgrade the databases and start all services. Raises SettingsError for a file that is no such database."""
        databases: dict[str, Database] = {}
        bus = LocalBus(self.directory / "log.db")
        try:
            for name in SERVICE_NAMES:
                path = self.directory / f"{name}.db"
                url = f"sqlite+aiosqlite:///{path}"
                with _named_file(path):
                    await migrate.upgrade_schema(url, f"services.{name}")
                databases[name] = Database.open(url, pool=self.settings.database.pool)
            with _named_file(self.directory / "log.db"):
                await bus.ensure_topics({})
        except BaseException:
            await bus.close()
            for database in databases.values():
                await database.close()
            self._lock_file.close()
            raise
        self.services = AllServices(
            self.settings, databases, bus, self.clock, is_sole_dispatcher=True, registry=self.registry
        )
        await self._ensure_reviewer_key(databases["orchestrator"])
        await self.services.start()

    async def _ensure_reviewer_key(self, database: Database) -> None:
        """Create the key of a second person, because nobody may approve their own edit."""
        if "reviewer" not in self.keys:
            _, plain = await api_keys.create_key(database, "reviewer", Role.APPROVER, "installation", self.clock.now())
            self.keys["reviewer"] = plain
            dev_settings.write_keys(self.directory, self.keys)

    def begin_shutdown(self) -> None:
        """Announce the shutdown, so that streaming responses end."""
        self.services.orchestrator.health.stopping = True

    async def stop(self) -> None:
        """Finish what is in progress and close everything."""
        await self.services.stop()
        await self.services.bus.close()
        for database in self.services.databases.values():
            await database.close()
        self._lock_file.close()

    def jobs(self) -> list[asyncio.Task[None]]:
        """The tasks that must run until `stop`; if one ends earlier, the process must end."""
        return self.services.jobs()


async def _passes_all_checks(health: Health) -> bool:
    return all(finding.ok for finding in (await health.run_checks()).values())
