"""The do-not-contact list."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from schemas.documents import DocumentError, load_json, validate
from schemas.facts import AttemptScope
from schemas.suppression import Suppression
from schemas.vocabulary import CHANNELS, SuppressionReason
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, Problem, TooLarge
from services.kit.http import request_parsing
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import Lookup, WithReason, check_texts, entry_document, suppression
from services.suppression.entry_registration import Added, Desk
from services.suppression.store import entry_store
from services.suppression.suppression_enforcement import Enforcer

LINES = "application/x-ndjson"
MOST_ROWS = 10_000
CHUNK = 500
"""Rows of one transaction."""
STATUSES = ("added", "exists", "invalid")

Result = dict[str, Any]


def router(database: Database, desk: Desk, enforcer: Enforcer, clock: Clock) -> APIRouter:
    """GET, POST and DELETE /v1/suppressions."""
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])
    _reading(routes, database, desk)
    _adding(routes, Importer(database, desk, clock), enforcer, clock)
    _removing(routes, database, desk, clock)
    return routes


def _reading(routes: APIRouter, database: Database, desk: Desk) -> None:
    @routes.get("", summary="Live entries, newest first")
    async def listed(
        _: Principal = requires("suppressions:read"),
        customer: Annotated[str | None, Query(max_length=1024)] = None,
        reason: SuppressionReason | None = None,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> dict[str, object]:
        before = decode_cursor(after, str) if after else ""
        async with database.read() as tx:
            rows = await entry_store.listed(tx, before, limit + 1, customer=customer, reason=reason, hashes=None)
        items = [entry_document(row) for row in rows[:limit]]
        return page(items, encode_cursor(items[-1]["id"]) if len(rows) > limit else None)

    @routes.post("/lookup", summary="Live entries of one address, which never stands in a URL")
    async def lookup(request: Request, _: Principal = requires("suppressions:read")) -> dict[str, object]:
        asked = validate(Lookup, await request_parsing.json_body(request))
        hashes = [
            desk.hash(channel, asked.address) for channel in (CHANNELS if asked.channel is None else [asked.channel])
        ]
        async with database.read() as tx:
            rows = await entry_store.listed(tx, "", 200, customer=None, reason=None, hashes=hashes)
        return page([entry_document(row) for row in rows], None)


def _adding(routes: APIRouter, importer: "Importer", enforcer: Enforcer, clock: Clock) -> None:
    @routes.post("", summary="Add one entry, or up to 10,000 as a list or as lines; answered once it is enforced")
    async def add(request: Request, principal: Principal = requires("suppressions:write")) -> JSONResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == LINES:
            return await many(_lines(await request.body()), principal)
        body = await request_parsing.json_body(request)
        if isinstance(body, list):
            return await many(body, principal)
        (added,) = await importer.add([suppression(body, clock.now())], principal.name)
        return await enforced({"id": added.id, "status": added.status}, added.scopes)

    async def many(rows: Sequence[object], principal: Principal) -> JSONResponse:
        results, scopes = await importer.import_rows(rows, principal.name)
        counts = {status: sum(item["status"] == status for item in results) for status in STATUSES}
        return await enforced({**counts, "items": results}, scopes)

    async def enforced(answer: Result, scopes: Sequence[AttemptScope]) -> JSONResponse:
        enforcement = await enforcer.enforce(scopes, "suppression")
        return JSONResponse({**answer, **enforcement.answer()}, 200 if enforcement.enforced else 202)


def _removing(routes: APIRouter, database: Database, desk: Desk, clock: Clock) -> None:
    @routes.delete("/{entry_id}", summary="Remove an entry; who, when and why stays on record")
    async def remove(
        entry_id: str, request: Request, principal: Principal = requires("suppressions:delete")
    ) -> dict[str, Any]:
        body = await request_parsing.json_body(request)
        check_texts(body)
        why = validate(WithReason, body)
        async with database.write() as tx:
            removed = await desk.remove(tx, entry_id, principal.name, why.reason, clock.now())
            row = await entry_store.one(tx, entry_id)
        if not removed or row is None:
            raise NotFound("no live entry has this id; GET /v1/suppressions lists them")
        return entry_document(row)


class Importer:
    """Adds rows in transactions of bounded size; each row stands or falls alone."""

    def __init__(self, database: Database, desk: Desk, clock: Clock) -> None:
        self._database = database
        self._desk = desk
        self._clock = clock

    async def add(self, documents: Sequence[Suppression], added_by: str) -> list[Added]:
        """Add these in one transaction."""
        async with self._database.write() as tx:
            return await self._desk.add(tx, documents, added_by, self._clock.now())

    async def import_rows(self, rows: Sequence[object], added_by: str) -> tuple[list[Result], list[AttemptScope]]:
        """The result of each row, and the attempts that they concern. Raises TooLarge, Invalid for no rows at all."""
        if len(rows) > MOST_ROWS:
            raise TooLarge(f"more than {MOST_ROWS} rows: send them in parts")
        if not rows:
            raise Invalid("there are no rows", errors=[Problem("", "empty", "send at least one row")])
        results: list[Result] = [{} for _ in rows]
        valid: list[tuple[int, Suppression]] = []
        now = self._clock.now()
        for place, row in enumerate(rows):
            try:
                valid.append((place, suppression(load_json(row) if isinstance(row, bytes) else row, now)))
            except DocumentError as error:
                results[place] = {"row": place, "status": "invalid", "errors": _problems(error)}
        scopes: list[AttemptScope] = []
        for start in range(0, len(valid), CHUNK):
            chunk = valid[start : start + CHUNK]
            added = await self.add([document for _, document in chunk], added_by)
            for (place, _), item in zip(chunk, added, strict=True):
                results[place] = {"row": place, "status": item.status, "id": item.id}
                scopes.extend(item.scopes)
        return results, scopes


def _lines(body: bytes) -> list[object]:
    return [line for line in body.split(b"\n") if line.strip()]


def _problems(error: DocumentError) -> list[dict[str, str]]:
    return [{"pointer": pointer, "code": code, "detail": detail} for pointer, code, detail in error.errors]
