"""Campaigns over HTTP: register, read, and lead through their life."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

import schemas.campaign
from schemas.documents import validate
from schemas.ids import KEY
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns import campaign_workflow, store
from services.orchestrator.campaigns.api_common import Fields, Why, deed, etag, shown, shown_findings
from services.orchestrator.campaigns.campaign_workflow import Registered
from services.orchestrator.campaigns.document_checks import CheckContent
from services.orchestrator.campaigns.lifecycle import Action
from services.orchestrator.campaigns.lint import of_campaign
from services.orchestrator.campaigns.store import Head, Version

ALLOWED_BY = {
    Action.SUBMIT: "campaigns:submit",
    Action.APPROVE: "campaigns:approve",
    Action.REJECT: "campaigns:approve",
    Action.SHADOW: "campaigns:shadow",
    Action.ACTIVATE: "campaigns:activate",
    Action.PAUSE: "campaigns:pause",
    Action.STOP: "campaigns:stop",
}
CampaignKey = Annotated[str, Path(pattern=KEY)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
_LAST = 2**31 - 1


def router(database: Database, clock: Clock, check_content: CheckContent) -> APIRouter:
    """The routes of `/v1/campaigns`."""
    routes = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])
    _read(routes, database)

    @routes.put("/{key}", summary="Register a campaign: its next draft", responses={201: {"description": "New"}})
    async def put(
        key: CampaignKey, data: Fields, request: Request, principal: Principal = requires("campaigns:write")
    ) -> Response:
        found = await campaign_workflow.register(database, key, data, check_content, deed(request, principal, clock))
        return _answer(found, 201 if found.created else 200, findings=await _linted(database, found))

    for action in Action:
        _lead(routes, database, clock, action)
    return routes


def _lead(routes: APIRouter, database: Database, clock: Clock, action: Action) -> None:
    @routes.post(f"/{{key}}/{action}", name=f"{action} campaign", summary=f"Life cycle: {action}")
    async def lead(
        key: CampaignKey, request: Request, why: Why = None, principal: Principal = requires(ALLOWED_BY[action])
    ) -> Response:
        found = await campaign_workflow.act(database, key, action, deed(request, principal, clock, why))
        if action is Action.SHADOW:
            return _answer(found, findings=await _linted(database, found))
        return _answer(found)


async def _linted(database: Database, found: Registered) -> list[dict[str, str]]:
    """What the lint says of the version under the active policy."""
    async with database.read() as tx:
        policy = await campaign_workflow.active_policy(tx)
    return shown_findings(of_campaign(validate(schemas.campaign.Campaign, found.version.document), policy))


def _read(routes: APIRouter, database: Database) -> None:
    @routes.get("", summary="All campaigns, without their content, in order of key")
    async def every(
        limit: Limit = DEFAULT_LIMIT, after: After = None, _: Principal = requires("campaigns:read")
    ) -> dict[str, object]:
        async with database.read() as tx:
            found = await store.heads(tx, decode_cursor(after, str) if after else "", limit + 1)
        items = [_short(head, version) for head, version in found[:limit]]
        return page(items, encode_cursor(found[limit - 1][0].key) if len(found) > limit else None)

    @routes.get("/{key}", summary="One campaign: its newest version")
    async def one(key: CampaignKey, _: Principal = requires("campaigns:read")) -> Response:
        async with database.read() as tx:
            head = await store.head(tx, key)
            version = None if head is None else await store.campaign_version(tx, key, head.newest)
        if head is None or version is None:
            raise NotFound(f"there is no campaign `{key}`")
        return _answer(Registered(head, version))

    @routes.get("/{key}/versions", summary="A campaign's versions, newest first, without their content")
    async def versions(
        key: CampaignKey, limit: Limit = DEFAULT_LIMIT, after: After = None, _: Principal = requires("campaigns:read")
    ) -> dict[str, object]:
        async with database.read() as tx:
            head = await store.head(tx, key)
            before = decode_cursor(after, int) if after else _LAST
            found = await store.campaign_versions(tx, key, before, limit + 1)
        if head is None:
            raise NotFound(f"there is no campaign `{key}`")
        items = [_short(head, version) for version in found[:limit]]
        return page(items, encode_cursor(found[limit - 1].version) if len(found) > limit else None)

    @routes.get("/{key}/versions/{number}", summary="One version of a campaign")
    async def version(key: CampaignKey, number: Number, _: Principal = requires("campaigns:read")) -> dict[str, Any]:
        async with database.read() as tx:
            head = await store.head(tx, key)
            found = await store.campaign_version(tx, key, number)
        if head is None or found is None:
            raise NotFound(f"there is no version {number} of `{key}`")
        return _document(head, found)


def _answer(found: Registered, status: int = 200, **more: object) -> Response:
    return JSONResponse({**_document(found.head, found.version), **more}, status, etag(found.head.revision))


def _document(head: Head, version: Version) -> dict[str, Any]:
    return {
        "key": head.key,
        "active_version": head.active_version,
        "active_status": head.status,
        **shown(schemas.campaign.Campaign, version),
    }


def _short(head: Head, version: Version) -> dict[str, Any]:
    return {name: value for name, value in _document(head, version).items() if name != "content"}
