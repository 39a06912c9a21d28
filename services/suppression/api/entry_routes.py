"""HTTP API of the do-not-contact list: `/v1/suppressions`."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from schemas.documents import DocumentError, is_blank_line, load_json
from schemas.service_api import (
    ADD_ENTRIES_PATH,
    LIFT_ENTRIES_PATH,
    Acknowledgement,
    AddEntriesRequest,
    AttemptScope,
    LiftEntriesRequest,
    ProviderEntry,
    ScopeNames,
)
from schemas.times import format_instant
from schemas.vocabulary import Channel, Class, SuppressionReason
from services.erasure.erased_customers import ERASED_DETAIL, CustomerErased
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, Problem, TooLarge
from services.kit.http import internal_api, request_parsing
from services.kit.http.answer_types import EnforcedFields, Page, ProblemFields, TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires, service_only
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import described_body, document, document_body
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.suppression.api.forms import AddressLookup, entry_document, parse_suppression
from services.suppression.api.scope_notes import NamesApi, ScopeNote, note_unknown_names_of_all
from services.suppression.entry_registration import AddResult, HashedSuppression, SuppressionList
from services.suppression.store import entry_store
from services.suppression.suppression_enforcement import SuppressionEnforcer

LINES_MEDIA_TYPES = ("application/x-ndjson", "application/jsonl")
MAX_ROWS = 10_000
ROWS_PER_CHUNK = 500
"""Rows per transaction of an import."""
ROW_STATUSES = ("added", "exists", "invalid")

RowResult = dict[str, Any]
_ERASED_PROBLEM = {"pointer": "/customer", "code": CustomerErased.default_code, "detail": ERASED_DETAIL}

_ENTRY = document("suppression", optional=["at"])
_ENTRIES = {"oneOf": [_ENTRY, {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": _ENTRY}]}
_ENTRIES_BODY = described_body(
    dict.fromkeys(request_parsing.DOCUMENT_MEDIA_TYPES, _ENTRIES)
    | {name: {"type": "string", "description": "One entry a line, as JSON"} for name in LINES_MEDIA_TYPES},
    examples={
        "a customer": {"customer": "ada", "reason": "legal", "source": "court order 12/2026"},
        "an address": {"address": "ada@example.org", "scope": {"channel": "email"}, "reason": "hard_bounce"},
    },
)


class EntryScope(TypedDict):
    """What an entry covers; empty: everything."""

    channel: NotRequired[Channel]
    topic: NotRequired[str]
    classes: NotRequired[list[Class]]


class EntryFields(TypedDict):
    """An entry of the do-not-contact list; of an address, only a mask is kept. `automatic`: no person has added it, but
    a provider's receipt (`added_by` names the provider) or the event of an erasure.
    """

    id: str
    customer: NotRequired[str]
    address_masked: NotRequired[str | None]
    scope: EntryScope
    reason: SuppressionReason
    source: str | None
    note: str | None
    at: TimeText | None
    expires: TimeText | None
    added_by: str
    added_at: TimeText | None
    automatic: bool
    removed_by: NotRequired[str]
    removed_at: NotRequired[TimeText | None]
    remove_reason: NotRequired[str | None]


class AddedEntry(EnforcedFields):
    """One entry that was added, or that existed: then without an id. `notes`: names in its scope that nothing has."""

    id: str | None
    status: Literal["added", "exists"]
    notes: NotRequired[list[ScopeNote]]


class ImportedRow(TypedDict):
    """The result of one row."""

    row: int
    status: Literal["added", "exists", "invalid"]
    id: NotRequired[str | None]
    errors: NotRequired[list[ProblemFields]]
    notes: NotRequired[list[ScopeNote]]


class ImportResult(EnforcedFields):
    """The result of an import, row by row."""

    added: int
    exists: int
    invalid: int
    items: list[ImportedRow]


def suppression_routes(
    database: Database,
    suppression_list: SuppressionList,
    enforcer: SuppressionEnforcer,
    orchestrator: NamesApi,
    clock: Clock,
) -> APIRouter:
    """GET and POST /v1/suppressions."""
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])
    _add_read_routes(routes, database, suppression_list)
    _add_create_route(routes, SuppressionImporter(database, suppression_list, clock), enforcer, orchestrator)
    return routes


def _add_read_routes(routes: APIRouter, database: Database, suppression_list: SuppressionList) -> None:
    @routes.get("", summary="Live entries, newest first", **answers({200: Page[EntryFields]}))
    async def list_entries(
        _: Principal = requires("suppressions:read", list_unless="customer"),
        customer: Annotated[str | None, Query(max_length=1024)] = None,
        reason: SuppressionReason | None = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
    ) -> dict[str, object]:
        before = decode_cursor(after, str) if after else ""
        async with database.read() as tx:
            pseudonym = None if customer is None else suppression_list.erased.pseudonyms.of_customer(customer)
            rows = await entry_store.list_entries(
                tx, before, limit + 1, customer=customer, pseudonym=pseudonym, reason=reason, hashes=None
            )
        items = [entry_document(row) for row in rows[:limit]]
        return to_page(items, encode_cursor(items[-1]["id"]) if len(rows) > limit else None)

    @routes.post(
        "/lookup",
        summary="Live entries of one address, sent in the body so that it is never part of a URL",
        **answers({200: Page[EntryFields]}),
    )
    async def lookup_address(
        _: Principal = requires("suppressions:read"),
        address_lookup: AddressLookup = document_body(
            AddressLookup, examples={"an address": {"address": "ada@example.org"}}
        ),
    ) -> dict[str, object]:
        channel, address = address_lookup.channel, address_lookup.address
        hashes = suppression_list.lookup_hashes(channel, address)
        async with database.read() as tx:
            rows = await entry_store.list_entries(
                tx, "", 200, customer=None, pseudonym=None, reason=None, hashes=hashes
            )
        if not rows:
            suppression_list.refuse_bad_address(channel, address)
        return to_page([entry_document(row) for row in rows], None)


def entry_route(database: Database) -> APIRouter:
    """GET /v1/suppressions/{id}. To be added after the routes whose paths have a word in the place of the id."""
    routes = APIRouter(prefix="/v1/suppressions", tags=["suppressions"])

    @routes.get("/{entry_id}", summary="One entry, also one that was removed", **answers({200: EntryFields}, NotFound))
    async def get_entry(entry_id: str, _: Principal = requires("suppressions:read")) -> dict[str, Any]:
        async with database.read() as tx:
            row = await entry_store.get_entry(tx, entry_id)
        if row is None:
            raise NotFound("there is no such entry; GET /v1/suppressions lists those that are live")
        return entry_document(row)

    return routes


def _add_create_route(
    routes: APIRouter, importer: "SuppressionImporter", enforcer: SuppressionEnforcer, orchestrator: NamesApi
) -> None:
    @routes.post(
        "",
        summary="Add one entry, or up to 10,000 as a list or as lines; answered once it is enforced",
        dependencies=[_ENTRIES_BODY],
        **answers({200: AddedEntry | ImportResult, 202: AddedEntry | ImportResult}, CustomerErased),
    )
    async def add(request: Request, principal: Principal = requires("suppressions:write")) -> JSONResponse:
        if request_parsing.read_media_type(request) in LINES_MEDIA_TYPES:
            return await import_entries(_split_lines(await request.body()), principal)
        body = await request_parsing.read_document(request)
        if isinstance(body, list):
            return await import_entries(body, principal)
        document = importer.parse_row(body)
        if document.document.customer is not None:
            note_customer(document.document.customer)
        (added,) = await importer.add_documents([document], principal.name)
        if added.status == "erased":
            raise CustomerErased
        answer: RowResult = {"id": added.id, "status": added.status}
        return await respond_when_enforced(answer, added.scopes, [(answer, document)])

    async def import_entries(rows: Sequence[object], principal: Principal) -> JSONResponse:
        results, scopes, taken = await importer.import_rows(rows, principal.name)
        counts = {status: sum(item["status"] == status for item in results) for status in ROW_STATUSES}
        return await respond_when_enforced({**counts, "items": results}, scopes, taken)

    async def respond_when_enforced(
        answer: RowResult, scopes: Sequence[AttemptScope], taken: Sequence[tuple[RowResult, HashedSuppression]]
    ) -> JSONResponse:
        enforcement = await enforcer.enforce(scopes, "suppression")
        notes = await note_unknown_names_of_all(orchestrator, [_entry_names(document) for _, document in taken])
        for (result, _), found in zip(taken, notes, strict=True):
            if found:  # an entry has one topic, and no list of them
                result["notes"] = [{**note, "pointer": "/scope/topic"} for note in found]
        return JSONResponse({**answer, **enforcement.to_response()}, 200 if enforcement.enforced else 202)


def internal_entry_routes(database: Database, suppression_list: SuppressionList, clock: Clock) -> APIRouter:
    """The route by which the orchestrator adds what providers have said: bounces, complaints, and who stops."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)
    importer = SuppressionImporter(database, suppression_list, clock)

    @routes.post(ADD_ENTRIES_PATH)
    async def add_entries(request: Request) -> Response:
        payload = await internal_api.read_request(request, AddEntriesRequest)
        share = LoopShare()
        hashed: list[HashedSuppression] = []
        for entry in payload.entries:
            await share.give_turn_if_due()
            hashed.append(_hash_entry(importer, entry))
        for start in range(0, len(hashed), ROWS_PER_CHUNK):
            await importer.add_documents(hashed[start : start + ROWS_PER_CHUNK], payload.added_by)
        return internal_api.respond(Acknowledgement())

    @routes.post(LIFT_ENTRIES_PATH)
    async def lift_entries(request: Request) -> Response:
        payload = await internal_api.read_request(request, LiftEntriesRequest)
        async with database.write() as tx:
            for lift in payload.lifts:
                await suppression_list.lift_entries(tx, lift, payload, clock.now())
        return internal_api.respond(Acknowledgement())

    return routes


