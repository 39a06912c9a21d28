"""The policy over HTTP: one document for the whole organisation, versioned and approved like campaigns."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

import schemas.policy
from schemas.documents import validate
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns import policy_workflow, store
from services.orchestrator.campaigns.api import Number
from services.orchestrator.campaigns.api_common import Fields, Why, deed, etag, shown, shown_findings
from services.orchestrator.campaigns.lifecycle import Action
from services.orchestrator.campaigns.lint import of_policy
from services.orchestrator.campaigns.policy_workflow import SituationsDoor, TopicsDoor
from services.orchestrator.campaigns.store import Version

ALLOWED_BY = {
    Action.SUBMIT: "policy:submit",
    Action.APPROVE: "policy:approve",
    Action.REJECT: "policy:approve",
    Action.SHADOW: "policy:shadow",
    Action.ACTIVATE: "policy:activate",
}
_LAST = 2**31 - 1


def router(database: Database, clock: Clock, topics: TopicsDoor, situations: SituationsDoor) -> APIRouter:
    """The routes of `/v1/policy`. Activation hands topics to preference and situations to suppression."""
    routes = APIRouter(prefix="/v1/policy", tags=["policy"])
    _read(routes, database)

    @routes.put("", summary="Keep a policy: the next draft", responses={201: {"description": "The first one"}})
    async def put(data: Fields, request: Request, principal: Principal = requires("policy:write")) -> Response:
        revision, version, created = await policy_workflow.register(database, data, deed(request, principal, clock))
        return _answer(revision, version, 201 if created else 200, findings=_linted(version, clock))

    @routes.post("/versions/{number}/activate", summary="Life cycle: activate")
    async def activate(
        number: Number, request: Request, why: Why = None, principal: Principal = requires("policy:activate")
    ) -> Response:
        what = deed(request, principal, clock, why)
        return _answer(*await policy_workflow.activate(database, number, what, topics, situations))

    for action in (Action.SUBMIT, Action.APPROVE, Action.REJECT, Action.SHADOW):
        _lead(routes, database, clock, action)
    return routes


def _lead(routes: APIRouter, database: Database, clock: Clock, action: Action) -> None:
    @routes.post(f"/versions/{{number}}/{action}", name=f"{action} policy", summary=f"Life cycle: {action}")
    async def lead(
        number: Number, request: Request, why: Why = None, principal: Principal = requires(ALLOWED_BY[action])
    ) -> Response:
        revision, version = await policy_workflow.act(database, number, action, deed(request, principal, clock, why))
        if action is Action.SHADOW:
            return _answer(revision, version, findings=_linted(version, clock))
        return _answer(revision, version)


def _linted(version: Version, clock: Clock) -> list[dict[str, str]]:
    """What the lint says of the version now."""
    return shown_findings(of_policy(validate(schemas.policy.Policy, version.document), clock.now()))


def _read(routes: APIRouter, database: Database) -> None:
    @routes.get("", summary="The active policy; while there is none, the newest draft")
    async def current(_: Principal = requires("policy:read")) -> Response:
        async with database.read() as tx:
            state = await store.state(tx)
            if state.active_policy is not None:
                version = await store.policy_version(tx, state.active_policy)
            else:
                version = next(iter(await store.policy_versions(tx, _LAST, 1)), None)
        if version is None:
            raise NotFound("there is no policy yet; PUT /v1/policy makes the first draft")
        return _answer(state.policy_revision, version)

    @routes.get("/versions", summary="All versions of the policy, newest first")
    async def versions(
        limit: Limit = DEFAULT_LIMIT, after: After = None, _: Principal = requires("policy:read")
    ) -> dict[str, object]:
        async with database.read() as tx:
            found = await store.policy_versions(tx, decode_cursor(after, int) if after else _LAST, limit + 1)
        items = [shown(schemas.policy.Policy, version) for version in found[:limit]]
        return page(items, encode_cursor(found[limit - 1].version) if len(found) > limit else None)

    @routes.get("/versions/{number}", summary="One version of the policy")
    async def version(number: Number, _: Principal = requires("policy:read")) -> dict[str, Any]:
        async with database.read() as tx:
            found = await store.policy_version(tx, number)
        if found is None:
            raise NotFound(f"the policy has no version {number}")
        return shown(schemas.policy.Policy, found)


def _answer(revision: int, version: Version, status: int = 200, **more: object) -> Response:
    return JSONResponse({**shown(schemas.policy.Policy, version), **more}, status, etag(revision))
