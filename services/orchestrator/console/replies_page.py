"""Replies that may ask to stop: what customers wrote, and the buttons by which a person decides what they meant."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple, get_args

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.facts import Preference
from services.kit.errors import Invalid
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import PageCursor, decode_cursor, encode_cursor
from services.kit.http.sessions import read_form
from services.orchestrator.console.console_context import NAMES, ConsoleContext, customer_name, may_see_names
from services.orchestrator.console.page_frame import PageRenderer, link, page_route_class
from services.orchestrator.delivery.receipts import undecided_store
from services.orchestrator.delivery.receipts.replies_api import DECIDE, READ
from services.orchestrator.delivery.receipts.undecided_store import ReplyDecision, ReplyState

PATH: Final = "/console/replies"
PAGE_SIZE: Final = 50
TABS: Final = ("undecided", "stop", "not_stop")
STATE_WORDS: Final[Mapping[str, str]] = {
    "undecided": "Undecided",
    "stop": "A stop",
    "not_stop": "Not a stop",
    "erased": "Erased",
}


class ReplyRow(NamedTuple):
    """A reply of the list. `text`: None where it is decided, or not for this role to see."""

    id: int
    customer: str
    name: str | None
    channel: str
    message_id: str
    text: str | None
    received: int
    state: str
    decided_by: str | None
    decided_at: int | None


def replies_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def list_replies(
        request: Request,
        state: Annotated[ReplyState, Query()] = "undecided",
        after: PageCursor = None,
        principal: Principal = requires(READ, shows_more=NAMES),
    ) -> Response:
        at = await context.get_wall_clock()
        start = decode_cursor(after, int) if after else 0
        async with context.database.read() as tx:
            size = await undecided_store.measure_undecided(tx)
            found = await undecided_store.list_replies(tx, state, start, PAGE_SIZE + 1)
        sees = may_see_names(principal)
        shown = found[:PAGE_SIZE]
        preferences = await context.get_preferences([row.customer for row in shown]) if sees else {}
        following = encode_cursor(shown[-1].seq) if len(found) > PAGE_SIZE else None
        return await renderer.render_page(
            request, principal, "replies.html", at,
            page="replies",
            rows=[_row(each, preferences, sees=sees) for each in shown],
            state=state,
            state_words=STATE_WORDS,
            tabs=[(each, link(PATH, state=each)) for each in TABS],
            undecided=size.waiting,
            sees=sees,
            more=following and link(PATH, state=state, after=following),
        )  # fmt: skip

    @routes.post(PATH + "/{id}")
    async def submit_decision(
        request: Request, id: Annotated[int, Path(ge=1, le=2**63 - 1)], principal: Principal = requires(DECIDE)
    ) -> Response:
        fields = await read_form(request)
        decision: ReplyDecision | None = next(
            (each for each in get_args(ReplyDecision) if each == fields.get("decision")), None
        )
        if decision is None:
            raise Invalid("choose whether the reply is a stop")
        await context.reply_decisions.decide(id, decision, principal.name)
        return RedirectResponse(PATH, 303)

    return routes


def _row(row: Any, preferences: Mapping[str, Preference], *, sees: bool) -> ReplyRow:
    return ReplyRow(
        row.seq,
        row.customer,
        customer_name(preferences.get(row.customer)),
        row.channel,
        row.message_id,
        row.text if sees else None,
        row.received,
        row.state,
        row.decided_by,
        row.decided_at,
    )
