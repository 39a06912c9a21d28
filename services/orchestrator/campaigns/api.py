"""HTTP API of campaigns: register, read, and move through the approval lifecycle."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict
from typing_extensions import TypedDict

import schemas.campaign
from schemas.vocabulary import CampaignStatus
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.answer_types import Page
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, with_document
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document, document_body, plain_body
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns import campaign_workflow, store
from services.orchestrator.campaigns.api_common import (
    CampaignKey,
    FindingFields,
    ReasonBody,
    VersionFields,
    VersionNumber,
    etag_header,
    finding_documents,
    transition_request,
    version_document,
)
from services.orchestrator.campaigns.campaign_workflow import CampaignWithVersion
from services.orchestrator.campaigns.document_checks import ContentChecker
from services.orchestrator.campaigns.lifecycle import RUNNING_STATUSES, LifecycleAction, OwnEdit
from services.orchestrator.campaigns.scope_check import OutOfScope
from services.orchestrator.campaigns.store import CampaignHead, DocumentVersion
from services.orchestrator.campaigns.version_findings import check_version, find_warnings


class CampaignSummary(VersionFields):
    """A version of a campaign without its content; `active_version` is the one that decides now."""

    __pydantic_config__ = ConfigDict(json_schema_extra=with_document("campaign", without=["content"]))  # type: ignore[misc]

    key: str
    active_version: int | None
    active_status: CampaignStatus | None


class CampaignVersion(VersionFields):
    """A version of a campaign, as written and with defaults filled in; `active_version` is the one that decides now."""

    __pydantic_config__ = ConfigDict(json_schema_extra=with_document("campaign"))  # type: ignore[misc]

    key: str
    active_version: int | None
    active_status: CampaignStatus | None


class CampaignVersionWithFindings(CampaignVersion):
    """A version of a campaign, with what may go wrong with it."""

    findings: list[FindingFields]


class CampaignFindings(TypedDict):
    """What today's checks say about the version that decides, or about the newest while none does.

    A finding of the severity `error` would refuse the document if it were saved now. `usable`: whether the version can
    decide all the same.
    """

    key: str
    version: int
    status: CampaignStatus
    usable: bool
    findings: list[FindingFields]


CAMPAIGN_PERMISSIONS = {
    LifecycleAction.SUBMIT: "campaigns:submit",
    LifecycleAction.APPROVE: "campaigns:approve",
    LifecycleAction.REJECT: "campaigns:approve",
    LifecycleAction.SHADOW: "campaigns:shadow",
    LifecycleAction.ACTIVATE: "campaigns:activate",
    LifecycleAction.PAUSE: "campaigns:pause",
    LifecycleAction.STOP: "campaigns:stop",
}
_ACTIONS_WITH_FINDINGS = (LifecycleAction.SUBMIT, LifecycleAction.SHADOW)
"""Their answers carry findings."""
_MAX_VERSION = 2**31 - 1
_EXAMPLES = {
    "a parcel has arrived": {
        "key": "parcel-arrived",
        "name": "Your parcel has arrived",
        "owner": "shop",
        "class": "transactional",
        "intent": "inform",
        "topic": "account",
        "trigger": {"event": "shop.order.delivered"},
        "channels": ["email"],
        "default_locale": "en",
        "content": {
            "email": {
                "en": {
                    "subject": "Your parcel has arrived",
                    "html": "<p>Order {{ event.data.order | default: 'with us' }} has arrived.</p>",
                }
            }
        },
    }
}


def campaign_routes(database: Database, clock: Clock, check_content: ContentChecker) -> APIRouter:
    """Builds the routes of `/v1/campaigns`."""
    routes = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])
    _add_campaign_read_routes(routes, database)
    _add_findings_route(routes, database, clock, check_content)

    @routes.put(
        "/{key}",
        summary="Register a campaign, or its next draft",
        **answers(
            {200: CampaignVersionWithFindings, 201: CampaignVersionWithFindings},
            errors.PreconditionFailed,
            errors.WrongState,
            OutOfScope,
        ),
    )
    async def put_campaign(
        key: CampaignKey,
        request: Request,
        principal: Principal = requires("campaigns:write"),
        data: dict[str, Any] = plain_body(document("campaign"), examples=_EXAMPLES),
    ) -> Response:
        registered = await campaign_workflow.register_campaign(
            database, key, data, check_content, transition_request(request, principal, clock)
        )
        findings = await find_warnings(database, registered.version, registered.warnings, clock.now())
        return _campaign_response(registered, 201 if registered.created else 200, findings=finding_documents(findings))

    for action in LifecycleAction:
        _add_transition_route(routes, database, clock, action, check_content)
    return routes


def _add_transition_route(
    routes: APIRouter, database: Database, clock: Clock, action: LifecycleAction, check_content: ContentChecker
) -> None:
    @routes.post(
        f"/{{key}}/{action}",
        name=f"{action} campaign",
        summary=f"Lifecycle action: {action}",
        **answers(
            {200: CampaignVersionWithFindings if action in _ACTIONS_WITH_FINDINGS else CampaignVersion},
            errors.NotFound,
            errors.PreconditionFailed,
            errors.WrongState,
            OwnEdit,
            OutOfScope,
        ),
    )
    async def transition_campaign(
        key: CampaignKey,
        request: Request,
        principal: Principal = requires(CAMPAIGN_PERMISSIONS[action]),
        why: ReasonBody | None = document_body(ReasonBody, required=False),
    ) -> Response:
        changed = await campaign_workflow.transition_campaign(
            database, key, action, transition_request(request, principal, clock, why), check_content
        )
        if action in _ACTIONS_WITH_FINDINGS:
            findings = await find_warnings(database, changed.version, changed.warnings, clock.now())
            return _campaign_response(changed, findings=finding_documents(findings))
        return _campaign_response(changed)


def _add_findings_route(routes: APIRouter, database: Database, clock: Clock, check_content: ContentChecker) -> None:
    @routes.get(
        "/{key}/findings",
        summary="Check the version that decides, or the newest, as if it were saved now",
        **answers({200: CampaignFindings}, errors.NotFound),
    )
    async def get_campaign_findings(key: CampaignKey, _: Principal = requires("campaigns:read")) -> dict[str, Any]:
        async with database.read() as tx:
            head = await store.get_head(tx, key)
            decides = head is not None and head.status in RUNNING_STATUSES
            number = None if head is None else head.active_version if decides else head.newest
            version = None if number is None else await store.get_campaign_version(tx, key, number)
        if version is None:
            raise NotFound(f"there is no campaign `{key}`")
        checked = await check_version(database, version, check_content, clock.now())
        return {
            "key": key,
            "version": version.version,
            "status": version.status,
            "usable": checked.usable,
            "findings": finding_documents(checked.findings),
        }


def _add_campaign_read_routes(routes: APIRouter, database: Database) -> None:
    @routes.get("", summary="List campaigns by key, without their content", **answers({200: Page[CampaignSummary]}))
    async def list_campaigns(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("campaigns:read")
    ) -> dict[str, object]:
        async with database.read() as tx:
            heads = await store.list_heads(tx, decode_cursor(after, str) if after else "", limit + 1)
        items = [_campaign_summary(head, version) for head, version in heads[:limit]]
        return to_page(items, encode_cursor(heads[limit - 1][0].key) if len(heads) > limit else None)

    @routes.get(
        "/{key}", summary="The newest version of a campaign", **answers({200: CampaignVersion}, errors.NotFound)
    )
    async def get_campaign(key: CampaignKey, _: Principal = requires("campaigns:read")) -> Response:
        async with database.read() as tx:
            head = await store.get_head(tx, key)
            version = None if head is None else await store.get_campaign_version(tx, key, head.newest)
        if head is None or version is None:
            raise NotFound(f"there is no campaign `{key}`")
        return _campaign_response(CampaignWithVersion(head, version))

    @routes.get(
        "/{key}/versions",
        summary="List a campaign's versions, newest first, without their content",
        **answers({200: Page[CampaignSummary]}, errors.NotFound),
    )
    async def list_campaign_versions(
        key: CampaignKey,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("campaigns:read"),
    ) -> dict[str, object]:
        async with database.read() as tx:
            head = await store.get_head(tx, key)
            before = decode_cursor(after, int, _MAX_VERSION) if after else _MAX_VERSION
            versions = await store.list_campaign_versions(tx, key, before, limit + 1)
        if head is None:
            raise NotFound(f"there is no campaign `{key}`")
        items = [_campaign_summary(head, version) for version in versions[:limit]]
        return to_page(items, encode_cursor(versions[limit - 1].version) if len(versions) > limit else None)

    @routes.get(
        "/{key}/versions/{number}",
        summary="One version of a campaign",
        **answers({200: CampaignVersion}, errors.NotFound),
    )
    async def get_campaign_version(
        key: CampaignKey, number: VersionNumber, _: Principal = requires("campaigns:read")
    ) -> dict[str, Any]:
        async with database.read() as tx:
            head = await store.get_head(tx, key)
            campaign_version = await store.get_campaign_version(tx, key, number)
        if head is None or campaign_version is None:
            raise NotFound(f"there is no version {number} of `{key}`")
        return _campaign_document(head, campaign_version)


def _campaign_response(campaign: CampaignWithVersion, status: int = 200, **more: object) -> Response:
    return JSONResponse(
        {**_campaign_document(campaign.head, campaign.version), **more}, status, etag_header(campaign.head.revision)
    )


def _campaign_document(head: CampaignHead, version: DocumentVersion) -> dict[str, Any]:
    return {
        "key": head.key,
        "active_version": head.active_version,
        "active_status": head.status,
        **version_document(schemas.campaign.Campaign, version),
    }


def _campaign_summary(head: CampaignHead, version: DocumentVersion) -> dict[str, Any]:
    return {name: value for name, value in _campaign_document(head, version).items() if name != "content"}
