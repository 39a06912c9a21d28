"""Doors for the other services: open attempts of a scope, and the owners of API keys."""

from fastapi import APIRouter, Request, Response

from schemas.facts import AttemptScope, OpenAttempts
from services.kit import door
from services.kit.auth import KeyRing, service_only
from services.kit.db import Database
from services.orchestrator.api import store
from services.orchestrator.client import (
    FIND_KEY,
    OPEN_ATTEMPTS,
    STILL_OPEN,
    AttemptIds,
    FoundKey,
    KeyDigest,
    KeyOwner,
    StillOpen,
)


def router(database: Database, keys: KeyRing) -> APIRouter:
    """The routes of `/internal/orchestrator`."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(OPEN_ATTEMPTS)
    async def open_attempts(request: Request) -> Response:
        scope = await door.question(request, AttemptScope)
        async with database.read() as tx:
            return door.answer(OpenAttempts(tuple(await store.open_attempts(tx, scope))))

    @routes.post(STILL_OPEN)
    async def still_open(request: Request) -> Response:
        question = await door.question(request, AttemptIds)
        async with database.read() as tx:
            return door.answer(StillOpen(await store.still_open(tx, question.attempts)))

    @routes.post(FIND_KEY)
    async def find_key(request: Request) -> Response:
        question = await door.question(request, KeyDigest)
        found = await keys.find(question.digest)
        owner = None if found is None else KeyOwner(found.name, found.role.value, found.key_id)
        return door.answer(FoundKey(owner))

    return routes
