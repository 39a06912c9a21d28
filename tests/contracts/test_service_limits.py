"""The limits that settings name hold in each of the three services: they reach it by its wiring, on the same path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.deployment_settings import DeploymentSettings
from services.development.all_services import SERVICE_NAMES, AllServices
from services.kit.bus.local_bus import LocalBus
from services.kit.db.database import Database
from services.kit.runtime.clock import SystemClock
from services.kit.runtime.settings import WebSettings
from services.suppression.app import MAX_BULK_BODY
from tests.support.fresh_databases import migrate

pytestmark = pytest.mark.wired
ADMIN = "an-admin-key-of-the-tests"
READ = {"orchestrator": "/v1/campaigns", "preference": "/v1/preferences/nobody", "suppression": "/v1/holds"}
WRITE = {"orchestrator": "/v1/events", "preference": "/v1/preferences/nobody", "suppression": "/v1/suppressions"}
LARGEST_BODY = {"orchestrator": 4096, "preference": 4096, "suppression": MAX_BULK_BODY}
"""Suppression takes lists of addresses, which are larger whatever the setting says."""


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[AllServices]:
    """The services, with limits other than the default ones, none of them started."""
    databases = {}
    for name in SERVICE_NAMES:
        url = f"sqlite+aiosqlite:///{tmp_path / name}.db"
        migrate(url, f"services.{name}")
        databases[name] = Database.open(url)
    keys = {"admin_key": ADMIN, "service_key": "a-service-key-of-the-tests", "address_key": "an-address-key-of-tests"}
    settings = DeploymentSettings.model_validate({**keys, "web": WebSettings(rate=1, max_body=4096)})
    bus = LocalBus(tmp_path / "log.db")
    yield AllServices(settings, databases, bus, SystemClock())
    await bus.close()
    for database in databases.values():
        await database.close()


def client(services: AllServices, name: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(services.app.apps[name])
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"}
    return httpx.AsyncClient(transport=transport, base_url="http://tactful", headers=headers)


@pytest.mark.parametrize("name", SERVICE_NAMES)
async def test_the_first_to_ask_for_the_description_holds_nobody_up(services: AllServices, name: str) -> None:
    """Anybody may ask; making it takes up to a second."""
    async with client(services, name) as http:
        began = time.monotonic()
        asking = [asyncio.create_task(http.get("/openapi.json")) for _ in range(3)]
        longest, before = 0.0, began
        while not all(task.done() for task in asking):
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
        took = before - began
    documents = [task.result().json() for task in asking]
    assert documents[0] == documents[1] and not [path for path in documents[0]["paths"] if "/internal" in path]
    assert longest < max(0.05, took / 2), (longest, took)


@pytest.mark.parametrize("name", SERVICE_NAMES)
async def test_a_key_that_asks_too_often_is_refused(services: AllServices, name: str) -> None:
    async with client(services, name) as http:
        answers = [await http.get(READ[name]) for _ in range(4)]
    assert [answer.status_code < 429 for answer in answers] == [True, True, False, False]
    assert answers[2].status_code == 429 and int(answers[2].headers["retry-after"]) >= 1


@pytest.mark.parametrize("name", SERVICE_NAMES)
async def test_a_body_that_is_too_large_is_refused(services: AllServices, name: str) -> None:
    async with client(services, name) as http:
        method = "PUT" if name == "preference" else "POST"
        answer = await http.request(method, WRITE[name], content=b" " * (LARGEST_BODY[name] + 1))
    assert answer.status_code == 413 and str(LARGEST_BODY[name]) in answer.text
