"""Decisions page: decisions as they are made, with the trace of one beside them. Works without script."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, Response, StreamingResponse

from schemas.facts import Preference
from schemas.reasons import Reason
from schemas.roles import is_allowed
from schemas.times import DAY, HOUR, MINUTE
from schemas.vocabulary import Channel, Outcome
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import decode_cursor, encode_cursor
from services.orchestrator.console import charts, decision_words, store
from services.orchestrator.console.console_context import ConsoleContext, customer_name, customer_zone, may_see_names
from services.orchestrator.console.event_stream import DecisionStream
from services.orchestrator.console.page_frame import PageRenderer, link, page_route_class
from services.orchestrator.console.store import DecisionListFilter, DecisionPosition
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.decisions.read_store import StoredDecision, get_decision
from services.orchestrator.explain.wording import explain_verdict
from services.orchestrator.policy.explain import blocking_verdicts

PAGE_SIZE = 50
TILE_SPAN = 30 * MINUTE
PATH = "/console/decisions"
SPAN_LENGTHS: Mapping[str, int] = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "90d": 90 * DAY}
QueryText = Annotated[str, Query(max_length=256)]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A row of the table."""

    id: int
    time: str
    customer: str
    name: str | None
    campaign: str
    event: str
    outcome: str
    reason: str
    code: str
    channel: str


class DecisionsQuery(BaseModel):
    """The query of the page: filters, time span, chosen decision; `after` is for the stream only."""

    model_config = ConfigDict(frozen=True)

    customer: QueryText = ""
    campaign: QueryText = ""
    channel: QueryText = ""
    outcome: QueryText = ""
    reason: QueryText = ""
    span: QueryText = "24h"
    decision: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
    before: Annotated[str, Query(max_length=1000)] = ""
    after: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None

    def to_filter(self) -> DecisionListFilter:
        """Returns the database filter. A value outside the closed lists matches nothing."""
        names = ("customer", "campaign", "channel", "outcome", "reason")
        return DecisionListFilter(**{name: getattr(self, name) or None for name in names})

    def url_with(self, **changes: object) -> str:
        """Returns the page's URL with these changes, starting from the newest decision."""
        values = {**self.model_dump(), "before": "", "after": None, **changes}
        return link(PATH, **{**values, "span": "" if values["span"] == "24h" else values["span"]})


