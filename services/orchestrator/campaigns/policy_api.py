"""HTTP API of the policy: one document for the whole organisation, versioned and approved like campaigns."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict

import schemas.campaign
import schemas.policy
from schemas.documents import validate_document
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
from services.orchestrator.campaigns import policy_workflow, store
from services.orchestrator.campaigns.api_common import (
    FindingFields,
    ReasonBody,
    VersionFields,
    VersionNumber,
    etag_header,
    finding_documents,
    transition_request,
    version_document,
)
from services.orchestrator.campaigns.lifecycle import LifecycleAction, OwnEdit
from services.orchestrator.campaigns.lint import lint_policy, unanswered_findings
from services.orchestrator.campaigns.policy_workflow import SituationsApi, TopicsApi
from services.orchestrator.campaigns.scope_check import OutOfScope
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.campaigns.stored_documents import UnreadableCampaign, read_campaign


class PolicyVersion(VersionFields):
    """A version of the policy, as written and with defaults filled in."""

    __pydantic_config__ = ConfigDict(json_schema_extra=with_document("policy"))  # type: ignore[misc]


class PolicyVersionWithFindings(PolicyVersion):
    """A version of the policy, with what may go wrong with it."""

    findings: list[FindingFields]


POLICY_PERMISSIONS = {
    LifecycleAction.SUBMIT: "policy:submit",
    LifecycleAction.APPROVE: "policy:approve",
    LifecycleAction.REJECT: "policy:approve",
    LifecycleAction.SHADOW: "policy:shadow",
    LifecycleAction.ACTIVATE: "policy:activate",
}
_MAX_VERSION = 2**31 - 1
_EXAMPLES = {
    "a small policy": {
        "zone": "Europe/Berlin",
        "topics": [{"key": "news", "name": "News"}],
        "quiet_hours": [{"id": "night", "from": "21:00", "to": "08:00"}],
        "frequency_caps": [{"id": "weekly", "limit": 2, "window": {"rolling": "7d"}, "on_exceed": "defer"}],
    }
}


def policy_routes(database: Database, clock: Clock, topics: TopicsApi, situations: SituationsApi) -> APIRouter:
    """Builds the routes of `/v1/policy`. Activation sends topics to preference and situations to suppression."""
    routes = APIRouter(prefix="/v1/policy", tags=["policy"])
    _add_policy_read_routes(routes, database)

    @routes.put(
        "",
        summary="Store a policy as the next draft",
        **answers(
            {200: PolicyVersionWithFindings, 201: PolicyVersionWithFindings},
            errors.PreconditionFailed,
            errors.WrongState,
            OutOfScope,
        ),
    )
    async def put_policy(
        request: Request,
        principal: Principal = requires("policy:write"),
        data: dict[str, Any] = plain_body(document("policy"), examples=_EXAMPLES),
    ) -> Response:
        revision, version, created = await policy_workflow.register_policy(
            database, data, transition_request(request, principal, clock)
        )
        return _policy_response(
            revision, version, 201 if created else 200, findings=await _lint_version(database, version, clock)
        )

    @routes.post(
        "/versions/{number}/activate",
        summary="Lifecycle action: activate",
        **answers({200: PolicyVersion}, errors.NotFound, errors.PreconditionFailed, errors.WrongState, OutOfScope),
    )
    async def activate_policy(
        number: VersionNumber,
        request: Request,
        principal: Principal = requires("policy:activate"),
        why: ReasonBody | None = document_body(ReasonBody, required=False),
    ) -> Response:
        transition = transition_request(request, principal, clock, why)
        return _policy_response(
            *await policy_workflow.activate_policy(database, number, transition, topics, situations)
        )

    for action in (LifecycleAction.SUBMIT, LifecycleAction.APPROVE, LifecycleAction.REJECT, LifecycleAction.SHADOW):
        _add_transition_route(routes, database, clock, action)
    return routes


def _add_transition_route(routes: APIRouter, database: Database, clock: Clock, action: LifecycleAction) -> None:
    @routes.post(
        f"/versions/{{number}}/{action}",
        name=f"{action} policy",
        summary=f"Lifecycle action: {action}",
        **answers(
            {200: PolicyVersionWithFindings if action is LifecycleAction.SHADOW else PolicyVersion},
            errors.NotFound,
            errors.PreconditionFailed,
            errors.WrongState,
            OwnEdit,
            OutOfScope,
        ),
    )
    async def transition_policy(
        number: VersionNumber,
        request: Request,
        principal: Principal = requires(POLICY_PERMISSIONS[action]),
        why: ReasonBody | None = document_body(ReasonBody, required=False),
    ) -> Response:
        revision, version = await policy_workflow.transition_policy(
            database, number, action, transition_request(request, principal, clock, why)
        )
        if action is LifecycleAction.SHADOW:
            return _policy_response(revision, version, findings=await _lint_version(database, version, clock))
        return _policy_response(revision, version)


async def _lint_version(database: Database, version: DocumentVersion, clock: Clock) -> list[dict[str, Any]]:
    """Returns the lint findings for the version as of now. They compare each rule with all others, in a thread."""
    document = validate_document(schemas.policy.Policy, version.document)
    findings = await asyncio.to_thread(lint_policy, document, clock.now())
    if any(topic.double_opt_in for topic in document.topics):
        async with database.read() as tx:
            launched = await store.list_launched_versions(tx)
        findings += unanswered_findings(document, _read_active(launched))
    return finding_documents(findings)


def _read_active(launched: Iterable[DocumentVersion]) -> Iterator[schemas.campaign.Campaign]:
    """The campaigns that run; one that can no longer be read answers nothing."""
    for version in launched:
        if version.status is CampaignStatus.ACTIVE:
            with suppress(UnreadableCampaign):
                yield read_campaign(version)


def _add_policy_read_routes(routes: APIRouter, database: Database) -> None:
    @routes.get(
        "",
        summary="The active policy, or the newest draft if none is active",
        **answers({200: PolicyVersion}, errors.NotFound),
    )
    async def get_current_policy(_: Principal = requires("policy:read")) -> Response:
        async with database.read() as tx:
            state = await store.get_catalogue_state(tx)
            if state.active_policy is not None:
                version = await store.get_policy_version(tx, state.active_policy)
            else:
                version = next(iter(await store.list_policy_versions(tx, _MAX_VERSION, 1)), None)
        if version is None:
            raise NotFound("there is no policy yet; create the first draft with PUT /v1/policy")
        return _policy_response(state.policy_revision, version)

    @routes.get("/versions", summary="List the policy's versions, newest first", **answers({200: Page[PolicyVersion]}))
    async def list_policy_versions(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("policy:read")
    ) -> dict[str, object]:
        async with database.read() as tx:
            versions = await store.list_policy_versions(
                tx, decode_cursor(after, int, _MAX_VERSION) if after else _MAX_VERSION, limit + 1
            )
        items = [version_document(schemas.policy.Policy, version) for version in versions[:limit]]
        return to_page(items, encode_cursor(versions[limit - 1].version) if len(versions) > limit else None)

    @routes.get(
        "/versions/{number}", summary="One version of the policy", **answers({200: PolicyVersion}, errors.NotFound)
    )
    async def get_policy_version(number: VersionNumber, _: Principal = requires("policy:read")) -> dict[str, Any]:
        async with database.read() as tx:
            stored = await store.get_policy_version(tx, number)
        if stored is None:
            raise NotFound(f"the policy has no version {number}")
        return version_document(schemas.policy.Policy, stored)


def _policy_response(revision: int, version: DocumentVersion, status: int = 200, **more: object) -> Response:
    return JSONResponse({**version_document(schemas.policy.Policy, version), **more}, status, etag_header(revision))
