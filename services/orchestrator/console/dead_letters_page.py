"""Dead letters of all three services: what could not be applied and why, what it would do now, redrive and discard."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.dead_letters import (
    DEFAULT_REDRIVE_RATE,
    LETTER_SERVICES,
    LETTER_STATES,
    MAX_REASON_LENGTH,
    MAX_REDRIVE_RATE,
    DeadLetterContent,
    DeadLetterItem,
    DeadLetterQuery,
    LetterState,
    RecordEffect,
)
from schemas.documents import DocumentError, validate_document
from schemas.times import Instant
from services.kit.errors import Conflict, Invalid, NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import PageCursor, decode_cursor, encode_cursor
from services.kit.http.sessions import read_form
from services.kit.observability.logs import log
from services.orchestrator.console.console_context import NAMES, ConsoleContext, may_see_names
from services.orchestrator.console.page_frame import PageRenderer, link, page_route_class
from services.orchestrator.dead_letters import store
from services.orchestrator.dead_letters.redrive_request import NOT_REDRIVEN, DiscardBody, RedriveBody, start_redrive

PATH = "/console/dead-letters"
READ, WRITE = "dead_letters:read", "dead_letters:write"
FILTERS = ("service", "type", "customer", "code")
QueryText = Annotated[str, Query(max_length=256)]
_PAGE_SIZE = 50
_MAX_SHOWN_BYTES = 20_000
_MAX_SHOWN_ITEMS = 200

EFFECT_WORDS: Mapping[str, str] = {
    "applied": "It would be applied",
    "duplicate": "It would have no effect: the event was applied already",
    "unchanged": "It would change nothing",
    "nothing": "It would have no effect",
    "rejected": "It still cannot be applied",
    "failed": "It still cannot be applied",
}
RESULT_WORDS: Mapping[str, str] = {
    "redriven": "redriven",
    "still_dead": "still cannot be applied",
    "closed_before": "were closed before",
    "not_found": "were not found",
}


def dead_letters_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the list, of one letter and of a redrive job."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))
    _add_list_page(routes, context, renderer)
    _add_redrive_pages(routes, context, renderer)
    _add_letter_page(routes, context, renderer)
    return routes


def _add_list_page(routes: APIRouter, context: ConsoleContext, renderer: PageRenderer) -> None:
    @routes.get(PATH)
    async def show_letters(
        request: Request,
        service: QueryText = "",
        state: QueryText = "open",
        type: QueryText = "",
        customer: QueryText = "",
        code: QueryText = "",
        after: PageCursor = None,
        principal: Principal = requires(READ),
    ) -> Response:
        at = await context.get_wall_clock()
        filters = {"service": service, "type": type.strip(), "customer": customer.strip(), "code": code.strip()}
        if service not in ("", *LETTER_SERVICES) or state not in ("all", *LETTER_STATES):
            raise Invalid("there is no such service or state")
        wanted: LetterState | None = next((each for each in LETTER_STATES if each == state), None)
        query = DeadLetterQuery(
            _PAGE_SIZE, wanted, filters["type"] or None, filters["customer"] or None, filters["code"] or None
        )
        start = decode_cursor(after, tuple[Instant, str, int]) if after else None
        page = await context.letters.page(query, service or None, start)
        following = None if page.next is None else encode_cursor(page.next)
        async with context.database.read() as tx:
            jobs = await store.list_jobs(tx, None, 5)
        return await renderer.render_page(
            request, principal, "dead-letters.html", at,
            page="dead-letters",
            rows=[(item, problem_words(item)) for item in page.items],
            services=page.services,
            service_names=LETTER_SERVICES,
            states=("open", "redriven", "discarded", "all"),
            state=state,
            filters=filters,
            older=following and link(PATH, **filters, state=state, after=following),
            jobs=jobs,
            rate=DEFAULT_REDRIVE_RATE,
            max_rate=MAX_REDRIVE_RATE,
            max_reason=MAX_REASON_LENGTH,
        )  # fmt: skip


_RATE: Final = re.compile("[0-9]{1,6}")


def _add_redrive_pages(routes: APIRouter, context: ConsoleContext, renderer: PageRenderer) -> None:
    @routes.post(f"{PATH}/redrive")
    async def redrive_letters(request: Request, principal: Principal = requires(WRITE)) -> Response:
        fields = await read_form(request)
        chosen: dict[str, Any] = {"filter": {name: fields[name] for name in FILTERS if fields.get(name)}}
        if fields.get("id"):
            chosen = {"ids": [fields["id"]]}
        rate = fields.get("rate") or str(DEFAULT_REDRIVE_RATE)
        number = int(rate) if _RATE.fullmatch(rate) else rate
        data = {**chosen, "reason": fields.get("reason", "").strip(), "rate": number}
        body = _check(RedriveBody, data)
        job = await start_redrive(context.database, context.letters, body, principal.name, context.clock.now())
        return RedirectResponse(f"{PATH}/jobs/{job.id}", 303)

    @routes.get(f"{PATH}/jobs/{{id}}")
    async def show_job(request: Request, id: str, principal: Principal = requires(READ)) -> Response:
        at = await context.get_wall_clock()
        async with context.database.read() as tx:
            job = await store.get_job(tx, id)
            items = await store.list_items(tx, id, NOT_REDRIVEN, _MAX_SHOWN_ITEMS)
        if job is None:
            raise NotFound("there is no such job, or it was deleted because of its age")
        return await renderer.render_page(
            request, principal, "redrive-job.html", at,
            page="dead-letters",
            job=job,
            items=items,
            result_words=RESULT_WORDS,
            finished=job.state not in ("queued", "running"),
        )  # fmt: skip


def _add_letter_page(routes: APIRouter, context: ConsoleContext, renderer: PageRenderer) -> None:
    @routes.get(f"{PATH}/{{id}}")
    async def show_letter(
        request: Request, id: str, principal: Principal = requires(READ, shows_more=NAMES)
    ) -> Response:
        at = await context.get_wall_clock()
        answer = await context.letters.look_up(id)
        assert answer.item is not None and answer.content is not None
        effect, fault = await context.letters.try_letter(answer.item)
        may_see = may_see_names(principal)
        if may_see:
            log("dead_letter_read", letter=id, by=principal.name)
        return await renderer.render_page(
            request, principal, "dead-letter.html", at,
            page="dead-letters",
            item=answer.item,
            words=problem_words(answer.item),
            content=shown_content(answer.content) if may_see else None,
            effect=effect,
            effect_words="" if effect is None else EFFECT_WORDS[effect.effect],
            effect_rest="" if effect is None else rest_of_effect(effect),
            decisions=[] if effect is None else [_decision_words(context, each) for each in effect.decisions],
            fault=fault,
            max_reason=MAX_REASON_LENGTH,
        )  # fmt: skip

    @routes.post(f"{PATH}/{{id}}/discard")
    async def discard_letter(request: Request, id: str, principal: Principal = requires(WRITE)) -> Response:
        fields = await read_form(request)
        body = _check(DiscardBody, {"reason": fields.get("reason", "").strip()})
        if fields.get("confirmed") != "yes":
            raise Invalid("confirm that this event will not be applied, and discard again")
        result = await context.letters.discard_letter(id, principal.name, body.reason)
        if not result.done:
            raise Conflict(f"this letter is {result.state} already")
        return RedirectResponse(f"{PATH}/{id}", 303)


def rest_of_effect(effect: RecordEffect) -> str:
    """What a dry run says beyond the words for its kind, with which its text may begin."""
    words, detail = EFFECT_WORDS[effect.effect], effect.detail
    begins_so = detail.casefold().startswith(words.casefold())
    rest = detail[len(words) :] if begins_so else f". {detail[:1].upper()}{detail[1:]}"
    return rest if rest.endswith((".", "?")) else f"{rest}."


def _check(form: type[Any], data: Mapping[str, Any]) -> Any:
    try:
        return validate_document(form, data)
    except DocumentError as error:
        raise Invalid("; ".join(f"{each[0].lstrip('/') or 'the form'}: {each[2]}" for each in error.errors)) from None


def problem_words(item: DeadLetterItem) -> str:
    """What is wrong with a letter's record, in words."""
    parts = [f"{each['pointer']}: {each['detail']}".removeprefix(": ") for each in item.problems]
    return "; ".join(parts) or f"{item.error_class}: {item.error_message}"


def shown_content(content: DeadLetterContent) -> list[tuple[str, str, str]]:
    """Key, headers and value of a record: name, text and a remark."""
    named = [("Key", content.key), *((f"Header {name}", value) for name, value in content.headers)]
    return [(name, *_shown_bytes(value)) for name, value in [*named, ("Value", content.value)]]


def _shown_bytes(value: bytes | None) -> tuple[str, str]:
    if value is None:
        return "", "none"
    cut = f"the first {_MAX_SHOWN_BYTES:,} of {len(value):,} bytes" if len(value) > _MAX_SHOWN_BYTES else ""
    try:
        return value.decode()[:_MAX_SHOWN_BYTES], cut
    except UnicodeDecodeError:
        return value[: _MAX_SHOWN_BYTES // 3].hex(" "), "not text: shown in hexadecimal"


def _decision_words(context: ConsoleContext, decision: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Campaign, channel, outcome and reason of a decision that the record would have."""
    return context.campaign_name(decision["campaign"]), decision["channel"], decision["outcome"], decision["reason"]
