"""HTTP API of the auditor: lists the invariant violations it found."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import Row
from typing_extensions import TypedDict

from services.kit.db.database import Database
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.orchestrator.campaigns.api_common import format_optional_instant
from services.orchestrator.insight.audit import store

_MAX_SEQ = 2**63 - 1


class ViolationFields(TypedDict):
    """A handover that violated an invariant, found by the auditor."""

    invariant: str
    about: Literal["message", "customer"]
    message_id: str | None
    customer: str
    rule: str | None
    rule_id: str | None
    policy_version: int | None
    marked_at: TimeText | None
    found: TimeText | None


def violation_routes(database: Database) -> APIRouter:
    """Builds the route `/v1/violations`."""
    routes = APIRouter(prefix="/v1/violations", tags=["audit"])

    @routes.get(
        "", summary="List handovers that violated an invariant, newest first", **answers({200: Page[ViolationFields]})
    )
    async def list_violations(
        invariant: Annotated[str | None, Query(max_length=40)] = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("violations:read"),
    ) -> dict[str, object]:
        before = decode_cursor(after, int) if after else _MAX_SEQ
        async with database.read() as tx:
            found = await store.list_violations(tx, before, limit + 1, invariant)
        return to_page(
            list(map(_violation_document, found[:limit])),
            encode_cursor(found[limit - 1].seq) if len(found) > limit else None,
        )

    return routes


def _violation_document(row: Row[Any]) -> dict[str, Any]:
    subject_kind: Literal["message", "customer"] = "customer" if row.subject == row.customer else "message"
    return {
        "invariant": row.invariant,
        "about": subject_kind,
        "message_id": row.subject if subject_kind == "message" else None,
        "customer": row.customer,
        "rule": row.rule,
        "rule_id": row.detail or None,
        "policy_version": row.policy_version,
        "marked_at": format_optional_instant(row.marked_at),
        "found": format_optional_instant(row.found),
    }
