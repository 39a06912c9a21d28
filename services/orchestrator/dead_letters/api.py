"""HTTP API of dead letters, of all three services: list, look, dry run, redrive as a job, discard."""

import base64
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from typing_extensions import TypedDict

from schemas.dead_letters import (
    DeadLetterContent,
    DeadLetterQuery,
    LetterState,
    effect_document,
    letter_document,
)
from schemas.roles import is_allowed
from schemas.times import Instant
from services.kit import errors
from services.kit.db.database import Database
from services.kit.http.answer_types import AnyObject, AnyValue, Page, ProblemFields, TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document_body
from services.kit.http.request_parsing import parse_range_params
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.dead_letters import store
from services.orchestrator.dead_letters.directory import DeadLetterDirectory
from services.orchestrator.dead_letters.redrive_request import (
    NOT_REDRIVEN,
    DiscardBody,
    LetterRedriveBody,
    NothingToRedrive,
    RedriveBody,
    get_job,
    job_document,
    rehearse_redrive,
    start_redrive,
)

MAX_JOB_ITEMS = 500
ServiceParam = Annotated[
    str | None, Query(pattern="^(orchestrator|preference|suppression)$", description="The service that refused it")
]
TextParam = Annotated[str | None, Query(max_length=256)]
InstantParam = Annotated[str | None, Query(description="RFC 3339 time")]
READ, WRITE, CONTENT = "dead_letters:read", "dead_letters:write", "customers:read"
"""Letters hold what customers' events hold, so the bytes are for those alone who may see customers."""


_ErrorClass = TypedDict("_ErrorClass", {"class": str | None})


class LetterError(_ErrorClass):
    """Why the record was refused."""

    message: str | None
    attempts: int


class LetterEvent(TypedDict):
    """The event of a letter, as far as it could be read."""

    source: str | None
    id: str | None
    type: str | None


class LetterRecord(TypedDict):
    """Where the record lies in the log."""

    topic: str
    partition: int
    offset: int
    timestamp: TimeText


class LetterFields(TypedDict):
    """A dead letter, without its bytes."""

    id: str
    service: str
    state: LetterState
    at: TimeText
    code: str
    problems: list[ProblemFields]
    error: LetterError
    event: LetterEvent
    customer: str | None
    record: LetterRecord
    redrives: int
    redriven_at: TimeText | None
    closed_at: TimeText | None
    closed_by: str | None
    close_reason: str | None
    effect: str | None
    job: str | None


class ServiceLetterCounts(TypedDict):
    """How many letters of one service are open, or that it does not answer."""

    service: str
    answers: bool
    open: int | None
    oldest: TimeText | None
    detail: str | None


class DeadLetterList(Page[LetterFields]):
    """One page of letters, and what each service says."""

    services: list[ServiceLetterCounts]


class EffectFields(TypedDict):
    """What the record of a letter would do now."""

    effect: str
    detail: str | None
    problems: list[ProblemFields]
    decisions: list[AnyObject]
    warnings: list[str]


class Rehearsed(EffectFields):
    """What one letter would do."""

    id: str
    state: LetterState | None


class Rehearsal(TypedDict):
    """What a redrive would do, of the first letters."""

    total: int
    shown: int
    items: list[Rehearsed]


class JobFields(TypedDict):
    """A redrive job and how far it is."""

    id: str
    state: str
    requested_by: str
    reason: str | None
    rate: int | float
    created: TimeText
    started: TimeText | None
    finished: TimeText | None
    total: int
    done: int
    left_out: int
    results: dict[str, int]
    waiting: AnyValue


class JobItem(TypedDict):
    """A letter that a job has not redriven."""

    id: str
    result: str | None
    effect: str | None
    detail: str | None


class JobWithItems(JobFields):
    """A redrive job, with the letters that it has not redriven."""

    items: list[JobItem]


class Bytes(TypedDict):
    """Bytes, as text where they are UTF-8."""

    text: NotRequired[str]
    base64: NotRequired[str]


class HeaderFields(Bytes):
    """A header of a record."""

    name: str


class ContentFields(TypedDict):
    """The record's key, value and headers."""

    key: Bytes | None
    value: Bytes | None
    headers: list[HeaderFields]


class WholeLetter(LetterFields):
    """A letter with its bytes, for roles that may see customers, and what it would do now, or why nobody can tell."""

    content: ContentFields | None
    content_hidden: str | None
    dry_run: EffectFields | None
    dry_run_problem: str | None


def dead_letter_api(database: Database, letters: DeadLetterDirectory, clock: Clock) -> APIRouter:
    """Builds the routes of `/v1/dead-letters`."""
    routes = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])
    _add_list_route(routes, letters)
    _add_job_routes(routes, database, letters, clock)
    _add_letter_routes(routes, database, letters, clock)
    return routes


def _add_list_route(routes: APIRouter, letters: DeadLetterDirectory) -> None:
    @routes.get(
        "",
        summary="Dead letters of all services, newest first; `services` names any that does not answer",
        **answers({200: DeadLetterList}),
    )
    async def list_letters(
        service: ServiceParam = None,
        state: LetterState | None = None,
        type: TextParam = None,
        customer: TextParam = None,
        code: TextParam = None,
        topic: TextParam = None,
        since: Annotated[InstantParam, Query(alias="from")] = None,
        until: Annotated[InstantParam, Query(alias="to")] = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires(READ),
    ) -> dict[str, Any]:
        start, end = parse_range_params(since, until)
        query = DeadLetterQuery(limit, state, type, customer, code, topic, start, end)
        page = await letters.page(query, service, decode_cursor(after, tuple[Instant, str, int]) if after else None)
        cursor = None if page.next is None else encode_cursor(page.next)
        return {
            **to_page(list(map(letter_document, page.items)), cursor),
            "services": [each.to_document() for each in page.services],
        }


