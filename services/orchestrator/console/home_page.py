"""Home page: health figures, what was decided, and what needs attention."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from schemas.roles import Role, is_allowed
from schemas.times import DAY, HOUR, Instant
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.protocol import Partition
from services.kit.errors import TactfulError
from services.kit.http.auth import LIST_CUSTOMERS, Principal, requires
from services.orchestrator.console import charts, decision_words, store
from services.orchestrator.console.agent_lookup_page import PATH as AGENT_PATH
from services.orchestrator.console.agent_lookup_page import SERVE
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.holds_page import hold_link
from services.orchestrator.console.page_frame import HOME_PATH, PageRenderer, link, page_route_class
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.dead_letters.directory import ServiceLetters
from services.orchestrator.insight.audit.audit_series import INVARIANTS
from services.orchestrator.insight.audit.store import AuditSummary, load_audit_summary

PERIODS: Mapping[str, tuple[int, int, str]] = {
    "1h": (HOUR, 30, "Last hour"),
    "24h": (DAY, 48, "Last 24 hours"),
    "7d": (7 * DAY, 56, "Last 7 days"),
}
"""Length, number of bars, and name of each period."""
_SLOW_ATTEMPT_AGE = 60_000_000
_MAX_REASONS = 8


class HealthFigure(NamedTuple):
    """A figure of the health strip: whether it is healthy, what it counts, the number, and a remark."""

    is_healthy: bool
    name: str
    number: str
    remark: str


class HomeTask(NamedTuple):
    """An entry of the list "Needs attention"; `colour` is its urgency."""

    colour: str
    icon: str
    title: str
    remark: str
    path: str


class OpenLetters:
    """The open dead letters of all services; `silent`: the services that do not answer, whose letters are unknown."""

    def __init__(self, services: Sequence[ServiceLetters]) -> None:
        self.count = sum(each.open or 0 for each in services)
        self.silent = [each.service for each in services if each.problem is not None]
        self._oldest = min((each.oldest for each in services if each.oldest is not None), default=None)

    @property
    def number(self) -> str:
        """How many there are."""
        if not self.silent:
            return f"{self.count:,}"
        return f"{self.count:,} or more" if self.count else "unknown"

    def describe(self, at: WallClock) -> str:
        """Since when the oldest is open, and whose are unknown."""
        parts = [f"oldest since {at.brief(self._oldest)}"] if self._oldest is not None else []
        if self.silent:
            parts.append(f"{' and '.join(self.silent)} {'does' if len(self.silent) == 1 else 'do'} not answer")
        return "; ".join(parts) or "none is open"


def home_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the route of the home page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(HOME_PATH)
    async def home(
        request: Request,
        span: Annotated[str, Query(max_length=8)] = "24h",
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        if is_allowed(principal.role, SERVE) and not is_allowed(principal.role, LIST_CUSTOMERS):
            return RedirectResponse(AGENT_PATH, 303)
        at = await context.get_wall_clock()
        chosen = span if span in PERIODS else "24h"
        length, slots, title = PERIODS[chosen]
        since, until = at.now - length, at.now + 1
        async with context.database.read() as tx:
            counts = await store.count_decisions(tx, since, until, slots)
            open_work = await _load_open_work(context, tx, since)
        open_work["dead"] = OpenLetters(await context.letters.count_open())  # no transaction stays open for that
        shares, others, other_count = charts.reason_shares(counts, _MAX_REASONS)
        return await renderer.render_page(
            request, principal, "home.html", at,
            page="home",
            span=chosen,
            spans=[(key, link(HOME_PATH, span=key)) for key in PERIODS],
            title=title,
            health_figures=await _health_figures(context, open_work, at),
            totals=charts.outcome_totals(counts),
            chart=charts.stacked_chart(counts, slots, since, until, at),
            by_channel=charts.channel_totals(counts),
            shares=shares,
            others=(others, other_count),
            tasks=_build_tasks(open_work, at, chosen, principal.role),
            hold_words=decision_words.describe_hold,
            hold_link=hold_link,
        )  # fmt: skip

    return routes


async def _load_open_work(context: ConsoleContext, tx: Any, since: Instant) -> dict[str, Any]:
    """Loads what waits for a person or for its time."""
    return {
        "timers": await store.count_waiting_messages(tx),
        "attempts": await store.count_open_attempts(tx),
        "failing": [
            (context.campaign_name(row.campaign), row.campaign, row.reason, int(row.n), row.last)
            for row in await store.list_failing_campaigns(tx, since, 5)
        ],
        "submitted": [
            (context.campaign_name(row.key) if row.noun == "campaign" else "Policy", row.version, row.submitted_by)
            for row in await store.list_submitted_versions(tx, 10)
        ],
        "positions": await read_applied_offsets(tx),
        "audit": await load_audit_summary(tx),
    }


async def _health_figures(context: ConsoleContext, open_work: Mapping[str, Any], at: WallClock) -> list[HealthFigure]:
    audit: AuditSummary = open_work["audit"]
    undecided = await _count_undecided_events(context, open_work)
    timers, due = open_work["timers"]
    attempts, oldest = open_work["attempts"]
    dead: OpenLetters = open_work["dead"]
    slow = oldest is not None and at.now - oldest > _SLOW_ATTEMPT_AGE
    return [
        HealthFigure(
            not audit.violations,
            "Invariant violations",
            f"{audit.violations:,}",
            f"{len(INVARIANTS)} invariants, audited up to {at.brief(audit.reached)}"
            if audit.reached is not None
            else "no handover is audited yet",
        ),
        HealthFigure(
            undecided is not None and undecided < 1000,
            "Events not decided",
            "unknown" if undecided is None else f"{undecided:,}",
            "the event log does not answer" if undecided is None else "in the log, not yet decided",
        ),
        HealthFigure(
            True,
            "Waiting messages",
            _format_bounded_count(timers),
            f"next {at.brief(due)}" if due else "none waits",
        ),
        HealthFigure(
            not slow,
            "Open handovers",
            _format_bounded_count(attempts),
            f"oldest since {at.brief(oldest)}" if oldest else "none is open",
        ),
        HealthFigure(
            not dead.count and not dead.silent,
            "Dead letters",
            dead.number,
            dead.describe(at),
        ),
    ]


async def _count_undecided_events(context: ConsoleContext, open_work: Mapping[str, Any]) -> int | None:
    """Returns the number of events not decided yet, or None if the log does not answer."""
    try:
        ends = await context.bus.end_offsets(context.topic)
    except TactfulError:
        return None
    applied_offsets: Mapping[Partition, int] = open_work["positions"]
    return sum(max(end - applied_offsets.get(partition, 0), 0) for partition, end in ends.items())


def _build_tasks(open_work: Mapping[str, Any], at: WallClock, span: str, role: Role) -> list[HomeTask]:
    tasks = [
        HomeTask("mine", "checks", f"{name}, version {version}, waits for approval", f"submitted by {by}", "")
        for name, version, by in open_work["submitted"]
    ]
    tasks += [
        HomeTask(
            "red",
            "mail-exclamation",
            f"{name}: {count:,} failed",
            f"{decision_words.REASONS[reason]}, last {at.brief(last)}",
            link("/console/decisions", campaign=key, outcome="fail", reason=reason, span=span),
        )
        for name, key, reason, count, last in open_work["failing"]
    ]
    dead: OpenLetters = open_work["dead"]
    if dead.count or dead.silent:
        noun = "dead letter" if dead.number == "1" else "dead letters"
        path = "/console/dead-letters" if is_allowed(role, "dead_letters:read") else ""
        tasks.append(HomeTask("amber", "archive", f"{dead.number} {noun}", dead.describe(at), path))
    return tasks


def _format_bounded_count(count: int) -> str:
    return f"{count:,}" if count < store.MAX_COUNT else f"{store.MAX_COUNT:,} or more"
