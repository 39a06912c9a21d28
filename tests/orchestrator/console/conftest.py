"""The console as people meet it: the whole of Tactful in one process, with a clock that stands still."""

import atexit
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from schemas.documents import load_document
from schemas.roles import Role
from schemas.times import Instant, format_instant, parse_instant
from services.development.all_services import SERVICE_NAMES, EmbeddedTactful
from services.kit.runtime.clock import ManualClock
from tests.support.api_contract import ContractTransport
from tests.support.fresh_databases import migrate
from tests.support.servers import ROOT

NOON = parse_instant("2026-03-02T12:00:00Z")
ORIGIN = "http://tactful"
HTML = {"accept": "text/html", "origin": ORIGIN}
_EXAMPLES = ROOT / "examples"
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class House:
    """Everything, and a browser's worth of cookies."""

    embedded: EmbeddedTactful
    browser: httpx.AsyncClient
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def clock(self) -> ManualClock:
        """The clock that stands still."""
        assert isinstance(self.embedded.clock, ManualClock)
        return self.embedded.clock

    @property
    def now(self) -> Instant:
        """What time it is."""
        return self.clock.now()

    async def api(self, method: str, path: str, body: Any = None, by: str = "admin") -> Any:
        """Ask the API with a key."""
        headers = {"authorization": f"Bearer {self.embedded.keys.get(by) or self.keys[by]}"}
        transport = ContractTransport(self.embedded.app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as client:
            answer = await client.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def key_of(self, role: str) -> str:
        """The key of somebody with a role."""
        if role not in self.keys:
            made = await self.api("POST", "/v1/keys", {"name": f"a-{role}", "role": role})
            self.keys[role] = made["key"]
        return self.keys[role]

    async def sign_in(self, role: str = "admin") -> None:
        """Sign in through a one-time link."""
        token = await self.embedded.services.orchestrator.sign_in.issue_token(f"a-{role}", Role(role))
        answer = await self.post("/console/sign-in", {"token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/")

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        return await self.browser.get(path, headers={**HTML, **headers})

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form."""
        return await self.browser.post(path, data=fields, headers={**HTML, **headers})

    async def csrf(self) -> str:
        """The token that the forms of this session carry."""
        found = _CSRF.search((await self.get("/console/")).text)
        assert found is not None
        return found[1]

    async def event(self, kind: str, customer: str, data: dict[str, Any], id: str) -> None:
        """Something happened, now; returns when it is decided and settled."""
        event = {"specversion": "1.0", "id": id, "source": "/shop", "type": kind, "subject": customer}
        event |= {"time": format_instant(self.now), "data": data}  # type: ignore[dict-item]
        await self.api("POST", "/v1/events?wait=10s", event)
        await self.api("POST", "/v1/dev/clock", {"advance": "1s"})

    async def open_shop(self) -> None:
        """The example shop's policy, one campaign, and two customers."""
        version = (await self.api("PUT", "/v1/policy", load_document((_EXAMPLES / "policy.yaml").read_text())))[
            "version"
        ]
        await self._lead(f"/v1/policy/versions/{version}")
        for key in ("referral-ask", "payment-failed"):
            document = load_document((_EXAMPLES / "campaigns" / f"{key}.yaml").read_text())
            await self.api("PUT", f"/v1/campaigns/{key}", document)
            await self._lead(f"/v1/campaigns/{key}")
        for line in (_EXAMPLES / "customers.jsonl").read_text().splitlines()[:2]:
            person = load_document(line)
            await self.api("PUT", f"/v1/preferences/{person['customer']}", person)

    async def _lead(self, path: str) -> None:
        await self.api("POST", f"{path}/submit")
        await self.api("POST", f"{path}/approve", by="reviewer")
        await self.api("POST", f"{path}/activate")


@asynccontextmanager
async def opened(directory: Path, clock: Instant) -> AsyncIterator[House]:
    """An installation on the files in a directory, at this time, and nobody signed in."""
    embedded = EmbeddedTactful(directory, clock=clock)
    for name in SERVICE_NAMES:
        if not (directory / f"{name}.db").exists():
            migrate(f"sqlite+aiosqlite:///{directory / name}.db", f"services.{name}")
    await embedded.start()
    transport = httpx.ASGITransport(embedded.app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as browser:
            yield House(embedded, browser)
    finally:
        await embedded.stop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An empty installation, and nobody signed in."""
    async with opened(tmp_path / "data", NOON) as made:
        yield made


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[House]:
    """A shop in which some things have happened to Ada, an administrator signed in."""
    if not _closed_shops:
        _closed_shops.append(await _make_closed_shop())
    closed = _closed_shops[0]
    shutil.copytree(closed.directory, tmp_path / "shop")
    async with opened(tmp_path / "shop", closed.clock) as made:
        await made.sign_in()
        yield made


class ClosedShop(NamedTuple):
    """The files of an installation that was stopped at this time."""

    directory: Path
    clock: Instant


_closed_shops: list[ClosedShop] = []
"""The shop that this process has made, of which each test opens a copy: making it takes forty requests."""


async def _make_closed_shop() -> ClosedShop:
    folder = Path(tempfile.mkdtemp(prefix="tactful-shop-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    async with opened(folder / "data", NOON) as made:
        await made.open_shop()
        await made.event("shop.complaint.filed", "ada", {"case": "k-1"}, "e-complaint")
        await made.event("shop.order.delivered", "ada", {"order": "o-1", "total": 80.0}, "e-order")
        await made.event("shop.payment.failed", "ada", {"order": "o-1", "total": 80.0}, "e-payment")
        return ClosedShop(folder / "data", made.now)