def _hash_entry(importer: "SuppressionImporter", entry: ProviderEntry) -> HashedSuppression:
    """The entry of the address; of the customer, where the address is none that an entry can name."""
    scope: dict[str, Any] = {"channel": entry.channel}
    if entry.classes is not None:
        scope["classes"] = list(entry.classes)
    rest = {"scope": scope, "reason": entry.reason, "source": entry.source, "at": format_instant(entry.at)}
    if entry.expires is not None:
        rest["expires"] = format_instant(entry.expires)
    if entry.address is not None:
        with suppress(DocumentError):
            return importer.parse_row({"address": entry.address, **rest})
    return importer.parse_row({"customer": entry.customer, **rest})


class SuppressionImporter:
    """Imports rows in transactions of bounded size; an invalid row does not affect the others."""

    def __init__(self, database: Database, suppression_list: SuppressionList, clock: Clock) -> None:
        self._database = database
        self._suppression_list = suppression_list
        self._clock = clock

    async def add_documents(self, documents: Sequence[HashedSuppression], added_by: str) -> list[AddResult]:
        """Add these in one transaction."""
        async with self._database.write() as tx:
            return await self._suppression_list.add_documents(tx, documents, added_by, self._clock.now())

    def parse_row(self, row: object) -> HashedSuppression:
        """A row as it is kept, from bytes or plain values. Raises DocumentError."""
        plain = load_json(row) if isinstance(row, bytes) else row
        return self._suppression_list.hash_document(parse_suppression(plain, self._clock.now()))

    async def import_rows(
        self, rows: Sequence[object], added_by: str
    ) -> tuple[list[RowResult], list[AttemptScope], list[tuple[RowResult, HashedSuppression]]]:
        """The result of each row, the attempts that they concern, and the rows that were taken with their results.

        Raises TooLarge, or Invalid without rows.
        """
        if len(rows) > MAX_ROWS:
            raise TooLarge(f"more than {MAX_ROWS} rows: send them in parts")
        if not rows:
            raise Invalid("there are no rows", errors=[Problem("", "empty", "send at least one row")])
        results: list[RowResult] = [{} for _ in rows]
        valid: list[tuple[int, HashedSuppression]] = []
        share = LoopShare()
        for index, row in enumerate(rows):
            await share.give_turn_if_due()  # to read and hash an address takes 0.1 ms
            try:
                valid.append((index, self.parse_row(row)))
            except DocumentError as error:
                results[index] = {"row": index, "status": "invalid", "errors": _problem_documents(error)}
        scopes: list[AttemptScope] = []
        for start in range(0, len(valid), ROWS_PER_CHUNK):
            chunk = valid[start : start + ROWS_PER_CHUNK]
            added = await self.add_documents([document for _, document in chunk], added_by)
            for (index, _), item in zip(chunk, added, strict=True):
                if item.status == "erased":
                    results[index] = {"row": index, "status": "invalid", "errors": [_ERASED_PROBLEM]}
                    continue
                results[index] = {"row": index, "status": item.status, "id": item.id}
                scopes.extend(item.scopes)
        taken = [(results[index], document) for index, document in valid if results[index]["status"] != "invalid"]
        return results, scopes, taken


def _entry_names(entry: HashedSuppression) -> ScopeNames:
    topic = entry.document.scope.topic
    return ScopeNames(() if topic is None else (topic,))


def _split_lines(body: bytes) -> list[object]:
    return [line for line in body.split(b"\n") if not is_blank_line(line)]


def _problem_documents(error: DocumentError) -> list[dict[str, str]]:
    return [{"pointer": pointer, "code": code, "detail": detail} for pointer, code, detail in error.errors]