def _add_job_routes(routes: APIRouter, database: Database, letters: DeadLetterDirectory, clock: Clock) -> None:
    @routes.post(
        "/redrive",
        summary="Apply letters again, as a job; `dry_run` tells what it would do",
        **answers({202: JobFields, 200: Rehearsal}, errors.NotFound, NothingToRedrive),
    )
    async def request_redrive(
        principal: Principal = requires(WRITE), body: RedriveBody = document_body(RedriveBody)
    ) -> Response:
        if body.dry_run:
            return JSONResponse(await rehearse_redrive(letters, body))
        return _accepted(await start_redrive(database, letters, body, principal.name, clock.now()))

    @routes.get("/jobs", summary="Redrive jobs, newest first", **answers({200: Page[JobFields]}))
    async def list_jobs(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires(READ)
    ) -> dict[str, Any]:
        before = decode_cursor(after, tuple[Instant, str]) if after else None
        async with database.read() as tx:
            jobs = await store.list_jobs(tx, before, limit + 1)
        last = jobs[limit - 1] if len(jobs) > limit else None
        cursor = encode_cursor((last.created, last.id)) if last else None
        return to_page([job_document(job) for job in jobs[:limit]], cursor)

    @routes.get(
        "/jobs/{id}",
        summary="Progress of a job, and the letters that it has not redriven",
        **answers({200: JobWithItems}, errors.NotFound),
    )
    async def read_job(id: str, _: Principal = requires(READ)) -> dict[str, Any]:
        return await get_job(database, id, NOT_REDRIVEN, MAX_JOB_ITEMS)

    @routes.post(
        "/jobs/{id}/cancel",
        summary="Stop a job; what it has redriven stays redriven",
        **answers({200: JobWithItems}, errors.NotFound, errors.WrongState),
    )
    async def cancel_job(id: str, principal: Principal = requires(WRITE)) -> dict[str, Any]:
        await get_job(database, id, (), 0)
        async with database.write() as tx:
            ended = await store.end_job(tx, id, "cancelled", clock.now())
        if not ended:
            raise errors.WrongState("this job has ended already")
        log("redrive_cancelled", job=id, by=principal.name)
        return await get_job(database, id, NOT_REDRIVEN, MAX_JOB_ITEMS)


def _add_letter_routes(routes: APIRouter, database: Database, letters: DeadLetterDirectory, clock: Clock) -> None:
    @routes.get(
        "/{id}",
        summary="One letter: reason, problems, bytes (by role), and what its record would do now",
        **answers({200: WholeLetter}, errors.NotFound),
    )
    async def get_letter(
        id: str, dry_run: bool = True, principal: Principal = requires(READ, shows_more=CONTENT)
    ) -> dict[str, Any]:
        answer = await letters.look_up(id)
        assert answer.item is not None and answer.content is not None
        effect, problem = await letters.try_letter(answer.item) if dry_run else (None, None)
        may_see = is_allowed(principal.role, CONTENT)
        if may_see:
            log("dead_letter_read", letter=id, by=principal.name)
        if answer.item.customer is not None:
            note_customer(answer.item.customer)
        return {
            **letter_document(answer.item),
            "content": content_document(answer.content) if may_see else None,
            "content_hidden": None if may_see else f"the role {principal.role} may not see customers' data",
            "dry_run": None if effect is None else effect_document(effect),
            "dry_run_problem": problem,
        }

    @routes.post(
        "/{id}/redrive",
        summary="Apply one letter again, as a job",
        **answers({202: JobFields}, errors.NotFound, NothingToRedrive, errors.WrongState),
    )
    async def redrive_letter(
        id: str, principal: Principal = requires(WRITE), request: LetterRedriveBody = document_body(LetterRedriveBody)
    ) -> Response:
        answer = await letters.look_up(id)
        assert answer.item is not None
        if answer.item.state != "open":
            raise errors.WrongState(f"this letter is {answer.item.state} already")
        body = RedriveBody(ids=(id,), reason=request.reason)
        return _accepted(await start_redrive(database, letters, body, principal.name, clock.now()))

    @routes.post(
        "/{id}/discard",
        summary="Close a letter whose event will not be applied; the reason is kept",
        **answers({200: LetterFields}, errors.NotFound, errors.WrongState),
    )
    async def discard_letter(
        id: str, principal: Principal = requires(WRITE), request: DiscardBody = document_body(DiscardBody)
    ) -> dict[str, Any]:
        result = await letters.discard_letter(id, principal.name, request.reason)
        if not result.done:
            raise errors.WrongState(f"this letter is {result.state} already")
        answer = await letters.look_up(id)
        assert answer.item is not None
        return letter_document(answer.item)


def _accepted(job: store.RedriveJob) -> Response:
    return JSONResponse(job_document(job), 202, {"Location": f"/v1/dead-letters/jobs/{job.id}"})


def content_document(content: DeadLetterContent) -> dict[str, Any]:
    """The record's bytes: as text where they are UTF-8, else in base64."""
    return {
        "key": _bytes_document(content.key),
        "value": _bytes_document(content.value),
        "headers": [{"name": name, **(_bytes_document(value) or {})} for name, value in content.headers],
    }


def _bytes_document(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
