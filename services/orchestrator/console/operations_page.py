"""Operations: the same few figures as the dashboards, for those without Grafana, over all processes.

Everything is read from the database, the log and the other services at the moment of the request; what does not answer
is said to be unknown. Numbers over time are Prometheus' business.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.times import MINUTE, Instant
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.protocol import Partition
from services.kit.errors import TactfulError
from services.kit.http.auth import Principal, requires
from services.orchestrator.console.adapters_page import STATE_WORDS
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.decisions.metrics import BacklogSizes
from services.orchestrator.decisions.read_store import measure_backlog
from services.orchestrator.delivery.adapter_overview import load_overviews
from services.orchestrator.delivery.receipts.undecided_store import measure_undecided
from services.orchestrator.insight.audit.audit_series import INVARIANTS
from services.orchestrator.insight.audit.store import load_audit_summary

PATH: Final = "/console/operations"
LOG_SECONDS: Final = 2.0
"""Seconds that the page waits for the log."""
FAR_BEHIND: Final = 1_000
"""Events of a partition that are not decided yet from which the row is marked."""
LATE: Final = 5 * MINUTE
"""Microseconds that a message may wait to be handed over, or be overdue, before the row is marked."""


class LogRow(NamedTuple):
    """One partition of the log. `decided`: the offset up to which events are decided; `behind`: how many are not."""

    partition: int
    end: int
    decided: int
    behind: int

    @property
    def is_watched(self) -> bool:
        """Whether somebody should look."""
        return self.behind >= FAR_BEHIND


class WaitingRow(NamedTuple):
    """What waits on one channel. `oldest`: since when the oldest is ready; `overdue`: when the oldest was due."""

    channel: str
    ready: int
    oldest: Instant | None
    deferred: int
    overdue: Instant | None
    due_soon: int
    is_watched: bool


def operations_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the route of the page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def show_operations(request: Request, principal: Principal = requires("adapters:read")) -> Response:
        at = await context.get_wall_clock()
        async with context.database.read() as tx:
            database_now = await tx.now()
            sizes = await measure_backlog(tx, at.now)
            overviews = await load_overviews(tx, context.adapters, context.settings, database_now)
            decided = await read_applied_offsets(tx)
            audit = await load_audit_summary(tx)
            replies = await measure_undecided(tx)
        ends, letters = await asyncio.gather(_read_ends(context), context.letters.count_open())
        return await renderer.render_page(
            request, principal, "operations.html", at,
            page="operations",
            log_rows=None if ends is None else _log_rows(ends, decided),
            waiting=_waiting_rows(sizes, at.now),
            approvals=sum(sizes.approvals.values()),
            adapters=overviews,
            state_words=STATE_WORDS,
            letters=letters,
            replies=replies.waiting,
            audit=audit,
            invariants=len(INVARIANTS),
        )  # fmt: skip

    return routes


async def _read_ends(context: ConsoleContext) -> Mapping[Partition, int] | None:
    """Where each partition of the log ends; None if the log does not answer."""
    try:
        async with asyncio.timeout(LOG_SECONDS):
            return await context.bus.end_offsets(context.topic)
    except (TactfulError, TimeoutError):
        return None


def _log_rows(ends: Mapping[Partition, int], decided: Mapping[Partition, int]) -> list[LogRow]:
    rows = []
    for partition, end in sorted(ends.items(), key=lambda item: item[0].partition):
        up_to = min(decided.get(partition, 0), end)
        rows.append(LogRow(partition.partition, end, up_to, end - up_to))
    return rows


def _waiting_rows(sizes: BacklogSizes, now: Instant) -> Sequence[WaitingRow]:
    """A row for each channel on which something waits."""
    deferred: dict[str, int] = {}
    for (channel, _), count in sizes.deferred.items():
        deferred[channel] = deferred.get(channel, 0) + count
    rows = []
    for channel in sorted({*sizes.queued, *deferred}):
        oldest, overdue = sizes.oldest.get(channel), sizes.overdue.get(channel)
        is_watched = any(each is not None and now - each > LATE for each in (oldest, overdue))
        counts = sizes.queued.get(channel, 0), oldest, deferred.get(channel, 0), overdue
        rows.append(WaitingRow(channel, *counts, sizes.due_soon.get(channel, 0), is_watched))
    return rows
