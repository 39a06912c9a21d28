"""All kinds of import in services that run no jobs: a test runs an import itself, and reads all that it has left."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from schemas.times import DAY, format_instant
from services.bulk_import.import_runner import ImportRunner
from services.development.all_services import SERVICE_NAMES, AllServices
from services.kit.bus.local_bus import LocalBus
from services.kit.db.database import Database
from services.kit.runtime.clock import ManualClock
from services.suppression.store.situation_store import set_active_situations
from tests.support.document_builders import MONDAY
from tests.support.fresh_databases import migrate
from tests.support.live_product import ADMIN, settings

RowChoice = tuple[int, int, int]
"""Which customer, which day and which variant; the last variant of each kind is refused."""
COMPLAINT = {"kind": "complaint", "lapses": "10d", "opens": [{"event": "shop.complaint"}]}
_PROOF = {"source": "form", "wording": "w-1", "basis": "consent"}


class TriedKind(NamedTuple):
    """A kind of import: its path, its service, a row by choices, and the queries that read what imports leave."""

    path: str
    service: str
    table: str
    make_row: Callable[[str, str, int], dict[str, Any]]
    queries: tuple[str, ...]


def _situation(customer: str, day: str, variant: int) -> dict[str, Any]:
    row = {"customer": customer, "kind": "complaint", "ref": "case", "opened": day}
    changes: Sequence[dict[str, Any]] = (
        {},
        {"closed": format_instant(MONDAY - DAY)},
        {"ref": day},
        {"kind": "complant"},
    )
    return row | changes[variant]


def _contact(customer: str, day: str, variant: int) -> dict[str, Any]:
    row = {"customer": customer, "at": day, "channel": "email", "class": "marketing"}
    changes: Sequence[dict[str, Any]] = ({}, {"id": "m-1"}, {"topic": "news"}, {"channel": "emial"})
    return row | changes[variant]


def _customer(customer: str, day: str, variant: int) -> dict[str, Any]:
    address = {"channel": "email", "address": f"{customer}@example.org"}
    changes: Sequence[dict[str, Any]] = (
        {"locale": "de"},
        {"traits": {"day": day}},
        {"addresses": [address]},
        {"zone": "x"},
    )
    return {"customer": customer, "at": day} | changes[variant]


def _consent(customer: str, day: str, variant: int) -> dict[str, Any]:
    row = {"customer": customer, "channel": "email", "topic": "news", "status": "granted", "at": day, **_PROOF}
    opt_out = {"customer": customer, "status": "opted_out", "topic": "news", "at": day}
    return (row, row | {"status": "refused"}, opt_out, row | {"status": "grnted"})[variant]


def _entry(customer: str, day: str, variant: int) -> dict[str, Any]:
    changes: Sequence[dict[str, Any]] = ({}, {"scope": {"channel": "email"}}, {"reason": "legal"}, {"reason": "becuse"})
    return {"customer": customer, "at": day, "reason": "manual"} | changes[variant]


_PREFERENCE_QUERIES = (
    # Without versions: a row of a customer that says what is so counts one more, as its event does.
    "SELECT customer FROM preference_state ORDER BY customer",
    "SELECT customer, event_id FROM preference_change ORDER BY customer, event_id",
)
TRIED_KINDS = {
    "situations": TriedKind(
        *("/v1/imports/situations", "suppression", "situation_import", _situation),
        (
            "SELECT customer, version, body FROM customer_state ORDER BY customer",
            "SELECT customer, kind, ref, action, at, event_id FROM situation_event ORDER BY seq",
        ),
    ),
    "contacts": TriedKind(
        *("/v1/imports/contacts", "orchestrator", "contact_import", _contact),
        (
            "SELECT customer, version > 0, ring FROM ledger ORDER BY customer",
            "SELECT customer, message_id, state, at FROM contact_history ORDER BY seq",
        ),
    ),
    "customers": TriedKind("/v1/imports/customers", "preference", "customer_import", _customer, _PREFERENCE_QUERIES),
    "consents": TriedKind("/v1/imports/consents", "preference", "consent_import", _consent, _PREFERENCE_QUERIES),
    "suppressions": TriedKind(
        *("/v1/suppressions/imports", "suppression", "suppression_import", _entry),
        ("SELECT customer, channel, reason, at FROM suppression_entry ORDER BY customer, reason, at, channel",),
    ),
}


def choose_row(kind: TriedKind, choice: RowChoice) -> dict[str, Any]:
    """A row of one of three customers, of one of the days before."""
    customer, day, variant = choice
    return kind.make_row(f"c-{customer}", format_instant(MONDAY - (2 + day) * DAY), variant)


@dataclass
class IdleImports:
    """The services, none of whose jobs runs."""

    together: AllServices
    http: httpx.AsyncClient

    def database(self, kind: TriedKind) -> Database:
        """That of the kind's service."""
        return self.together.databases[kind.service]

    def runner(self, kind: TriedKind) -> ImportRunner[Any]:
        """What applies files of the kind."""
        imports = (
            *(*self.together.preference.imports, *self.together.suppression.imports),
            self.together.orchestrator.components.contact_import,
        )
        (found,) = [each.runner for each in imports if each.large_body[0] == kind.path]
        return found

    async def take(self, kind: TriedKind, body: bytes, **query: Any) -> str:
        """The path of a new import of this file, which waits."""
        headers = {"Content-Type": "application/x-ndjson"}
        answer = await self.http.post(kind.path, content=body, headers=headers, params=query)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    async def read_outcome(self, path: str) -> tuple[Any, ...]:
        """How an import ended: its state, its counts, and the result of each row but for ids."""
        job = (await self.http.get(path)).json()
        rows = (await self.http.get(f"{path}/results", params={"limit": 200})).json()["items"]
        results = [tuple(value for name, value in row.items() if name != "id") for row in rows]
        return job["state"], job["added"], job["exists"], job["refused"], results

    async def import_file(self, kind: TriedKind, body: bytes, **query: Any) -> tuple[Any, ...]:
        """How an import of this file ends."""
        path = await self.take(kind, body, **query)
        await self.runner(kind).run_next(asyncio.Event())
        return await self.read_outcome(path)

    async def read_stored(self, kind: TriedKind) -> list[list[tuple[Any, ...]]]:
        """What imports of the kind have left."""
        async with self.database(kind).read() as tx:
            return [[tuple(row) for row in await tx.rows(query)] for query in kind.queries]


@asynccontextmanager
async def idle_imports() -> AsyncIterator[IdleImports]:
    """The services on fresh databases, with a policy that knows complaints."""
    with tempfile.TemporaryDirectory() as directory:
        databases = {}
        for name in SERVICE_NAMES:
            url = f"sqlite+aiosqlite:///{directory}/{name}.db"
            migrate(url, f"services.{name}")
            databases[name] = Database.open(url)
        async with databases["suppression"].write() as tx:
            await set_active_situations(tx, 1, [COMPLAINT], MONDAY)
        bus = LocalBus(Path(directory) / "log.db")
        together = AllServices(settings(), databases, bus, ManualClock(MONDAY), is_sole_dispatcher=True)
        transport = httpx.ASGITransport(together.app)
        headers = {"Authorization": f"Bearer {ADMIN}"}
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://tactful", headers=headers) as http:
                yield IdleImports(together, http)
        finally:
            await together.stop()
            await bus.close()
            for database in databases.values():
                await database.close()
