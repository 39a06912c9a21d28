"""Delivers messages of the outbox. Each channel has a loop of its own, so that a slow provider holds up only itself.

Dispatchers divide the outbox by shards, each leased to one of them. The steps of a delivery are in `delivery.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from services.kit.bus.fence import WakeSignal
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import sleep_unless_set
from services.orchestrator.delivery import store
from services.orchestrator.delivery.delivery import Delivery, OutboxClaimer
from services.orchestrator.delivery.recovery import AttemptRecovery

RENEW_INTERVAL = 2.0
"""Seconds between two renewals of the leases, which last ten seconds."""
RECOVERY_INTERVAL = 1.0
POLL_INTERVAL = 0.1
"""Seconds between two looks at the outbox, for what other processes have written to it."""


class Dispatcher:
    """The dispatcher of one process. Its claimer's `owner` is unique among all processes, past and present."""

    def __init__(
        self,
        database: Database,
        claimer: OutboxClaimer,
        delivery: Delivery,
        recovery: AttemptRecovery,
        clock: Clock,
        outbox_signal: WakeSignal,
    ) -> None:
        self._database = database
        self._claimer = claimer
        self._delivery = delivery
        self._recovery = recovery
        self._clock = clock
        self._outbox_signal = outbox_signal
        self._epochs: dict[int, int] = {}

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, then finish what is in flight and give the shards back."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._refuse_new_after_stop(stop))
            tasks.create_task(self._repeat_step(stop, self._renew_shards, RENEW_INTERVAL))
            tasks.create_task(self._repeat_step(stop, self._recovery.close_overdue, RECOVERY_INTERVAL))
            tasks.create_task(self._repeat_step(stop, self._wake_for_outbox_rows, POLL_INTERVAL))
            for channel in self._delivery.channels:
                tasks.create_task(self._serve_channel(channel, stop))
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
            self._epochs = await store.renew_leases(tx, self._claimer.owner, now)

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
        """Wake the channels that wait: one look for all of them, so that an idle process does little."""
        async with self._database.read() as tx:
            found = await store.has_outbox_rows(tx, self._delivery.channels, sorted(self._epochs))
        if found:
            self._outbox_signal.notify()

    async def _serve_channel(self, channel: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            upcoming = self._outbox_signal.next_event()
            try:
                done = await self.hand_over_batch(channel)
            except Transient as error:
                log("dispatch_waits", level="warning", reason=error.code, detail=error.detail, channel=channel)
                done = 0
            if not done:
                await _wait_for_either(upcoming, stop)

    async def hand_over_batch(self, channel: str) -> int:
        """Claim and deliver the next messages of a channel; returns how many were claimed."""
        async with self._database.read() as tx:
            if not await store.has_outbox_rows(tx, [channel], sorted(self._epochs)):
                return 0
        deadline = self._delivery.deadline()
        opened = await self._database.now()
        async with self._database.write() as tx:
            claimed_messages = await self._claimer.claim_messages(tx, channel, self._epochs, self._clock.now(), opened)
        if claimed_messages:
            await self._delivery.deliver(channel, claimed_messages, deadline)
        return len(claimed_messages)


async def _wait_for_either(wake_event: asyncio.Event, stop: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(wake_event.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
