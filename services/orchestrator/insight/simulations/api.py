"""HTTP API of simulations: request one, follow it, read the difference and its page."""

import secrets
from typing import Any

import msgspec
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, JSONResponse
from typing_extensions import TypedDict

from schemas.documents import DocumentError, validate_document
from schemas.times import Instant
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import Conflict, NotFound, RateLimited
from services.kit.http.answer_types import AnyObject, Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, page_answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import plain_body
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.campaigns.document_checks import ContentChecker
from services.orchestrator.insight.simulations import store
from services.orchestrator.insight.simulations.request import SimulationRequest, resolve_request
from services.orchestrator.insight.simulations.store import Simulation, SimulationState

_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"


class NotDone(Conflict):
    """The simulation has no result yet."""

    default_code = "not_done"


class SimulationFields(TypedDict):
    """A simulation and how far it is; `progress` is a share."""

    id: str
    state: SimulationState
    progress: float
    requested_by: str
    created: TimeText | None
    started: TimeText | None
    finished: TimeText | None
    error: str | None
    notes: Any


class SimulationResult(SimulationFields):
    """A simulation with its request and, once it is done, its result: docs/simulate.md."""

    request: AnyObject | None
    result: AnyObject | None


def simulation_routes(database: Database, clock: Clock, check_content: ContentChecker) -> APIRouter:
    """Builds the routes of `/v1/simulations`."""
    routes = APIRouter(prefix="/v1/simulations", tags=["simulations"])

    @routes.post(
        "",
        summary="Simulate recorded traffic; `Location` is where to follow the progress",
        **answers({202: SimulationFields}, errors.NotFound, errors.RateLimited),
    )
    async def request_simulation(
        principal: Principal = requires("simulations:write"), data: dict[str, Any] = plain_body(SimulationRequest)
    ) -> Response:
        request, now = validate_document(SimulationRequest, data), clock.now()
        if request.to > now:
            raise DocumentError(
                [("/to", "in_the_future", "`to` must not be in the future: only recorded traffic can be simulated")]
            )
        async with database.read() as tx:
            resolved = await resolve_request(tx, request, check_content)
        id = f"sim_{secrets.token_hex(12)}"
        async with database.write() as tx:
            if await store.count_queued(tx) >= store.MAX_QUEUED:
                raise RateLimited(
                    f"{store.MAX_QUEUED} simulations are queued already; try again later", retry_after=30.0
                )
            await store.enqueue(tx, id, principal.name, data, msgspec.to_builtins(resolved), now)
            simulation = await store.get_simulation(tx, id)
        assert simulation is not None
        return JSONResponse(_simulation_document(simulation), 202, {"Location": f"/v1/simulations/{id}"})

    _add_simulation_read_routes(routes, database)
    return routes


def _add_simulation_read_routes(routes: APIRouter, database: Database) -> None:
    @routes.get("", summary="List simulations, newest first", **answers({200: Page[SimulationFields]}))
    async def list_simulations(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("simulations:read")
    ) -> dict[str, object]:
        before = decode_cursor(after, tuple[Instant, str]) if after else None
        async with database.read() as tx:
            simulations = await store.list_simulations(tx, before, limit + 1)
        last = simulations[limit - 1] if len(simulations) > limit else None
        return to_page(
            [_simulation_document(each) for each in simulations[:limit]],
            encode_cursor((last.created, last.id)) if last else None,
        )

    @routes.get(
        "/{id}", summary="Progress and result of a simulation", **answers({200: SimulationResult}, errors.NotFound)
    )
    async def get_simulation(id: str, _: Principal = requires("simulations:read")) -> dict[str, Any]:
        async with database.read() as tx:
            simulation = _require_found(await store.get_simulation(tx, id))
            return {
                **_simulation_document(simulation),
                "request": await store.get_original_request(tx, id),
                "result": await store.get_result(tx, id),
            }

    @routes.get(
        "/{id}/picture",
        summary="The difference as a page with charts",
        response_class=HTMLResponse,
        **page_answers([200], errors.NotFound, NotDone),
    )
    async def get_picture(id: str, _: Principal = requires("simulations:read")) -> Response:
        async with database.read() as tx:
            simulation = _require_found(await store.get_simulation(tx, id))
            html = await store.get_picture(tx, id)
        if html is None:
            raise NotDone(f"this simulation is {simulation.state.value}; its picture exists once it is done")
        return HTMLResponse(
            html, headers={"Content-Security-Policy": _CONTENT_SECURITY_POLICY, "X-Content-Type-Options": "nosniff"}
        )


def _require_found(simulation: Simulation | None) -> Simulation:
    if simulation is None:
        raise NotFound("there is no such simulation, or it was deleted because of its age")
    return simulation


def _simulation_document(simulation: Simulation) -> dict[str, Any]:
    failed = simulation.state is SimulationState.FAILED
    return {
        "id": simulation.id,
        "state": simulation.state.value,
        "progress": simulation.progress / 1000,
        "requested_by": simulation.requested_by,
        "created": format_optional_instant(simulation.created),
        "started": format_optional_instant(simulation.started),
        "finished": format_optional_instant(simulation.finished),
        "error": simulation.error if failed else None,
        "notes": simulation.notes,
    }
