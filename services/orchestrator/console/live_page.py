"""Decisions as they are made, with the trace of one beside them. A plain table without script."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, Response, StreamingResponse

from schemas.facts import Preference
from schemas.roles import may
from schemas.times import DAY, HOUR, MINUTE
from schemas.vocabulary import Channel, Outcome, Reason
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import decode_cursor, encode_cursor
from services.orchestrator.console import charts, decision_words, store
from services.orchestrator.console.console_context import Parts, name_of, names_allowed, zone_of
from services.orchestrator.console.event_stream import Stream
from services.orchestrator.console.page_frame import Frame, link, page_class
from services.orchestrator.console.store import Place, Wanted
from services.orchestrator.console.time_format import Calendar
from services.orchestrator.decisions.read_store import StoredDecision, get_decision
from services.orchestrator.explain.wording import explain_verdict
from services.orchestrator.policy.explain import blocking_verdicts

ROWS = 50
TILE_SPAN = 30 * MINUTE
PATH = "/console/decisions"
SPANS: Mapping[str, int] = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "90d": 90 * DAY}
Text = Annotated[str, Query(max_length=256)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

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


class Choice(BaseModel):
    """What the address asks for: filters, span of time, the chosen decision; `after` is for the stream alone."""

    model_config = ConfigDict(frozen=True)

    customer: Text = ""
    campaign: Text = ""
    channel: Text = ""
    outcome: Text = ""
    reason: Text = ""
    span: Text = "24h"
    decision: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
    before: Annotated[str, Query(max_length=1000)] = ""
    after: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None

    def wanted(self) -> Wanted:
        """As a question to the database. A value outside the closed lists matches nothing, which is what is shown."""
        names = ("customer", "campaign", "channel", "outcome", "reason")
        return Wanted(**{name: getattr(self, name) or None for name in names})

    def with_(self, **changes: object) -> str:
        """The address with these changes, from the newest decision on."""
        values = {**self.model_dump(), "before": "", "after": None, **changes}
        return link(PATH, **{**values, "span": "" if values["span"] == "24h" else values["span"]})


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The routes of decisions."""
    routes = APIRouter(include_in_schema=False, route_class=page_class(frame))
    stream = Stream(parts)

    @routes.get(PATH)
    async def decisions(
        request: Request,
        choice: Annotated[Choice, Query()],
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        at = await parts.calendar()
        partly = "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
        if partly and choice.decision is not None:
            trace = await trace_of(parts, principal, choice.decision, at)
            html = frame.part("trace.html", trace=trace, at=at, may=lambda action: may(principal.role, action))
            return HTMLResponse(html, headers={"Vary": "HX-Request"})
        return await _page(parts, frame, request, principal, choice, at)

    @routes.get(PATH + "/stream")
    async def live(
        request: Request,
        choice: Annotated[Choice, Query()],
        principal: Principal = requires("decisions:read"),
    ) -> StreamingResponse:
        async def render(found: Sequence[StoredDecision]) -> list[tuple[int, str]]:
            rows = await rows_of(parts, principal, found, await parts.calendar())
            return [(row.id, frame.part("row.html", row=row, href=choice.with_(decision=row.id))) for row in rows]

        return stream.response(request, choice.wanted(), choice.after, render)

    @routes.get(PATH + "/{id}")
    async def one(
        request: Request,
        id: Annotated[int, Path(ge=1, le=2**63 - 1)],
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        at = await parts.calendar()
        trace = await trace_of(parts, principal, id, at)
        return await frame.show(request, principal, "decision.html", at, page="decisions", trace=trace)

    return routes


async def _page(
    parts: Parts, frame: Frame, request: Request, principal: Principal, choice: Choice, at: Calendar
) -> Response:
    since = at.now - SPANS.get(choice.span, DAY)
    before = decode_cursor(choice.before, Place) if choice.before else None
    async with parts.database.read() as tx:
        found = await store.newest(tx, choice.wanted(), since, before, ROWS + 1)
        counts = await store.counts(tx, at.now - TILE_SPAN, at.now + 1, 30)
        newest = await store.last_id(tx)
        campaigns = await store.campaign_names(tx, 500)
    shown = found[:ROWS]
    last = shown[-1] if len(found) > ROWS else None
    chosen = choice.decision or (shown[0].decision_id if shown else None)
    return await frame.show(
        request, principal, "decisions.html", at,
        page="decisions",
        choice=choice,
        spans=tuple(SPANS),
        campaigns=[row.key for row in campaigns],
        all_channels=tuple(Channel),
        all_outcomes=tuple(Outcome),
        all_reasons=tuple(Reason),
        rows=await rows_of(parts, principal, shown, at),
        chosen=chosen,
        trace=None if chosen is None else await trace_of(parts, principal, chosen, at),
        older=None if last is None else choice.with_(before=encode_cursor(_place(last)), decision=None),
        tiles=charts.tiles(counts, 30),
        stream=None if choice.before else link(PATH + "/stream", **asdict(choice.wanted()), after=newest),
    )  # fmt: skip


async def rows_of(parts: Parts, principal: Principal, found: Sequence[StoredDecision], at: Calendar) -> list[Row]:
    """Lines of the table, with names for those who may see them."""
    known: Mapping[str, Preference] = {}
    if names_allowed(principal):
        known = await parts.preferences([item.decision.customer for item in found])
    return [
        Row(
            id=item.decision_id,
            time=at.time(item.decision.time),
            customer=item.decision.customer,
            name=name_of(known.get(item.decision.customer)),
            campaign=parts.campaign_name(item.decision.campaign),
            event=item.decision.event.type,
            outcome=item.decision.outcome,
            reason=decision_words.reason(item.decision, at),
            code=item.decision.reason,
            channel=item.decision.channel,
        )
        for item in found
    ]


async def trace_of(parts: Parts, principal: Principal, id: int, organisation: Calendar) -> dict[str, Any]:
    """One decision for the template: answer, plan, rules, versions. Raises NotFound."""
    async with parts.database.read() as tx:
        kept = await get_decision(tx, id)
    if kept is None:
        raise NotFound(f"there is no decision {id}")
    found = kept.decision
    known = (await parts.preferences([found.customer])).get(found.customer)
    at = Calendar(zone_of(known, organisation.zone), organisation.now)
    return {
        "id": id,
        "decision": found,
        "name": name_of(known) if names_allowed(principal) else None,
        "campaign": parts.campaign_name(found.campaign),
        "at": at,
        "headline": decision_words.headline(found, at),
        "sentence": decision_words.because(found, at),
        "change": [at.words(explain_verdict(verdict)) for verdict in blocking_verdicts(found)][1:],
        "plan": charts.plan(found, at),
        "lines": decision_words.lines(found, at),
        "tally": decision_words.tally(found),
    }


def _place(kept: StoredDecision) -> Place:
    return Place(kept.decision.time, kept.decision.message_id, kept.decision_id)
