"""HTTP API of the audit log: its entries in order, and the signed heads."""

import msgspec
from fastapi import APIRouter
from typing_extensions import TypedDict

from services.kit.db.database import Database
from services.kit.http.answer_types import Page
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.orchestrator.audit_log import store


class AuditRecordFields(TypedDict):
    """An entry. `body`: JSON, exactly the bytes that `digest` covers together with the digest before."""

    seq: int
    body: str
    digest: str


class AuditHeadFields(TypedDict):
    """A signed head; `at` in microseconds since 1970 UTC, as the signature covers it."""

    seq: int
    digest: str
    at: int
    public_key: str
    signature: str


def audit_log_routes(database: Database) -> APIRouter:
    """Builds the routes of `/v1/audit-log`."""
    routes = APIRouter(prefix="/v1/audit-log", tags=["audit"])

    @routes.get("", summary="List the audit log, oldest first", **answers({200: Page[AuditRecordFields]}))
    async def list_audit_entries(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("audit_log:read")
    ) -> dict[str, object]:
        seq = decode_cursor(after, int) if after else 0
        async with database.read() as tx:
            found = await store.list_records_after(tx, seq, limit + 1)
        next_page = encode_cursor(found[limit - 1].seq) if len(found) > limit else None
        return to_page([msgspec.to_builtins(record) for record in found[:limit]], next_page)

    @routes.get("/heads", summary="List the signed heads of the audit log", **answers({200: Page[AuditHeadFields]}))
    async def list_audit_heads(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("audit_log:read")
    ) -> dict[str, object]:
        seq = decode_cursor(after, int) if after else 0
        async with database.read() as tx:
            found = await store.list_heads_after(tx, seq, limit + 1)
        next_page = encode_cursor(found[limit - 1].seq) if len(found) > limit else None
        return to_page([msgspec.to_builtins(head) for head in found[:limit]], next_page)

    return routes
