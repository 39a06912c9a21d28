"""Holds: those in force, to come and past; and the page of one: what it keeps back, what lifting it would send."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.facts import HoldFact, Preference
from schemas.service_api import DEFAULT_RELEASE_RATE, MAX_RELEASE_RATE, HoldPlan, HoldRecord
from schemas.times import DAY
from schemas.vocabulary import Outcome
from services.kit.errors import Invalid, NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.sessions import read_form
from services.orchestrator.console import decision_words, store
from services.orchestrator.console.console_context import NAMES, ConsoleContext, customer_name, may_see_names
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.holds import store as hold_store

PATH = "/console/holds"
MAX_WAITING = 50
"""At most so many of the waiting messages are listed."""
MAX_PLANNED_AT_ONCE = 1000
"""With more waiting messages, the plan is made only when somebody asks for it."""
MAX_REASON_LENGTH = 500
_MAX_EARLIER = 10
_STATES = {"active": "In force", "scheduled": "To come", "ended": "Ended", "lifted": "Lifted"}


class HoldRow(NamedTuple):
    """A hold of the list. `waiting` is None where nothing can wait: it drops, or is over."""

    key: str
    state: str
    words: str
    waiting: int | None
    path: str


class PlanRow(NamedTuple):
    """What would become of the waiting messages of one campaign on one channel."""

    campaign: str
    channel: str
    outcome: str
    reason: str
    messages: int


def hold_link(key: str) -> str:
    """The path of a hold's page."""
    return f"{PATH}/{quote(key, safe='')}"


def holds_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of holds."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def list_holds(request: Request, principal: Principal = requires("holds:read")) -> Response:
        at = await context.get_wall_clock()
        records = await context.suppression.get_hold_records()
        async with context.database.read() as tx:
            waiting = {record.fact.key: await _count_waiting(tx, record) for record in records if _stands(record)}
        rows = [_hold_row(record, waiting.get(record.fact.key), at) for record in records]
        return await renderer.render_page(
            request, principal, "holds.html", at,
            page="holds",
            standing=[row for row in rows if row.state in (_STATES["active"], _STATES["scheduled"])],
            past=[row for row in rows if row.state in (_STATES["ended"], _STATES["lifted"])],
        )  # fmt: skip

    @routes.get(PATH + "/{key}")
    async def show_hold(
        request: Request,
        key: Annotated[str, Path(max_length=256)],
        rate: Annotated[int, Query(ge=1, le=MAX_RELEASE_RATE)] = DEFAULT_RELEASE_RATE,
        plan: Annotated[bool, Query()] = False,
        principal: Principal = requires("holds:read", shows_more=NAMES, list_unless=""),
    ) -> Response:
        at = await context.get_wall_clock()
        values = await _load_hold_page(context, principal, key, at, rate, plan_wanted=plan)
        return await renderer.render_page(request, principal, "hold.html", at, page="holds", **values)

    @routes.post(PATH + "/{key}/lift")
    async def submit_lift(
        request: Request, key: Annotated[str, Path(max_length=256)], principal: Principal = requires("holds:write")
    ) -> Response:
        fields = await read_form(request)
        reason = fields.get("reason", "").strip()
        if len(reason) > MAX_REASON_LENGTH or not reason.isprintable():
            raise Invalid(f"the reason has at most {MAX_REASON_LENGTH} printable characters")
        rate = fields.get("rate", "")
        if not (rate.isascii() and rate.isdigit() and 1 <= int(rate) <= MAX_RELEASE_RATE):
            raise Invalid(f"the rate is a number of messages a second from 1 to {MAX_RELEASE_RATE}")
        if await context.suppression.lift_hold(key, principal.name, reason or None, int(rate)) is None:
            raise NotFound(f"no hold was ever placed under the key {key}")
        return RedirectResponse(hold_link(key), 303)

    return routes


async def _load_hold_page(
    context: ConsoleContext, principal: Principal, key: str, at: WallClock, rate: int, *, plan_wanted: bool
) -> dict[str, Any]:
    """The values of one hold's page: what it keeps back, and what lifting it at `rate` messages a second would send.

    A plan for many messages is made only when it is wanted. Raises NotFound.
    """
    record, *earlier = await _load_records(context, key)
    async with context.database.read() as tx:
        waiting = await hold_store.count_waiting(tx, key)
        messages = await hold_store.load_waiting(tx, key, MAX_WAITING)
        dropped = await store.count_reason_since(tx, "hold_drop", at.now - DAY)
    preferences: Mapping[str, Preference] = {}
    if may_see_names(principal):
        preferences = await context.get_preferences([item.customer for item in messages])
    is_planned = _stands(record) and waiting > 0 and (plan_wanted or waiting <= MAX_PLANNED_AT_ONCE)
    lift_plan = await context.hold_planner.plan_release(key, rate) if is_planned else None
    return {
        "hold": record,
        "path": hold_link(key),
        "state": _STATES[record.state],
        "stands": _stands(record),
        "words": decision_words.describe_hold(record.fact, at, record.lifted_at),
        "waiting": waiting,
        "messages": [(item, customer_name(preferences.get(item.customer))) for item in messages],
        "any_planned": any(item.first_planned is not None for item in messages),
        "campaign_name": context.campaign_name,
        "dropped": dropped if record.fact.mode == "drop" else 0,
        "rate": rate,
        "rates": sorted({1, 10, DEFAULT_RELEASE_RATE, 200, MAX_RELEASE_RATE, rate}),
        "plan": lift_plan,
        "totals": _plan_totals(lift_plan) if lift_plan else [],
        "plan_rows": _plan_rows(context, lift_plan) if lift_plan else [],
        "duration": _duration_words(lift_plan.seconds) if lift_plan else "",
        "earlier": [(each, _STATES[each.state]) for each in earlier[:_MAX_EARLIER]],
    }


async def _load_records(context: ConsoleContext, key: str) -> Sequence[HoldRecord]:
    records = await context.suppression.get_hold_records(key)
    if not records:
        raise NotFound(f"no hold was ever placed under the key {key}; the page Holds lists them")
    return records


async def _count_waiting(tx: Any, record: HoldRecord) -> int | None:
    return None if record.fact.mode == "drop" else await hold_store.count_waiting(tx, record.fact.key)


def _stands(record: HoldRecord) -> bool:
    return record.state in ("active", "scheduled")


def _hold_row(record: HoldRecord, waiting: int | None, at: WallClock) -> HoldRow:
    fact: HoldFact = record.fact
    return HoldRow(
        fact.key,
        _STATES[record.state],
        decision_words.describe_hold(fact, at, record.lifted_at),
        waiting,
        hold_link(fact.key),
    )


def _plan_totals(plan: HoldPlan) -> list[tuple[str, int]]:
    """How many of the evaluated messages would get each outcome at their turn."""
    counts = Counter[str]()
    for item in plan.after_caps:
        counts[item.outcome] += item.messages
    return [(outcome, counts[outcome]) for outcome in Outcome]


def _plan_rows(context: ConsoleContext, plan: HoldPlan) -> list[PlanRow]:
    return [
        PlanRow(
            context.campaign_name(item.campaign),
            item.channel,
            item.outcome,
            decision_words.REASONS[item.reason],
            item.messages,
        )
        for item in plan.after_caps
    ]


def _duration_words(seconds: int) -> str:
    if seconds < 60:
        return "at once" if seconds < 2 else f"within {seconds} seconds"
    minutes = -(-seconds // 60)
    return f"within {minutes} minutes" if minutes < 120 else f"within {-(-minutes // 60)} hours"
