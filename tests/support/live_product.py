"""The three services in this process, used over HTTP, with the manual clock of `tactful dev --clock`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from schemas.documents import load_document
from schemas.roles import Role
from schemas.times import Instant, format_instant
from services.deployment_settings import DeploymentSettings
from services.development.all_services import SERVICE_NAMES, AllServices
from services.kit.bus.local_bus import LocalBus
from services.kit.db.database import Database
from services.kit.runtime.clock import ManualClock
from services.orchestrator.access import api_keys
from tests.support.api_contract import ContractTransport
from tests.support.fresh_databases import migrate

ADMIN = "admin-key-of-the-tests"
CLOUD_EVENT = {"content-type": "application/cloudevents+json"}


class Live:
    """A running product. `editor` and `reviewer` are two people, since nobody approves their own edit."""

    def __init__(self, together: AllServices, clock: ManualClock, reviewer: str) -> None:
        self.together = together
        self.clock = clock
        self.editor = self._client(ADMIN)
        self.reviewer = self._client(reviewer)

    def _client(self, key: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=ContractTransport(self.together.app),
            base_url="http://tactful",
            headers={"authorization": f"Bearer {key}"},
            timeout=120,
        )

    @property
    def database(self) -> Database:
        """The orchestrator's."""
        return self.together.databases["orchestrator"]

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """A request that must succeed; returns the JSON of the answer."""
        response = await _when_audited(lambda: self.editor.request(method, path, json=body, **options))
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    async def policy(self, document: Mapping[str, Any]) -> None:
        """Make this the active policy."""
        version = (await self.ask("PUT", "/v1/policy", document))["version"]
        await self._lead(f"/v1/policy/versions/{version}")

    async def campaign(self, document: Mapping[str, Any]) -> None:
        """Make this an active campaign."""
        path = f"/v1/campaigns/{document['key']}"
        await self.ask("PUT", path, document)
        await self._lead(path)

    async def _lead(self, path: str) -> None:
        await self.ask("POST", f"{path}/submit")
        approved = await _when_audited(lambda: self.reviewer.post(f"{path}/approve"))
        assert approved.status_code == 200, approved.text
        await self.ask("POST", f"{path}/activate")

    async def customer(self, document: Mapping[str, Any]) -> None:
        """Keep this customer's preferences."""
        await self.ask("PUT", f"/v1/preferences/{document['customer']}", document)

    async def send(self, event: Mapping[str, Any] | str) -> Any:
        """Publish an event over HTTP, and wait for its decisions. Returns its item."""
        content = event if isinstance(event, str) else json.dumps(event)
        response = await self.editor.post("/v1/events?wait=30s", content=content, headers=CLOUD_EVENT)
        assert response.status_code == 202, response.text
        return response.json()["items"][0]

    async def at(self, instant: Instant) -> None:
        """Move the clock there, unless it is later already; what was published before is followed to its end."""
        await self.ask("POST", "/v1/dev/clock", {"set": format_instant(max(instant, self.clock.now()))})

    async def settle(self) -> None:
        """Do what is due at this very instant."""
        await self.ask("POST", "/v1/dev/clock", {"settle": True})

    async def decisions(self, **filters: str) -> list[dict[str, Any]]:
        """All decisions, in order of time and message."""
        items: list[dict[str, Any]] = []
        after = None
        while True:
            params = {"limit": "200", **filters, **({"after": after} if after else {})}
            page = await self.ask("GET", "/v1/decisions", params=params)
            items += page["items"]
            if (after := page["next"]) is None:
                return items

    async def inbox(self, **filters: str) -> list[dict[str, Any]]:
        """What the sandbox would have sent."""
        items: list[dict[str, Any]] = (await self.ask("GET", "/v1/sandbox/messages", params=filters))["items"]
        return items

    async def close(self) -> None:
        """Release the clients."""
        await self.editor.aclose()
        await self.reviewer.aclose()


async def _when_audited(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer, asked for up to three times: a server that is busy with other tests may not take the entry of the
    audit log in time; then nothing was done, and the caller is told to ask again.
    """
    for _ in range(2):
        response = await ask()
        if response.status_code != 503 or response.json()["code"] != "not_audited":
            return response
        await asyncio.sleep(1.0)
    return await ask()


def settings(region: str | None = None, **others: Any) -> DeploymentSettings:
    """Settings for tests: no environment, three keys, and the organisation's country."""
    return DeploymentSettings(
        admin_key=SecretStr(ADMIN),
        service_key=SecretStr("service-key-of-the-tests"),
        address_key=SecretStr("address-key-of-the-tests"),
        region=region,
        **others,
    )


@asynccontextmanager
async def live(
    directory: Path, now: Instant, urls: Mapping[str, str] | None = None, region: str | None = None, **others: Any
) -> AsyncIterator[Live]:
    """The product on files in `directory`, or on the databases at `urls`, of an organisation in `region`. `others`:
    settings that are not the defaults.
    """
    clock = ManualClock(now)
    databases: dict[str, Database] = {}
    for name in SERVICE_NAMES:
        url = urls[name] if urls else f"sqlite+aiosqlite:///{directory / name}.db"
        migrate(url, f"services.{name}")
        databases[name] = Database.open(url)
    bus = LocalBus(directory / "log.db")
    together = AllServices(settings(region, **others), databases, bus, clock, is_sole_dispatcher=True)
    _, reviewer = await api_keys.create_key(databases["orchestrator"], "reviewer", Role.APPROVER, "tests", now)
    await together.start()
    product = Live(together, clock, reviewer)
    try:
        yield product
    finally:
        await product.close()
        await together.stop()
        await bus.close()
        for database in databases.values():
            await database.close()


def read(path: Path) -> Any:
    """A document in a file."""
    return load_document(path.read_text())
