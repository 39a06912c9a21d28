"""Internal routes of a service's dead letters; the orchestrator asks them for its lists, pages and jobs."""

from typing import Protocol

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.dead_letters import (
    ClosingResult,
    DeadLetterAnswer,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterRequest,
    DiscardRequest,
    RedriveRequest,
    dead_letter_paths,
)
from services.kit.http import internal_api
from services.kit.http.auth import service_only


class DeadLetterSource(Protocol):
    """The dead letters of one service: the `DeadLetterQueue` itself, or a client of it."""

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        """Letters that match, and the count of all open ones. Raises Transient."""

    async def look_up(self, request: DeadLetterRequest) -> DeadLetterAnswer:
        """One letter. Raises Transient."""

    async def redrive(self, request: RedriveRequest) -> tuple[ClosingResult, ...]:
        """Applies the records of these letters again. Raises Transient."""

    async def discard(self, request: DiscardRequest) -> ClosingResult:
        """Closes a letter whose record will not be applied. Raises Transient."""


def dead_letter_routes(service: str, letters: DeadLetterSource) -> APIRouter:
    """`/internal/<service>/dead-letters/...`."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)
    paths = dead_letter_paths(service)

    @routes.post(paths["list"])
    async def list_letters(request: Request) -> Response:
        return internal_api.respond(await letters.page(await internal_api.read_request(request, DeadLetterQuery)))

    @routes.post(paths["get"])
    async def get_letter(request: Request) -> Response:
        return internal_api.respond(await letters.look_up(await internal_api.read_request(request, DeadLetterRequest)))

    @routes.post(paths["redrive"])
    async def redrive_letters(request: Request) -> Response:
        return internal_api.respond(await letters.redrive(await internal_api.read_request(request, RedriveRequest)))

    @routes.post(paths["discard"])
    async def discard_letter(request: Request) -> Response:
        return internal_api.respond(await letters.discard(await internal_api.read_request(request, DiscardRequest)))

    return routes
