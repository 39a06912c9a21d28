"""HTTP API of the audit log: its entries in order, and the signed heads."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
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


def audit_log_routes(database: Database, pseudonym_of: Callable[[str], str]) -> APIRouter:
    """Builds the routes of `/v1/audit-log`. `pseudonym_of`: the keyed hash of a customer."""
    routes = APIRouter(prefix="/v1/audit-log", tags=["audit"])

    @routes.get(
        "",
        summary="List the audit log, oldest first; with `by` or `customer` only what they asked for, or what is about "
        "them, of which a page may be empty and the next one not",
        **answers({200: Page[AuditRecordFields]}),
    )
    async def list_audit_entries(
        by: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        customer: Annotated[str | None, Query(min_length=1, max_length=1024)] = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("audit_log:read"),
    ) -> dict[str, object]:
        seq = decode_cursor(after, int) if after else 0
        if by is not None or customer is not None:
            pseudonym = None if customer is None else pseudonym_of(customer)
            async with database.read() as tx:
                found, last = await store.list_matching_records(tx, seq, limit, name=by, pseudonym=pseudonym)
            return to_page([msgspec.to_builtins(each) for each in found], None if last is None else encode_cursor(last))
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