def decisions_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of decisions."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))
    stream = DecisionStream(context)

    @routes.get(PATH)
    async def decisions(
        request: Request,
        choice: Annotated[DecisionsQuery, Query()],
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        at = await context.get_wall_clock()
        is_fragment = "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
        if is_fragment and choice.decision is not None:
            trace = await load_trace(context, principal, choice.decision, at)
            html = renderer.render_fragment(
                "trace.html", trace=trace, at=at, may=lambda action: is_allowed(principal.role, action)
            )
            return HTMLResponse(html, headers={"Vary": "HX-Request"})
        return await _render_decisions_page(context, renderer, request, principal, choice, at)

    @routes.get(PATH + "/stream")
    async def stream_decisions(
        request: Request,
        choice: Annotated[DecisionsQuery, Query()],
        principal: Principal = requires("decisions:read"),
    ) -> StreamingResponse:
        async def render(batch: Sequence[StoredDecision]) -> list[tuple[int, str]]:
            rows = await build_rows(context, principal, batch, await context.get_wall_clock())
            return [
                (row.id, renderer.render_fragment("row.html", row=row, href=choice.url_with(decision=row.id)))
                for row in rows
            ]

        return stream.open_stream(request, choice.to_filter(), choice.after, render)

    @routes.get(PATH + "/{id}")
    async def show_decision(
        request: Request,
        id: Annotated[int, Path(ge=1, le=2**63 - 1)],
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        at = await context.get_wall_clock()
        trace = await load_trace(context, principal, id, at)
        return await renderer.render_page(request, principal, "decision.html", at, page="decisions", trace=trace)

    return routes


async def _render_decisions_page(
    context: ConsoleContext,
    renderer: PageRenderer,
    request: Request,
    principal: Principal,
    choice: DecisionsQuery,
    at: WallClock,
) -> Response:
    since = at.now - SPAN_LENGTHS.get(choice.span, DAY)
    before = decode_cursor(choice.before, DecisionPosition) if choice.before else None
    async with context.database.read() as tx:
        listed = await store.list_newest_decisions(tx, choice.to_filter(), since, before, PAGE_SIZE + 1)
        counts = await store.count_decisions(tx, at.now - TILE_SPAN, at.now + 1, 30)
        newest = await store.newest_decision_id(tx)
        campaigns = await store.list_campaign_documents(tx, 500)
    page = listed[:PAGE_SIZE]
    last = page[-1] if len(listed) > PAGE_SIZE else None
    chosen = choice.decision or (page[0].decision_id if page else None)
    return await renderer.render_page(
        request, principal, "decisions.html", at,
        page="decisions",
        choice=choice,
        spans=tuple(SPAN_LENGTHS),
        campaigns=[row.key for row in campaigns],
        all_channels=tuple(Channel),
        all_outcomes=tuple(Outcome),
        all_reasons=tuple(Reason),
        rows=await build_rows(context, principal, page, at),
        chosen=chosen,
        trace=None if chosen is None else await load_trace(context, principal, chosen, at),
        older=None if last is None else choice.url_with(before=encode_cursor(_position_of(last)), decision=None),
        tiles=charts.outcome_tiles(counts, 30),
        stream=None if choice.before else link(PATH + "/stream", **asdict(choice.to_filter()), after=newest),
    )  # fmt: skip


async def build_rows(
    context: ConsoleContext, principal: Principal, decisions: Sequence[StoredDecision], at: WallClock
) -> list[DecisionRow]:
    """Builds table rows, with names for those who may see them."""
    preferences: Mapping[str, Preference] = {}
    if may_see_names(principal):
        preferences = await context.get_preferences([item.decision.customer for item in decisions])
    return [
        DecisionRow(
            id=item.decision_id,
            time=at.time(item.decision.time),
            customer=item.decision.customer,
            name=customer_name(preferences.get(item.decision.customer)),
            campaign=context.campaign_name(item.decision.campaign),
            event=item.decision.event.type,
            outcome=item.decision.outcome,
            reason=decision_words.short_reason(item.decision, at),
            code=item.decision.reason,
            channel=item.decision.channel,
        )
        for item in decisions
    ]


async def load_trace(context: ConsoleContext, principal: Principal, id: int, organisation: WallClock) -> dict[str, Any]:
    """Loads one decision for the template: answer, plan, rules, versions. Raises NotFound."""
    async with context.database.read() as tx:
        stored = await get_decision(tx, id)
    if stored is None:
        raise NotFound(f"there is no decision {id}")
    decision = stored.decision
    preference = (await context.get_preferences([decision.customer])).get(decision.customer)
    at = WallClock(customer_zone(preference, organisation.zone), organisation.now)
    return {
        "id": id,
        "decision": decision,
        "name": customer_name(preference) if may_see_names(principal) else None,
        "campaign": context.campaign_name(decision.campaign),
        "at": at,
        "headline": decision_words.headline(decision, at),
        "sentence": decision_words.explanation_sentence(decision, at),
        "change": [at.format_instants(explain_verdict(verdict)) for verdict in blocking_verdicts(decision)][1:],
        "plan": charts.plan_steps(decision, at),
        "lines": decision_words.trace_lines(decision, at),
        "tally": decision_words.verdict_tally(decision),
    }


def _position_of(stored: StoredDecision) -> DecisionPosition:
    return DecisionPosition(stored.decision.time, stored.decision.message_id, stored.decision_id)
