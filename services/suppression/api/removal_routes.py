"""HTTP API of removals: `DELETE /v1/suppressions/{id}` asks for one, `/v1/suppressions/removals` decides about it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Row
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from schemas.documents import validate_document
from schemas.service_api import RECEIPTS_OF
from schemas.times import format_instant
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Database
from services.kit.errors import NotFound, WrongState
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document_body, plain_body
from services.suppression.api.forms import RemovalDecision, RemovalRequest, format_optional_instant
from services.suppression.removals import removal_store
from services.suppression.removals.removal_requests import OwnRemoval, RemovalRequests
from services.suppression.removals.removal_store import RemovalState
from services.suppression.suppression_errors import CustomerRefusalKept, ErasedEntryKept

REMOVALS_PATH = "/v1/suppressions/removals"


class RemovalFields(TypedDict):
    """A request to remove an entry. `void`: the entry had ended before. `notice`: what to know of the entry first."""

    id: str
    entry_id: str
    entry_reason: SuppressionReason
    customer: str | None
    address_masked: str | None
    state: RemovalState
    reason: str | None
    consent_of: str | None
    requested_by: str
    requested_at: TimeText
    decided_by: str | None
    decided_at: TimeText | None
    decision_reason: str | None
    notice: str | None


def removal_routes(database: Database, removals: RemovalRequests) -> APIRouter:
    """The routes of removals."""
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])
    _add_request_route(routes, removals)
    _add_list_routes(routes, database)
    _add_decision_routes(routes, removals)
    return routes


def _add_request_route(routes: APIRouter, removals: RemovalRequests) -> None:
    @routes.delete(
        "/{entry_id}",
        summary="Ask for the removal of an entry; it stays in force until another person approves",
        **answers({202: RemovalFields}, NotFound, ErasedEntryKept, CustomerRefusalKept, WrongState),
    )
    async def request_removal(
        entry_id: str,
        reason: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        principal: Principal = requires("suppressions:delete"),
        body: object = plain_body(RemovalRequest, required=False),
    ) -> JSONResponse:
        """Some clients and gateways drop the body of a DELETE, so the reason may also stand in the query."""
        asked = validate_document(RemovalRequest, {"reason": reason, **(body if isinstance(body, dict) else {})})
        request = await removals.request(entry_id, asked.reason, asked.consent_of, principal.name)
        return JSONResponse(removal_document(request), 202, headers={"Location": f"{REMOVALS_PATH}/{request.id}"})


def _add_list_routes(routes: APIRouter, database: Database) -> None:
    @routes.get("/removals", summary="Removal requests, newest first", **answers({200: Page[RemovalFields]}))
    async def list_removals(
        state: RemovalState | None = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("suppressions:read", list_unless=""),
    ) -> dict[str, object]:
        before = decode_cursor(after, str) if after else ""
        async with database.read() as tx:
            rows = await removal_store.list_requests(tx, state, before, limit + 1)
        following = encode_cursor(rows[limit - 1].id) if len(rows) > limit else None
        return to_page([removal_document(row) for row in rows[:limit]], following)

    @routes.get("/removals/{removal_id}", summary="One removal request", **answers({200: RemovalFields}, NotFound))
    async def get_removal(removal_id: str, _: Principal = requires("suppressions:read")) -> RemovalFields:
        async with database.read() as tx:
            row = await removal_store.get_request(tx, removal_id)
        if row is None:
            raise NotFound("there is no such removal request; GET /v1/suppressions/removals lists them")
        return removal_document(row)


def _add_decision_routes(routes: APIRouter, removals: RemovalRequests) -> None:
    @routes.post(
        "/removals/{removal_id}/approve",
        summary="Remove the entry; refused to whoever asked for it, and to who shares a key with them",
        **answers({200: RemovalFields}, NotFound, WrongState, OwnRemoval, ErasedEntryKept, CustomerRefusalKept),
    )
    async def approve_removal(removal_id: str, principal: Principal = requires("suppressions:delete")) -> RemovalFields:
        return removal_document(await removals.approve(removal_id, principal.name))

    @routes.post(
        "/removals/{removal_id}/decline",
        summary="Keep the entry; who asked for its removal withdraws the request so",
        **answers({200: RemovalFields}, NotFound, WrongState),
    )
    async def decline_removal(
        removal_id: str,
        principal: Principal = requires("suppressions:delete"),
        decision: RemovalDecision | None = document_body(RemovalDecision, required=False),
    ) -> RemovalFields:
        reason = None if decision is None else decision.reason
        return removal_document(await removals.decline(removal_id, reason, principal.name))


def removal_document(row: Row[Any]) -> RemovalFields:
    """A removal request as JSON."""
    return {
        "id": row.id,
        "entry_id": row.entry_id,
        "entry_reason": SuppressionReason(row.entry_reason),
        "customer": row.customer,
        "address_masked": row.masked,
        "state": row.state,
        "reason": row.reason,
        "consent_of": row.consent_of,
        "requested_by": row.requested_by,
        "requested_at": format_instant(row.requested_at),
        "decided_by": row.decided_by,
        "decided_at": format_optional_instant(row.decided_at),
        "decision_reason": row.decision_reason,
        "notice": describe_origin(row.added_by),
    }


def describe_origin(added_by: str) -> str | None:
    """What to know of an entry that no person has added."""
    if not added_by.startswith(RECEIPTS_OF):
        return None
    return f"made from the {added_by}: the next receipt of the kind makes it again"
