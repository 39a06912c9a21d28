"""Simulations over HTTP: ask for one, follow it, read the difference and its picture."""

import secrets
from typing import Any

import msgspec
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, JSONResponse

from schemas.documents import DocumentError, validate
from schemas.times import Instant
from services.kit.db.database import Database
from services.kit.errors import Conflict, NotFound, RateLimited
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.api_common import Fields, time_of
from services.orchestrator.campaigns.document_checks import CheckContent
from services.orchestrator.insight.simulations import store
from services.orchestrator.insight.simulations.request import SimulationRequest, resolve
from services.orchestrator.insight.simulations.store import Simulation, State

_CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"


def router(database: Database, clock: Clock, check_content: CheckContent) -> APIRouter:
    """The routes of `/v1/simulations`."""
    routes = APIRouter(prefix="/v1/simulations", tags=["simulations"])

    @routes.post("", summary="Simulate recorded traffic; the answer says where to follow it", status_code=202)
    async def ask(data: Fields, principal: Principal = requires("simulations:write")) -> Response:
        asked, now = validate(SimulationRequest, data), clock.now()
        if asked.to > now:
            raise DocumentError([("/to", "in_the_future", "nothing is recorded of what lies ahead")])
        async with database.read() as tx:
            resolved = await resolve(tx, asked, check_content)
        id = f"sim_{secrets.token_hex(12)}"
        async with database.write() as tx:
            if await store.queued(tx) >= store.MOST_QUEUED:
                raise RateLimited(f"{store.MOST_QUEUED} simulations wait already; ask again later", retry_after=30.0)
            await store.add(tx, id, principal.name, data, msgspec.to_builtins(resolved), now)
            made = await store.one(tx, id)
        assert made is not None
        return JSONResponse(_shown(made), 202, {"Location": f"/v1/simulations/{id}"})

    _readings(routes, database)
    return routes


def _readings(routes: APIRouter, database: Database) -> None:
    @routes.get("", summary="The simulations that are kept, newest first")
    async def every(
        limit: Limit = DEFAULT_LIMIT, after: After = None, _: Principal = requires("simulations:read")
    ) -> dict[str, object]:
        before = decode_cursor(after, tuple[Instant, str]) if after else None
        async with database.read() as tx:
            found = await store.listed(tx, before, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return page([_shown(each) for each in found[:limit]], encode_cursor((last.created, last.id)) if last else None)

    @routes.get("/{id}", summary="How far it is, and what it came to")
    async def one(id: str, _: Principal = requires("simulations:read")) -> dict[str, Any]:
        async with database.read() as tx:
            found = _there(await store.one(tx, id))
            return {**_shown(found), "request": await store.asked(tx, id), "result": await store.result(tx, id)}

    @routes.get("/{id}/picture", summary="The difference as a page with charts", response_class=HTMLResponse)
    async def picture(id: str, _: Principal = requires("simulations:read")) -> Response:
        async with database.read() as tx:
            found = _there(await store.one(tx, id))
            drawn = await store.picture(tx, id)
        if drawn is None:
            raise Conflict(
                f"this simulation is {found.state.value}; a picture is there when it is done", code="not_done"
            )
        return HTMLResponse(drawn, headers={"Content-Security-Policy": _CSP, "X-Content-Type-Options": "nosniff"})


def _there(found: Simulation | None) -> Simulation:
    if found is None:
        raise NotFound("there is no such simulation, or it is so old that it is not kept any more")
    return found


def _shown(found: Simulation) -> dict[str, Any]:
    failed = found.state is State.FAILED
    return {
        "id": found.id,
        "state": found.state.value,
        "progress": found.progress / 1000,
        "requested_by": found.requested_by,
        "created": time_of(found.created),
        "started": time_of(found.started),
        "finished": time_of(found.finished),
        "error": found.error if failed else None,
        "notes": found.notes,
    }
