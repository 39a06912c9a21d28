"""Home: are the promises kept, what was decided, and what needs somebody."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schemas.times import DAY, HOUR, Instant
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.protocol import Partition
from services.kit.errors import TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.console import charts, decision_words, store
from services.orchestrator.console.console_context import Parts
from services.orchestrator.console.page_frame import HOME, Frame, link, page_class
from services.orchestrator.console.time_format import Calendar

SPANS: Mapping[str, tuple[int, int, str]] = {
    "1h": (HOUR, 30, "Last hour"),
    "24h": (DAY, 48, "Last 24 hours"),
    "7d": (7 * DAY, 56, "Last 7 days"),
}
"""Length, number of bars, and name of each period."""
INVARIANTS = ("over_cap", "in_quiet_hours", "suppressed_sent", "held_sent", "duplicate_sent", "unapproved_sent")
_SLOW_ATTEMPT = 60_000_000
_MOST_REASONS = 8


class Promise(NamedTuple):
    """A figure of the strip: whether all is well, what it counts, the number, and a remark."""

    good: bool
    name: str
    number: str
    remark: str


class Task(NamedTuple):
    """Something that needs somebody."""

    colour: str
    icon: str
    title: str
    remark: str
    path: str


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The route of home."""
    routes = APIRouter(include_in_schema=False, route_class=page_class(frame))

    @routes.get(HOME)
    async def home(
        request: Request,
        span: Annotated[str, Query(max_length=8)] = "24h",
        principal: Principal = requires("decisions:read"),
    ) -> Response:
        at = await parts.calendar()
        chosen = span if span in SPANS else "24h"
        length, slots, title = SPANS[chosen]
        since, until = at.now - length, at.now + 1
        async with parts.database.read() as tx:
            counts = await store.counts(tx, since, until, slots)
            waits = await _waits(parts, tx, since)
        shares, others, other_count = charts.reasons(counts, _MOST_REASONS)
        return await frame.show(
            request, principal, "home.html", at,
            page="home",
            span=chosen,
            spans=[(key, link(HOME, span=key)) for key in SPANS],
            title=title,
            promises=await _promises(parts, waits, at),
            totals=charts.totals(counts),
            chart=charts.stacked(counts, slots, since, until, at),
            by_channel=charts.by_channel(counts),
            shares=shares,
            others=(others, other_count),
            tasks=_tasks(waits, at, chosen),
            hold_words=decision_words.hold_words,
        )  # fmt: skip

    return routes


async def _waits(parts: Parts, tx: Any, since: Instant) -> dict[str, Any]:
    """What waits for somebody or for its time."""
    return {
        "dead": await store.dead_letters(tx),
        "timers": await store.waiting(tx),
        "attempts": await store.open_attempts(tx),
        "failing": [
            (parts.campaign_name(row.campaign), row.campaign, row.reason, int(row.n), row.last)
            for row in await store.failing(tx, since, 5)
        ],
        "submitted": [
            (parts.campaign_name(row.key) if row.noun == "campaign" else "Policy", row.version, row.submitted_by)
            for row in await store.submitted(tx, 10)
        ],
        "positions": await read_applied_offsets(tx),
    }


async def _promises(parts: Parts, waits: Mapping[str, Any], at: Calendar) -> list[Promise]:
    broken = sum(
        parts.registry.get_sample_value("tactful_invariant_violations_total", {"invariant": name}) or 0
        for name in INVARIANTS
    )
    behind = await _behind(parts, waits)
    timers, due = waits["timers"]
    attempts, oldest = waits["attempts"]
    dead, dead_since = waits["dead"]
    slow = oldest is not None and at.now - oldest > _SLOW_ATTEMPT
    return [
        Promise(not broken, "Promises broken", f"{broken:,.0f}", f"of {len(INVARIANTS)} watched, since the start"),
        Promise(
            behind is not None and behind < 1000,
            "Behind the events",
            "unknown" if behind is None else f"{behind:,}",
            "the log cannot be asked" if behind is None else "read, not yet decided",
        ),
        Promise(True, "Waiting for their time", _up_to(timers), f"next {at.brief(due)}" if due else "nothing waits"),
        Promise(
            not slow,
            "Handovers under way",
            _up_to(attempts),
            f"oldest since {at.brief(oldest)}" if oldest else "none is open",
        ),
        Promise(
            not dead, "Dead letters", _up_to(dead), f"oldest since {at.brief(dead_since)}" if dead_since else "none"
        ),
    ]


async def _behind(parts: Parts, waits: Mapping[str, Any]) -> int | None:
    """Events in the log that are not decided so far; None when the log cannot be asked."""
    try:
        ends = await parts.bus.end_offsets(parts.topic)
    except TactfulError:
        return None
    positions: Mapping[Partition, int] = waits["positions"]
    return sum(max(end - positions.get(partition, 0), 0) for partition, end in ends.items())


def _tasks(waits: Mapping[str, Any], at: Calendar, span: str) -> list[Task]:
    found = [
        Task("mine", "checks", f"{name}, version {version}, waits for approval", f"submitted by {by}", "")
        for name, version, by in waits["submitted"]
    ]
    found += [
        Task(
            "red",
            "mail-exclamation",
            f"{name}: {count:,} failed",
            f"{decision_words.REASONS[reason]}, last {at.brief(last)}",
            link("/console/decisions", campaign=key, outcome="fail", reason=reason, span=span),
        )
        for name, key, reason, count, last in waits["failing"]
    ]
    dead, since = waits["dead"]
    if dead:
        found.append(
            Task("amber", "archive", f"{_up_to(dead)} dead letters", f"the oldest since {at.brief(since)}", "")
        )
    return found


def _up_to(count: int) -> str:
    return f"{count:,}" if count < store.MOST else f"{store.MOST:,} or more"
