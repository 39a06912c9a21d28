"""Virtual time for `tactful dev --clock`: the clock stands still and moves only when told.

Before it moves past an instant at which something is due, the clock stops there, and what is due is judged and
handed over, in the product as it is.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body

from schemas.times import Instant, format_instant, parse_duration, parse_instant
from services.kit.bus.fence import read_applied_offsets
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.errors import Invalid, Problem
from services.kit.http.auth import Principal, requires
from services.kit.runtime.clock import ManualClock
from services.orchestrator.decisions.scheduler import Scheduler
from services.orchestrator.delivery.store import IN_FLIGHT_SQL

POLL_SECONDS = 0.003


class VirtualTime:
    """Moves the clock. `databases`: those of the services that read the log."""

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
        """Do everything due before `target`, each at its own instant, then let it be `target`."""
        async with self._lock:
            await self._wait_until_idle()
            while (due := await self._next_due()) is not None and due < target:
                if due > self._clock.now():
                    self._clock.set(due)
                await self._run_due()
            self._clock.set(target)
            await self._wait_until_idle()

    async def run_until_idle(self) -> None:
        """Do what is due at this very instant."""
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
        """Wait until all events are applied everywhere and nothing is on its way to an adapter."""
        while not await self._is_idle():  # noqa: ASYNC110 - what is waited for happens in databases
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
                f"SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM message WHERE {IN_FLIGHT_SQL}) AS busy"
            )
        return row is None or row.busy == 0


def clock_routes(virtual_time: VirtualTime, clock: ManualClock) -> APIRouter:
    """`POST /v1/dev/clock`: `{"set": TIME}`, `{"advance": "1h"}` or `{"settle": true}`."""
    routes = APIRouter(prefix="/v1/dev", tags=["development"])

    @routes.get("/clock", summary="What time it is")
    async def show(_: Principal = requires("clock:read")) -> dict[str, str]:
        return {"now": format_instant(clock.now())}

    @routes.post("/clock", summary="Move the clock; answers when everything due before then is done")
    async def move(body: Annotated[dict[str, Any], Body()], _: Principal = requires("clock:write")) -> dict[str, str]:
        if body == {"settle": True}:
            await virtual_time.run_until_idle()
        else:
            await virtual_time.advance_to(_parse_target(body, clock.now()))
        return {"now": format_instant(clock.now())}

    return routes


def _parse_target(body: dict[str, Any], now: Instant) -> Instant:
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
        detail = f"the clock never goes back: it is {format_instant(now)} already"
        raise Invalid(detail, errors=[Problem("/set", "in_the_past", detail)])
    return target
