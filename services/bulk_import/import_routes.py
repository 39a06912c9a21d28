"""HTTP API of imports of one kind: start, list, look, cancel, and the results row by row."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from typing_extensions import TypedDict

from schemas.times import Instant, format_instant
from services.bulk_import.import_store import ImportJob, ImportState, ImportStore
from services.bulk_import.row_formats import RowFormat, write_row
from services.bulk_import.row_results import RowOutcome, RowResult
from services.bulk_import.upload import ImportUpload, TooManyImports, UploadEnded
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

_FORMATS: Final[Mapping[str, RowFormat]] = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
}
_MEDIA_TYPES: Final[Mapping[RowFormat, str]] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
_ROWS_A_READ: Final = 2_000
_RESULT_FIELDS: Final = ("row", "result", "id", "code", "pointer", "detail")


class ImportPaths(NamedTuple):
    """The routes of one kind of import. `path`: where they are; `tag`: of the section of the API that they are in;
    `read`, `write`: the actions that they need; `example`: a short file in CSV. `kind`: what is imported, in the ids of
    operations; None for those of do-not-contact entries, which had ids before there were other kinds.
    """

    path: str
    tag: str
    read: str
    write: str
    example: str
    kind: str | None = None

    def operation(self, name: str) -> str:
        """The id of an operation of this kind."""
        return name if self.kind is None else f"{name}_of_{self.kind}"


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


def import_routes(
    paths: ImportPaths, database: Database, store: ImportStore, upload: ImportUpload, clock: Clock
) -> APIRouter:
    """The routes of one kind of import."""
    routes = APIRouter(prefix=paths.path, tags=[paths.tag])
    _add_start_route(routes, paths, upload)
    _add_job_routes(routes, paths, database, store, clock)
    _add_result_routes(routes, paths, database, store)
    return routes


def _add_start_route(routes: APIRouter, paths: ImportPaths, upload: ImportUpload) -> None:
    description = "One row a line; in CSV below a line that names the columns"
    formats = {name: {"type": "string", "description": description} for name in _FORMATS}

    @routes.post(
        "",
        operation_id=paths.operation("start_import"),
        summary="Import a file of at most 256 MiB and 2,000,000 rows as a job; answered once the file is here",
        dependencies=[described_body(formats, examples={"a file": paths.example})],
        **answers({202: ImportFields}, TooManyImports, UploadEnded),
    )
    async def start_import(
        request: Request,
        dry_run: bool = False,
        principal: Principal = requires(paths.write, store_response=False),
    ) -> JSONResponse:
        format = _FORMATS.get(request_parsing.read_media_type(request))
        if format is None:
            raise request_parsing.wrong_media_type(request, list(_FORMATS))
        job = await upload.receive(request.stream(), format, dry_run, principal.name)
        return JSONResponse(import_document(job), 202, headers={"Location": f"{paths.path}/{job.id}"})


def _add_job_routes(
    routes: APIRouter, paths: ImportPaths, database: Database, store: ImportStore, clock: Clock
) -> None:
    @routes.get(
        "",
        operation_id=paths.operation("list_import_jobs"),
        summary="Imports of the last 30 days, newest first",
        **answers({200: Page[ImportFields]}),
    )
    async def list_import_jobs(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires(paths.read)
    ) -> dict[str, object]:
        before = decode_cursor(after, tuple[int, str]) if after else None
        async with database.read() as tx:
            jobs = await store.list_imports(tx, before, limit + 1)
        last = jobs[limit - 1] if len(jobs) > limit else None
        following = None if last is None else encode_cursor((last.created, last.id))
        return to_page([import_document(job) for job in jobs[:limit]], following)

    @routes.get(
        "/{import_id}",
        operation_id=paths.operation("get_import"),
        summary="One import, and how far it is",
        **answers({200: ImportFields}, NotFound),
    )
    async def get_import(import_id: str, _: Principal = requires(paths.read)) -> ImportFields:
        return import_document(await find_import(database, store, import_id))

    @routes.post(
        "/{import_id}/cancel",
        operation_id=paths.operation("cancel_import"),
        summary="Stop an import; what it has added stays, and its results say which rows that are",
        **answers({200: ImportFields}, NotFound, WrongState),
    )
    async def cancel_import(import_id: str, principal: Principal = requires(paths.write)) -> ImportFields:
        async with database.write() as tx:
            ended = await store.end_import(tx, import_id, "cancelled", None, clock.now())
        job = await find_import(database, store, import_id)
        if not ended:
            raise WrongState(f"this import is {job.state}; only one that has not ended can be cancelled")
        log("import_cancelled", import_id=import_id, by=principal.name)
        return import_document(job)


def _add_result_routes(routes: APIRouter, paths: ImportPaths, database: Database, store: ImportStore) -> None:
    @routes.get(
        "/{import_id}/results",
        operation_id=paths.operation("list_results"),
        summary="What became of each row, in the order of the file; no value of a row is repeated",
        **answers({200: Page[ImportRowFields]}, NotFound),
    )
    async def list_results(
        import_id: str,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        result: Literal["refused"] | None = None,
        _: Principal = requires(paths.read, list_unless=""),
    ) -> dict[str, object]:
        await find_import(database, store, import_id)
        last = decode_cursor(after, int) if after else 0
        async with database.read() as tx:
            rows = await store.list_results(tx, import_id, last, limit + 1, only_refused=result == "refused")
        following = encode_cursor(rows[limit - 1].row) if len(rows) > limit else None
        return to_page([_row_document(row) for row in rows[:limit]], following)

    @routes.get(
        "/{import_id}/results/file",
        operation_id=paths.operation("download_results"),
        summary="What became of each row, as a file",
        response_class=Response,
        **page_answers([200], NotFound, media_type="text/csv", or_else=["application/jsonl"]),
    )
    async def download_results(
        import_id: str,
        format: RowFormat = "csv",
        result: Literal["refused"] | None = None,
        _: Principal = requires(paths.read, list_unless=""),
    ) -> Response:
        await find_import(database, store, import_id)
        lines = _write_results(database, store, import_id, format, only_refused=result == "refused")
        return download(lines, format, f"{import_id}-results")


async def find_import(database: Database, store: ImportStore, id: str) -> ImportJob:
    """The import. Raises NotFound."""
    async with database.read() as tx:
        job = await store.get_import(tx, id)
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
        "started": _format_optional(job.started),
        "finished": _format_optional(job.finished),
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


def _format_optional(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)


def header_line(format: RowFormat, names: tuple[str, ...]) -> bytes:
    """The first line of a file that is sent; JSON lines have none."""
    return b"" if format == "jsonl" else ",".join(names).encode() + b"\r\n"


def download(lines: AsyncIterator[bytes], format: RowFormat, name: str) -> Response:
    """The answer that is kept as a file."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
    return StreamingResponse(lines, media_type=_MEDIA_TYPES[format], headers=headers)


async def _write_results(
    database: Database, store: ImportStore, id: str, format: RowFormat, *, only_refused: bool
) -> AsyncIterator[bytes]:
    yield header_line(format, _RESULT_FIELDS)
    after = 0
    while True:
        async with database.read() as tx:
            rows = await store.list_results(tx, id, after, _ROWS_A_READ, only_refused=only_refused)
        if not rows:
            return
        after = rows[-1].row
        yield b"".join(write_row(format, _RESULT_FIELDS, _row_document(row)) for row in rows)
