"""Delivers messages of the outbox. Each adapter of a channel has a loop of its own, so that a slow provider holds up
only itself.

Dispatchers divide the outbox by shards, each leased to one of them. They are notified when a process has added rows to
it (services/kit/db/notifications.py). Where a channel has several adapters, one loop more assigns its messages to them
(`outbox_router.py`). The steps of a delivery are in `delivery.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from services.kit.db.database import Database
from services.kit.db.notifications import FALLBACK_INTERVAL
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import sleep_unless_set, wait_for_any
from services.orchestrator.decisions.message_store import OUTBOX_GROWN
from services.orchestrator.delivery import store
from services.orchestrator.delivery.adapter_pace import take_places
from services.orchestrator.delivery.claims import OutboxClaimer
from services.orchestrator.delivery.delivery import Delivery
from services.orchestrator.delivery.outbox_router import OutboxRouter
from services.orchestrator.delivery.recovery import AttemptRecovery
from services.orchestrator.delivery.routing import OutboxLine
from services.orchestrator.delivery.store import CLAIM_BATCH_SIZE
from services.orchestrator.delivery.unknown_search import SEARCH_INTERVAL, UnknownSearch

RENEW_INTERVAL = 3.0
"""Seconds between two renewals of the leases, which last ten seconds."""
RECOVERY_INTERVAL = 2.0
LONGEST_WAIT = 1.0
"""Seconds after which an adapter that could not have messages is asked about again."""


class Dispatcher:
    """The dispatcher of one process. Its claimer's `owner` is unique among all processes, past and present."""

    def __init__(
        self,
        database: Database,
        claimer: OutboxClaimer,
        delivery: Delivery,
        recovery: AttemptRecovery,
        clock: Clock,
    ) -> None:
        self._database = database
        self._claimer = claimer
        self._delivery = delivery
        self._recovery = recovery
        self._clock = clock
        self._outbox_signal = database.notifications.listen(OUTBOX_GROWN)
        self._search = UnknownSearch(database, delivery.adapters, clock)
        self._router = OutboxRouter(database, claimer.owner, delivery)
        self._epochs: dict[int, int] = {}
        self.lines = [
            OutboxLine(channel, route.adapter, len(routes) > 1)
            for channel, routes in delivery.adapters.routes.items()
            for route in routes
        ]
        """What is served, each by a loop of its own."""

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, then finish what is in flight and give the shards back."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._refuse_new_after_stop(stop))
            tasks.create_task(self._repeat_step(stop, self._renew_shards, RENEW_INTERVAL))
            tasks.create_task(self._repeat_step(stop, self._recovery.close_overdue, RECOVERY_INTERVAL))
            if delivery_searches := self._delivery.adapters.searches:
                log("searches_providers", adapters=",".join(sorted(delivery_searches)))
                tasks.create_task(self._repeat_step(stop, self._search.search_due, SEARCH_INTERVAL))
            tasks.create_task(self._repeat_step(stop, self._wake_for_outbox_rows, FALLBACK_INTERVAL))
            for line in self.lines:
                tasks.create_task(self._serve_line(line, stop))
            for channel in {line.channel for line in self.lines if line.is_assigned}:
                tasks.create_task(self._assign_channel(channel, stop))
        try:
            async with self._database.write() as tx:
                await store.release_leases(tx, self._claimer.owner)
        except Transient as error:
            log("shards_not_released", level="warning", reason=error.code)

    async def _refuse_new_after_stop(self, stop: asyncio.Event) -> None:
        """Once stopped, give back what is claimed and has not begun, instead of handing it over."""
        await stop.wait()
        self._delivery.refuse_new()

    async def start(self) -> None:
        """Take shards before the first round. If the database is not available, `run_until_stopped` tries again."""
        await self._run_step(self._renew_shards)

    async def _renew_shards(self) -> None:
        now = await self._database.now()
        async with self._database.write() as tx:
            if not self._epochs:
                await store.create_leases(tx)
            epochs = await store.renew_leases(tx, self._claimer.owner, now)
        gained, self._epochs = epochs.keys() - self._epochs.keys(), epochs
        if gained:  # of what is in their outbox, others have been notified
            await self._router.forget_other_adapters(sorted(gained))
            self._outbox_signal.notify()

    async def _run_step(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Transient as error:
            log("dispatch_waits", level="warning", reason=error.code, detail=error.detail)

    async def _repeat_step(self, stop: asyncio.Event, step: Callable[[], Awaitable[None]], interval: float) -> None:
        while not stop.is_set():
            await self._run_step(step)
            await sleep_unless_set(stop, interval)

    async def _wake_for_outbox_rows(self) -> None:
        """Wake the loops that wait, in case a notification was lost: one look for all of them."""
        async with self._database.read() as tx:
            found = await store.has_outbox_rows(tx, self._delivery.adapters.channels, sorted(self._epochs))
        if found:
            self._outbox_signal.notify()

    async def _assign_channel(self, channel: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            upcoming = self._outbox_signal.next_event()
            try:
                done = await self._router.assign_batch(channel, self._epochs)
            except Transient as error:
                log("dispatch_waits", level="warning", reason=error.code, detail=error.detail, channel=channel)
                done = 0
            if done:
                self._outbox_signal.notify()  # the loops of this process; nobody else has these shards
            else:
                await wait_for_any(None, upcoming, stop)

    async def _serve_line(self, line: OutboxLine, stop: asyncio.Event) -> None:
        while not stop.is_set():
            upcoming = self._outbox_signal.next_event()
            wait: float | None = None
            try:
                if self._delivery.health[line.adapter].is_usable:
                    done, wait = await self._hand_over_places(line)
                else:
                    done, wait = await self._router.move_elsewhere(line, self._epochs), LONGEST_WAIT
                    if done:
                        self._outbox_signal.notify()
            except Transient as error:
                log("dispatch_waits", level="warning", reason=error.code, detail=error.detail, adapter=line.adapter)
                done = 0
            if wait is not None:
                await sleep_unless_set(stop, min(wait, LONGEST_WAIT))
            elif not done:
                await wait_for_any(None, upcoming, stop)

    async def _hand_over_places(self, line: OutboxLine) -> tuple[int, float | None]:
        """Hand over a batch, within the adapter's rate. Returns how many, and how long to wait, if that is known."""
        room = self._delivery.room(line.adapter, CLAIM_BATCH_SIZE)
        rate = self._delivery.adapters.rates.get(line.adapter)
        if rate is None:
            return await self.hand_over_batch(line, room), None
        room = await self._count_rows(line, room)  # places that nobody uses would be lost for all processes
        if not room:
            return 0, None
        now = await self._database.now()
        async with self._database.write() as tx:
            places = await take_places(tx, line.adapter, rate, room, now)
        if not places.taken:
            return 0, places.wait
        return await self.hand_over_batch(line, places.taken), None

    async def _count_rows(self, line: OutboxLine, most: int) -> int:
        async with self._database.read() as tx:
            shards = sorted(self._epochs)
            return len(await store.next_outbox_rows(tx, line.channel, line.assigned, shards, limit=most))

    async def hand_over_batch(self, line: OutboxLine, limit: int = CLAIM_BATCH_SIZE) -> int:
        """Claim and deliver the next messages of a line, at most `limit`; returns how many were claimed."""
        if not await self._count_rows(line, 1):
            return 0
        deadline = self._delivery.deadline()
        opened = await self._database.now()
        async with self._database.write() as tx:
            claimed_messages = await self._claimer.claim_messages(
                tx, line, self._epochs, limit, self._clock.now(), opened
            )
        if claimed_messages:
            await self._delivery.deliver(claimed_messages, deadline)
        return len(claimed_messages)
