"""Decisions page: message choices as they are made, with the trace of one decision beside them or over them.

Works without script.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Path, Query, Request
from markupsafe import Markup
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
from services.orchestrator.console.console_context import (
    NAMES,
    ConsoleContext,
    customer_clock,
    customer_name,
    may_see_names,
)
from services.orchestrator.console.event_stream import DecisionStream
from services.orchestrator.console.message_choices import (
    MessageChoice,
    decision_rank,
    list_newest_choices,
    load_choices,
    select_choice,
)
from services.orchestrator.console.page_frame import PageRenderer, link, page_route_class
from services.orchestrator.console.store import DecisionListFilter, DecisionPosition
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.decisions.read_store import StoredDecision, get_decision
from services.orchestrator.explain.wording import suggest_remedy, summarise_reason

PAGE_SIZE = 50
TILE_SPAN = 30 * MINUTE
PATH = "/console/decisions"
SPAN_LENGTHS: Mapping[str, int] = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "90d": 90 * DAY}
QueryText = Annotated[str, Query(max_length=256)]


class ChannelLine(NamedTuple):
    """A channel of a choice: the decision about it."""

    decision_id: int
    channel: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A row of the table: a message choice, and the decision that it shows. `key` names the choice."""

    key: int
    last: int
    id: int
    time: Markup
    customer: str
    name: str | None
    campaign: str
    event: str
    outcome: str
    reason: Markup
    code: str
    channels: list[ChannelLine]

    @property
    def ids(self) -> list[int]:
        """The ids of all its decisions."""
        return [line.decision_id for line in self.channels]


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
        """Returns the page's URL with these changes, starting from the newest decision unless `before` is given."""
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
        principal: Principal = requires("decisions:read", shows_more=NAMES, list_unless="customer"),
    ) -> Response:
        at = await context.get_wall_clock()
        is_fragment = "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
        if is_fragment and choice.decision is not None:
            html = renderer.render_fragment(
                "trace.html",
                trace=await load_trace(context, principal, choice.decision, at),
                choice=choice,
                may=lambda action: is_allowed(principal.role, action),
            )
            return HTMLResponse(html, headers={"Vary": "HX-Request"})
        return await _render_decisions_page(context, renderer, request, principal, choice, at)

    @routes.get(PATH + "/stream")
    async def stream_decisions(
        request: Request,
        choice: Annotated[DecisionsQuery, Query()],
        principal: Principal = requires("decisions:read", shows_more=NAMES, list_unless="customer"),
    ) -> StreamingResponse:
        async def render(batch: Sequence[StoredDecision]) -> list[tuple[int, str]]:
            async with context.database.read() as tx:
                choices = await load_choices(tx, batch)
            shown = [found for each in choices.values() if (found := select_choice(each, choice.to_filter()))]
            rows = await build_rows(context, principal, shown, await context.get_wall_clock())
            return [
                (row.last, renderer.render_fragment("row.html", row=row, choice=choice))
                for row in sorted(rows, key=lambda row: row.last)
            ]

        return stream.open_stream(request, choice.to_filter(), choice.after, render)

    @routes.get(PATH + "/{id}")
    async def show_decision(
        request: Request,
        id: Annotated[int, Path(ge=1, le=2**63 - 1)],
        principal: Principal = requires("decisions:read", shows_more=NAMES),
    ) -> Response:
        organisation = await context.get_wall_clock()
        async with context.database.read() as tx:
            stored = await get_decision(tx, id)
        preferences = await context.get_preferences([stored.decision.customer] if stored else [])
        at = customer_clock(next(iter(preferences.values()), None), organisation)
        trace = await load_trace(context, principal, id, at)
        return await renderer.render_page(
            request, principal, "decision.html", at, page="decisions", trace=trace, choice=None
        )

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
        listed = await list_newest_choices(tx, choice.to_filter(), since, before, PAGE_SIZE)
        counts = await store.count_decisions(tx, at.now - TILE_SPAN, at.now + 1, 30)
        newest = await store.newest_decision_id(tx)
        campaigns = await store.list_campaign_documents(tx, 500)
    rows = await build_rows(context, principal, listed.choices, at)
    chosen = choice.decision or (rows[0].id if rows else None)
    return await renderer.render_page(
        request, principal, "decisions.html", at,
        page="decisions",
        choice=choice,
        spans=tuple(SPAN_LENGTHS),
        campaigns=[row.key for row in campaigns],
        all_channels=tuple(Channel),
        all_outcomes=tuple(Outcome),
        all_reasons=tuple(Reason),
        rows=rows,
        chosen=choice.decision,
        trace=None if chosen is None else await load_trace(context, principal, chosen, at),
        older=None if listed.next is None else choice.url_with(before=encode_cursor(listed.next), decision=None),
        tiles=charts.outcome_tiles(counts, 30),
        stream=None if choice.before else link(PATH + "/stream", **asdict(choice.to_filter()), after=newest),
    )  # fmt: skip


async def build_rows(
    context: ConsoleContext, principal: Principal, choices: Sequence[MessageChoice], at: WallClock
) -> list[ChoiceRow]:
    """Builds table rows, with names for those who may see them."""
    preferences: Mapping[str, Preference] = {}
    if may_see_names(principal):
        preferences = await context.get_preferences([item.lead.decision.customer for item in choices])
    return [_build_row(context, item, preferences, at) for item in choices]


def _build_row(
    context: ConsoleContext, choice: MessageChoice, preferences: Mapping[str, Preference], at: WallClock
) -> ChoiceRow:
    decision = choice.lead.decision
    return ChoiceRow(
        key=choice.decisions[0].decision_id,
        last=choice.decisions[-1].decision_id,
        id=choice.lead.decision_id,
        time=at.tag(decision.time, "time"),
        customer=decision.customer,
        name=customer_name(preferences.get(decision.customer)),
        campaign=context.campaign_name(decision.campaign),
        event=decision.event.type,
        outcome=decision.outcome,
        reason=decision_words.short_reason(decision, at),
        code=decision.reason,
        channels=channel_lines(choice.decisions),
    )


def channel_lines(decisions: Sequence[StoredDecision]) -> list[ChannelLine]:
    """The channels of a choice, those with the best outcome first."""
    ranked = sorted(decisions, key=decision_rank)
    return [
        ChannelLine(item.decision_id, item.decision.channel, item.decision.outcome, summarise_reason(item.decision))
        for item in ranked
    ]


async def load_trace(context: ConsoleContext, principal: Principal, id: int, at: WallClock) -> dict[str, Any]:
    """Loads one decision for the template: answer, plan, rules, versions, and the other channels of its choice.

    Raises NotFound.
    """
    async with context.database.read() as tx:
        stored = await get_decision(tx, id)
        if stored is None:
            raise NotFound(f"there is no decision {id}; decisions are deleted after their retention time")
        (whole,) = (await load_choices(tx, [stored])).values()
    decision = stored.decision
    preference = (await context.get_preferences([decision.customer])).get(decision.customer)
    return {
        "id": id,
        "decision": decision,
        "name": customer_name(preference) if may_see_names(principal) else None,
        "campaign": context.campaign_name(decision.campaign),
        "at": at,
        "channels": channel_lines(whole.decisions),
        "headline": decision_words.headline(decision, at),
        "sentence": decision_words.explanation_sentence(decision, at),
        "remedy": at.format_instants(suggest_remedy(decision)),
        "others": decision_words.other_blocks(decision, at),
        "plan": charts.plan_steps(decision, at),
        "lines": decision_words.trace_lines(decision, at),
        "tally": decision_words.verdict_tally(decision),
    }
