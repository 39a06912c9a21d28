"""HTTP API of imports and of the export: `/v1/suppressions/imports` and `/v1/suppressions/export`."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from typing_extensions import TypedDict

from schemas.times import format_instant
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Database
from services.kit.errors import NotFound, WrongState
from services.kit.http import request_parsing
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, page_answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import described_body
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import entry_document, format_optional_instant
from services.suppression.imports import import_store
from services.suppression.imports.import_store import ImportJob, ImportState
from services.suppression.imports.row_formats import RowFormat, write_row
from services.suppression.imports.row_results import RowOutcome, RowResult
from services.suppression.imports.upload import ImportUpload, TooManyImports, UploadEnded
from services.suppression.store import entry_store

IMPORTS_PATH: Final = "/v1/suppressions/imports"
_FORMATS: Final[Mapping[str, RowFormat]] = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
}
_MEDIA_TYPES: Final[Mapping[RowFormat, str]] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
_ROWS_A_READ: Final = 2_000
_RESULT_FIELDS: Final = ("row", "result", "id", "code", "pointer", "detail")
_EXPORT_FIELDS: Final = (
    *("id", "customer", "address_masked", "channel", "topic", "classes", "reason", "source", "note"),
    *("at", "expires", "added_by", "added_at"),
)
_FILE_BODY: Final = described_body(
    {name: {"type": "string", "description": "One entry a line; in CSV below a line that names the columns"}
     for name in _FORMATS},
    examples={"two addresses": "address;channel;reason\r\nada@example.org;email;imported\r\n"},
)  # fmt: skip


class ImportFields(TypedDict):
    """An import and how far it is. `added` would be added in a dry run. `problem`: why it failed; `waiting`: what it
    waits for.
    """

    id: str
    state: ImportState
    format: RowFormat
    dry_run: bool
    bytes: int
    rows: int
    read: int
    added: int
    exists: int
    refused: int
    requested_by: str
    created: TimeText | None
    started: TimeText | None
    finished: TimeText | None
    problem: str | None
    waiting: str | None


class ImportRowFields(TypedDict):
    """The result of one row. `row`: its line in the file, from 1; `detail`: how to mend a row that was refused."""

    row: int
    result: RowOutcome
    id: str | None
    code: str | None
    pointer: str | None
    detail: str | None


def import_routes(database: Database, upload: ImportUpload, clock: Clock) -> APIRouter:
    """The routes of imports."""
    routes = APIRouter(prefix=IMPORTS_PATH, tags=["suppressions"])
    _add_job_routes(routes, database, upload, clock)
    _add_result_routes(routes, database)
    return routes


def _add_job_routes(routes: APIRouter, database: Database, upload: ImportUpload, clock: Clock) -> None:
    @routes.post(
        "",
        summary="Import a file of at most 256 MiB and 2,000,000 rows as a job; answered once the file is here",
        dependencies=[_FILE_BODY],
        **answers({202: ImportFields}, TooManyImports, UploadEnded),
    )
    async def start_import(
        request: Request,
        dry_run: bool = False,
        principal: Principal = requires("suppressions:write", store_response=False),
    ) -> JSONResponse:
        format = _FORMATS.get(request_parsing.read_media_type(request))
        if format is None:
            raise request_parsing.wrong_media_type(request, list(_FORMATS))
        job = await upload.receive(request.stream(), format, dry_run, principal.name)
        return JSONResponse(import_document(job), 202, headers={"Location": f"{IMPORTS_PATH}/{job.id}"})

    @routes.get("", summary="Imports of the last 30 days, newest first", **answers({200: Page[ImportFields]}))
    async def list_import_jobs(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("suppressions:read")
    ) -> dict[str, object]:
        before = decode_cursor(after, tuple[int, str]) if after else None
        async with database.read() as tx:
            jobs = await import_store.list_imports(tx, before, limit + 1)
        last = jobs[limit - 1] if len(jobs) > limit else None
        following = None if last is None else encode_cursor((last.created, last.id))
        return to_page([import_document(job) for job in jobs[:limit]], following)

    @routes.get("/{import_id}", summary="One import, and how far it is", **answers({200: ImportFields}, NotFound))
    async def get_import(import_id: str, _: Principal = requires("suppressions:read")) -> ImportFields:
        return import_document(await find_import(database, import_id))

    @routes.post(
        "/{import_id}/cancel",
        summary="Stop an import; what it has added stays, and its results say which rows that are",
        **answers({200: ImportFields}, NotFound, WrongState),
    )
    async def cancel_import(import_id: str, principal: Principal = requires("suppressions:write")) -> ImportFields:
        async with database.write() as tx:
            ended = await import_store.end_import(tx, import_id, "cancelled", None, clock.now())
        job = await find_import(database, import_id)
        if not ended:
            raise WrongState(f"this import is {job.state}; only one that has not ended can be cancelled")
        log("import_cancelled", import_id=import_id, by=principal.name)
        return import_document(job)


def _add_result_routes(routes: APIRouter, database: Database) -> None:
    @routes.get(
        "/{import_id}/results",
        summary="What became of each row, in the order of the file; no address is repeated",
        **answers({200: Page[ImportRowFields]}, NotFound),
    )
    async def list_results(
        import_id: str,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        result: Literal["refused"] | None = None,
        _: Principal = requires("suppressions:read", list_unless=""),
    ) -> dict[str, object]:
        await find_import(database, import_id)
        last = decode_cursor(after, int) if after else 0
        async with database.read() as tx:
            rows = await import_store.list_results(tx, import_id, last, limit + 1, only_refused=result == "refused")
        following = encode_cursor(rows[limit - 1].row) if len(rows) > limit else None
        return to_page([_row_document(row) for row in rows[:limit]], following)

    @routes.get(
        "/{import_id}/results/file",
        summary="What became of each row, as a file",
        response_class=Response,
        **page_answers([200], NotFound, media_type="text/csv", or_else=["application/jsonl"]),
    )
    async def download_results(
        import_id: str,
        format: RowFormat = "csv",
        result: Literal["refused"] | None = None,
        _: Principal = requires("suppressions:read", list_unless=""),
    ) -> Response:
        await find_import(database, import_id)
        lines = _write_results(database, import_id, format, only_refused=result == "refused")
        return _download(lines, format, f"{import_id}-results")


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
        return _download(_write_entries(database, format, reason), format, "suppressions")

    return routes


async def find_import(database: Database, id: str) -> ImportJob:
    """The import. Raises NotFound."""
    async with database.read() as tx:
        job = await import_store.get_import(tx, id)
    if job is None:
        raise NotFound("there is no such import, or it ended more than 30 days ago")
    return job


def import_document(job: ImportJob) -> ImportFields:
    """An import as JSON."""
    return {
        "id": job.id,
        "state": job.state,
        "format": job.format,
        "dry_run": job.dry_run,
        "bytes": job.size,
        "rows": job.total,
        "read": job.rows_read,
        "added": job.added,
        "exists": job.existing,
        "refused": job.refused,
        "requested_by": job.requested_by,
        "created": format_instant(job.created),
        "started": format_optional_instant(job.started),
        "finished": format_optional_instant(job.finished),
        "problem": job.problem,
        "waiting": job.waiting,
    }


def _row_document(row: RowResult) -> ImportRowFields:
    return {
        "row": row.row,
        "result": row.outcome,
        "id": row.entry,
        "code": row.code,
        "pointer": row.pointer,
        "detail": row.detail,
    }


def _download(lines: AsyncIterator[bytes], format: RowFormat, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
    return StreamingResponse(lines, media_type=_MEDIA_TYPES[format], headers=headers)


async def _write_results(database: Database, id: str, format: RowFormat, *, only_refused: bool) -> AsyncIterator[bytes]:
    yield _header(format, _RESULT_FIELDS)
    after = 0
    while True:
        async with database.read() as tx:
            rows = await import_store.list_results(tx, id, after, _ROWS_A_READ, only_refused=only_refused)
        if not rows:
            return
        after = rows[-1].row
        yield b"".join(write_row(format, _RESULT_FIELDS, _row_document(row)) for row in rows)


async def _write_entries(
    database: Database, format: RowFormat, reason: SuppressionReason | None
) -> AsyncIterator[bytes]:
    yield _header(format, _EXPORT_FIELDS)
    after = ""
    while True:
        async with database.read() as tx:
            rows = await entry_store.list_entries_after(tx, after, _ROWS_A_READ, reason)
        if not rows:
            return
        after = rows[-1].id
        yield b"".join(write_row(format, _EXPORT_FIELDS, _export_values(entry_document(row))) for row in rows)


def _header(format: RowFormat, names: tuple[str, ...]) -> bytes:
    return b"" if format == "jsonl" else ",".join(names).encode() + b"\r\n"


def _export_values(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**document, **document["scope"]}
