"""HTTP routes of exports: `/v1/customers/{customer}/exports` requests one, follows it, and gives its file."""

import secrets
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, StreamingResponse
from typing_extensions import TypedDict

from schemas.fields import CustomerId
from schemas.times import DAY, format_instant
from services.erasure.erased_customers import CustomerErased, ErasedCustomers
from services.kit.db.database import Database
from services.kit.errors import Conflict, NotFound, RateLimited
from services.kit.http.answer_types import AnyObject, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.runtime.clock import Clock
from services.orchestrator.subject_export import export_files, store
from services.orchestrator.subject_export.store import ExportState, SubjectExport


class ExportNotDone(Conflict):
    """The export has no file yet, or has failed."""

    default_code = "export_not_done"


class ExportSectionCount(TypedDict):
    """How many rows one section of an export has."""

    service: str
    section: str
    rows: int


class ExportFields(TypedDict):
    """An export of what is known of a customer. `deleted_after`: when its file goes. `error`: why it has none."""

    id: str
    customer: str
    state: ExportState
    requested_by: str
    created: TimeText
    finished: TimeText | None
    deleted_after: TimeText
    error: str | None
    sections: list[ExportSectionCount]


class ExportedSection(TypedDict):
    """What one table of one service tells. `title`: for people; `rows`: as they are stored, packed values read."""

    service: str
    section: str
    title: str
    rows: list[AnyObject]


class ExportFile(TypedDict):
    """All that is known of a customer."""

    customer: str
    export: str
    made: TimeText
    sections: list[ExportedSection]


def export_routes(database: Database, clock: Clock, erased: ErasedCustomers, days: int) -> APIRouter:
    """The routes. `days`: for how long files are kept."""
    routes = APIRouter(prefix="/v1/customers/{customer}/exports", tags=["exports"])

    @routes.post(
        "",
        summary="Export all that is known of a customer, as a job",
        **answers({202: ExportFields}, CustomerErased, RateLimited),
    )
    async def request_export(customer: CustomerId, principal: Principal = requires("customers:export")) -> JSONResponse:
        id = f"export_{secrets.token_hex(12)}"
        async with database.write() as tx:
            await erased.refuse(tx, customer)
            if not await store.insert_export(tx, id, customer, principal.name, clock.now()):
                raise RateLimited(f"{store.MOST_WAITING} exports wait already: ask again when they are done")
            export = await store.get_export(tx, customer, id)
            assert export is not None
        return JSONResponse(
            await _export_fields(database, export, days), 202, {"Location": f"/v1/customers/{customer}/exports/{id}"}
        )

    @routes.get("/{id}", summary="How far an export is", **answers({200: ExportFields}, NotFound))
    async def get_export(customer: CustomerId, id: str, _: Principal = requires("customers:export")) -> ExportFields:
        return await _export_fields(database, await _find(database, customer, id), days)

    @routes.get(
        "/{id}/file",
        summary="The file of an export: JSON, or a page to read",
        response_class=StreamingResponse,
        **answers({200: ExportFile}, NotFound, ExportNotDone, texts=("text/html",)),
    )
    async def get_file(
        customer: CustomerId,
        id: str,
        form: Literal["json", "html"] = "json",
        _: Principal = requires("customers:export", store_response=False),
    ) -> StreamingResponse:
        export = await _find(database, customer, id)
        if export.state != "done":
            raise ExportNotDone(f"the export is {export.state}" + (f": {export.error}" if export.error else ""))
        write = export_files.write_json if form == "json" else export_files.write_page
        headers = {
            "Content-Disposition": f'attachment; filename="{id}.{form}"',
            "Content-Security-Policy": export_files.CONTENT_SECURITY_POLICY,
            "Cache-Control": "no-store",
        }
        media_type = "application/json" if form == "json" else "text/html; charset=utf-8"
        return StreamingResponse(write(database, export), 200, headers, media_type)

    return routes


async def _find(database: Database, customer: str, id: str) -> SubjectExport:
    async with database.read() as tx:
        export = await store.get_export(tx, customer, id)
    if export is None:
        raise NotFound("there is no such export of this customer: it was never requested, or its time is over")
    return export


async def _export_fields(database: Database, export: SubjectExport, days: int) -> ExportFields:
    async with database.read() as tx:
        counts = await store.count_rows(tx, export.id)
    return {
        "id": export.id,
        "customer": export.customer,
        "state": export.state,
        "requested_by": export.requested_by,
        "created": format_instant(export.created),
        "finished": None if export.finished is None else format_instant(export.finished),
        "deleted_after": format_instant(export.created + days * DAY),
        "error": export.error,
        "sections": [{"service": each.service, "section": each.section, "rows": int(each.rows)} for each in counts],
    }
