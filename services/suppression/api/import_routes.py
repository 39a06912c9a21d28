"""HTTP API of imports and of the export: `/v1/suppressions/imports` and `/v1/suppressions/export`."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from schemas.vocabulary import SuppressionReason
from services.bulk_import.import_routes import ImportPaths, download, header_line
from services.bulk_import.row_formats import RowFormat, write_row
from services.kit.db.database import Database
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import page_answers
from services.kit.observability.logs import log
from services.suppression.api.forms import entry_document
from services.suppression.store import entry_store

ENTRY_PATHS: Final = ImportPaths(
    "/v1/suppressions/imports",
    "suppressions",
    read="suppressions:read",
    write="suppressions:write",
    example="address;channel;reason\r\nada@example.org;email;imported\r\n",
)
_ROWS_A_READ: Final = 2_000
_EXPORT_FIELDS: Final = (
    *("id", "customer", "address_masked", "channel", "topic", "classes", "reason", "source", "note"),
    *("at", "expires", "added_by", "added_at"),
)


def export_routes(database: Database) -> APIRouter:
    """The route of the export."""
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])

    @routes.get(
        "/export",
        summary="All live entries as a file, the oldest first; addresses are masked, since only their hashes are kept",
        response_class=Response,
        **page_answers([200], media_type="text/csv", or_else=["application/jsonl"]),
    )
    async def export_entries(
        format: RowFormat = "csv",
        reason: Annotated[SuppressionReason | None, Query()] = None,
        principal: Principal = requires("suppressions:export"),
    ) -> Response:
        log("suppressions_exported", by=principal.name, format=format)
        return download(_write_entries(database, format, reason), format, "suppressions")

    return routes


async def _write_entries(
    database: Database, format: RowFormat, reason: SuppressionReason | None
) -> AsyncIterator[bytes]:
    yield header_line(format, _EXPORT_FIELDS)
    after = ""
    while True:
        async with database.read() as tx:
            rows = await entry_store.list_entries_after(tx, after, _ROWS_A_READ, reason)
        if not rows:
            return
        after = rows[-1].id
        yield b"".join(write_row(format, _EXPORT_FIELDS, _export_values(entry_document(row))) for row in rows)


def _export_values(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**document, **document["scope"]}
