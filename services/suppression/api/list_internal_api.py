"""Internal HTTP API of the do-not-contact list, for the console: look-up, imports, removal requests."""

from collections.abc import Awaitable
from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy import Row
from starlette.responses import Response

from schemas.suppression_list_api import (
    ASK_REMOVAL_PATH,
    DECIDE_REMOVAL_PATH,
    FIND_ENTRIES_PATH,
    IMPORTS_PATH,
    REMOVALS_PATH,
    AskRemovalRequest,
    DecideRemovalRequest,
    EntryQuestion,
    ListedEntry,
    ListedImport,
    ListedRemoval,
    RemovalAnswer,
)
from services.bulk_import.import_store import ImportJob
from services.kit.db.database import Database
from services.kit.errors import Permanent
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.suppression.api.forms import is_automatic
from services.suppression.api.removal_routes import describe_origin
from services.suppression.entry_registration import SuppressionList
from services.suppression.imports.entry_import import ENTRY_IMPORTS
from services.suppression.removals import removal_store
from services.suppression.removals.removal_requests import RemovalRequests
from services.suppression.store import entry_store

MAX_LISTED: Final = 50


def internal_list_routes(database: Database, suppression_list: SuppressionList, removals: RemovalRequests) -> APIRouter:
    """The routes."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)
    _add_listing_routes(routes, database, suppression_list)

    @routes.post(ASK_REMOVAL_PATH)
    async def ask_removal(request: Request) -> Response:
        asked = await internal_api.read_request(request, AskRemovalRequest)
        return await _answer(removals.request(asked.entry, asked.reason, asked.consent_of, asked.by))

    @routes.post(DECIDE_REMOVAL_PATH)
    async def decide_removal(request: Request) -> Response:
        asked = await internal_api.read_request(request, DecideRemovalRequest)
        if asked.approve:
            return await _answer(removals.approve(asked.removal, asked.by))
        return await _answer(removals.decline(asked.removal, None, asked.by))

    return routes


def _add_listing_routes(routes: APIRouter, database: Database, suppression_list: SuppressionList) -> None:
    @routes.post(FIND_ENTRIES_PATH)
    async def find_entries(request: Request) -> Response:
        asked = await internal_api.read_request(request, EntryQuestion)
        hashes = suppression_list.lookup_hashes(asked.channel, asked.address)
        async with database.read() as tx:
            rows = await entry_store.list_entries(
                tx, "", MAX_LISTED, customer=None, pseudonym=None, reason=None, hashes=hashes
            )
        return internal_api.respond(tuple(_listed_entry(row) for row in rows))

    @routes.post(IMPORTS_PATH)
    async def show_imports() -> Response:
        async with database.read() as tx:
            jobs = await ENTRY_IMPORTS.list_imports(tx, None, MAX_LISTED)
        return internal_api.respond(tuple(_listed_import(job) for job in jobs))

    @routes.post(REMOVALS_PATH)
    async def list_removals() -> Response:
        async with database.read() as tx:
            rows = await removal_store.list_requests(tx, "requested", "", MAX_LISTED)
        return internal_api.respond(tuple(_listed_removal(row) for row in rows))


async def _answer(request: Awaitable[Row[Any]]) -> Response:
    try:
        return internal_api.respond(RemovalAnswer((await request).state))
    except Permanent as error:
        return internal_api.respond(RemovalAnswer(None, error.detail))


def _listed_entry(row: Row[Any]) -> ListedEntry:
    return ListedEntry(
        id=row.id,
        whom=row.customer or row.masked or "",
        channel=row.channel,
        topic=row.topic,
        classes=entry_store.decode_classes(row.classes),
        reason=row.reason,
        source=row.source,
        note=row.note,
        at=row.at,
        expires=row.expires,
        added_by=row.added_by,
        automatic=is_automatic(row.added_by),
    )


def _listed_import(job: ImportJob) -> ListedImport:
    return ListedImport(
        *(job.id, job.state, job.dry_run, job.total, job.rows_read, job.added, job.existing, job.refused),
        *(job.requested_by, job.created, job.finished, job.problem),
    )


def _listed_removal(row: Row[Any]) -> ListedRemoval:
    return ListedRemoval(
        *(row.id, row.customer or row.masked or "", row.entry_reason, row.reason),
        *(row.requested_by, row.requested_at, describe_origin(row.added_by)),
    )
