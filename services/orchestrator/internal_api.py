"""Doors for the other services: open attempts of a scope, and the owners of API keys."""

from fastapi import APIRouter, Request, Response

from schemas.facts import AttemptScope, OpenAttempts
from services.clients.orchestrator import (
    FIND_KEY,
    OPEN_ATTEMPTS,
    STILL_OPEN,
    AttemptIds,
    FoundKey,
    KeyDigest,
    KeyOwner,
    StillOpen,
)
from services.kit.db.database import Database
from services.kit.http import internal_api
from services.kit.http.auth import KeyRing, service_only
from services.orchestrator.decisions import read_store


def router(database: Database, keys: KeyRing) -> APIRouter:
    """The routes of `/internal/orchestrator`."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(OPEN_ATTEMPTS)
    async def open_attempts(request: Request) -> Response:
        scope = await internal_api.question(request, AttemptScope)
        async with database.read() as tx:
            return internal_api.answer(OpenAttempts(tuple(await read_store.open_attempts(tx, scope))))

    @routes.post(STILL_OPEN)
    async def still_open(request: Request) -> Response:
        question = await internal_api.question(request, AttemptIds)
        async with database.read() as tx:
            return internal_api.answer(StillOpen(await read_store.still_open(tx, question.attempts)))

    @routes.post(FIND_KEY)
    async def find_key(request: Request) -> Response:
        question = await internal_api.question(request, KeyDigest)
        found = await keys.find(question.digest)
        owner = None if found is None else KeyOwner(found.name, found.role.value, found.key_id)
        return internal_api.answer(FoundKey(owner))

    return routes
