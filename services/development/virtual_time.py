"""Virtual time for `tactful dev --clock`: the clock moves only on request.

On its way the clock stops at each instant at which a message is due. The message is then evaluated and handed over by
the running services, before the clock moves on.
"""

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.times import Instant, format_instant, parse_duration, parse_instant
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.errors import Invalid, Problem
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import plain_body
from services.kit.runtime.clock import ManualClock
from services.orchestrator.decisions.scheduler import Scheduler

POLL_SECONDS = 0.003
_CLOCK_BODY = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "set": {"type": "string", "format": "date-time"},
        "advance": {"type": "string", "examples": ["1h"]},
        "settle": {"const": True},
    },
}


class Now(TypedDict):
    """The time of the clock."""

    now: TimeText


class VirtualTime:
    """Moves the clock. `databases` are those of all services that read the log."""

    def __init__(
        self,
        clock: ManualClock,
        scheduler: Scheduler,
        orchestrator: Database,
        databases: Sequence[Database],
        bus: Bus,
        topic: str,
    ) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._orchestrator_database = orchestrator
        self._databases = databases
        self._bus = bus
        self._topic = topic
        self._lock = asyncio.Lock()

    async def advance_to(self, target: Instant) -> None:
        """Process everything that is due before `target`, each at its own instant, then set the clock to `target`."""
        async with self._lock:
            await self._wait_until_idle()
            while (due := await self._next_due()) is not None and due < target:
                if due > self._clock.now():
                    self._clock.set(due)
                await self._run_due()
            self._clock.set(target)
            await self._wait_until_idle()

    async def run_until_idle(self) -> None:
        """Process what is due at the present instant."""
        async with self._lock:
            await self._wait_until_idle()
            while (due := await self._next_due()) is not None and due <= self._clock.now():
                await self._run_due()

    async def _next_due(self) -> Instant | None:
        await self._scheduler.release_ended_holds()
        return await self._scheduler.next_due()

    async def _run_due(self) -> None:
        while await self._scheduler.tick(self._clock.now()):
            await self._wait_until_idle()

    async def _wait_until_idle(self) -> None:
        """Wait until every service has applied all events and no message is on its way to an adapter."""
        while not await self._is_idle():  # noqa: ASYNC110 - the state is in databases
            await asyncio.sleep(POLL_SECONDS)

    async def _is_idle(self) -> bool:
        end_offsets = await self._bus.end_offsets(self._topic)
        for database in self._databases:
            async with database.read() as tx:
                applied = await read_applied_offsets(tx)
            if any(applied.get(partition, 0) < end for partition, end in end_offsets.items()):
                return False
        async with self._orchestrator_database.read() as tx:
            row = await tx.row(
                "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM handover WHERE closed_at IS NULL) AS busy"
            )
        return row is None or row.busy == 0


def clock_routes(virtual_time: VirtualTime, clock: ManualClock) -> APIRouter:
    """`POST /v1/dev/clock`: `{"set": TIME}`, `{"advance": "1h"}` or `{"settle": true}`."""
    routes = APIRouter(prefix="/v1/dev", tags=["development"])

    @routes.get("/clock", summary="Show the clock", **answers({200: Now}))
    async def get_clock(_: Principal = requires("clock:read")) -> dict[str, str]:
        return {"now": format_instant(clock.now())}

    @routes.post(
        "/clock",
        summary="Move the clock; responds once everything due before then has been processed",
        **answers({200: Now}),
    )
    async def move_clock(
        _: Principal = requires("clock:write"), body: object = plain_body(_CLOCK_BODY)
    ) -> dict[str, str]:
        if body == {"settle": True}:
            await virtual_time.run_until_idle()
        else:
            await virtual_time.advance_to(_parse_target(body, clock.now()))
        return {"now": format_instant(clock.now())}

    return routes


def _parse_target(body: object, now: Instant) -> Instant:
    try:
        match body:
            case {"set": str(text), **rest} if not rest:
                target = parse_instant(text)
            case {"advance": str(text), **rest} if not rest:
                target = now + parse_duration(text)
            case _:
                raise ValueError('give one of {"set": TIME}, {"advance": "1h"}, {"settle": true}')
    except ValueError as error:
        raise Invalid(str(error), errors=[Problem("", "invalid", str(error))]) from None
    if target < now:
        detail = f"the clock cannot go back: it is already {format_instant(now)}"
        raise Invalid(detail, errors=[Problem("/set", "in_the_past", detail)])
    return target
