"""Runs redrive jobs one at a time, at their rate; a job whose process has died is gone on with by the next one."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple

from schemas.dead_letters import ClosingResult, RedriveRequest
from services.kit.db.database import Database
from services.kit.errors import NotFound, Permanent, Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.periodic import sleep_unless_set, wait_for_any
from services.orchestrator.dead_letters import store
from services.orchestrator.dead_letters.directory import DeadLetterDirectory, name_service
from services.orchestrator.dead_letters.store import ItemResult, RedriveItem, RedriveJob
from services.orchestrator.decisions import message_store

IDLE_INTERVAL = 5.0
"""Seconds between two looks for a job that nobody has notified, as one whose process has died."""
RETRY_INTERVAL = 2.0
"""Seconds until a service that did not answer is asked again."""
CALLS_A_SECOND = 4
"""A rate is kept by so many calls a second, each with its share of the letters."""
MAX_LETTERS_A_CALL = 20
"""So that a call stays well below its time-out."""
_DECIDES = "orchestrator"
"""The service whose letters decide messages. They wait for the facts of all others: an opt-out may be among these."""


class SilentService(NamedTuple):
    """A service that has not answered: when (monotonic time) to ask it again, and what to tell people meanwhile."""

    ask_again: float
    problem: str


class RedriveRunner:
    """Takes jobs from the queue. Several processes may run it: each job is owned by one of them."""

    def __init__(self, database: Database, letters: DeadLetterDirectory, clock: Clock) -> None:
        self._database = database
        self._letters = letters
        self._clock = clock
        self._requested_signal = database.notifications.listen(store.REDRIVE_REQUESTED)
        self._owner = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Runs requested jobs until stopped."""
        while not stop.is_set():
            requested = self._requested_signal.next_event()
            try:
                done = await self.run_next(stop)
            except Transient as error:
                log("redrive_waits", level="warning", reason=error.code)
                done = False
            if not done:
                await wait_for_any(IDLE_INTERVAL, requested, stop)

    async def run_next(self, stop: asyncio.Event) -> bool:
        """Runs the next job, to its end if it is not stopped. Returns whether there was one. Raises Transient."""
        async with self._database.read() as tx:
            if not await store.REDRIVE_JOBS.has_runnable(tx):
                return False
        database_now = await self._database.now()
        async with self._database.write() as tx:
            job = await store.claim_next(tx, self._owner, self._clock.now(), database_now)
        if job is None:
            return False
        log("redrive_started", job=job.id, letters=job.total, done=job.done, by=job.requested_by)
        try:
            await self._run_job(job, stop)
        finally:
            with contextlib.suppress(Transient):
                async with self._database.write() as tx:
                    await store.REDRIVE_JOBS.release(tx, job.id, self._owner)
        return True

    async def _run_job(self, job: RedriveJob, stop: asyncio.Event) -> None:
        size = max(1, min(job.rate // CALLS_A_SECOND, MAX_LETTERS_A_CALL))
        silent: dict[str, SilentService] = {}
        while not stop.is_set():
            began = time.monotonic()
            silent = {name: each for name, each in silent.items() if each.ask_again > began}
            waiting = "; ".join(each.problem for each in silent.values()) or None
            database_now = await self._database.now()
            async with self._database.write() as tx:
                if not await store.REDRIVE_JOBS.is_owned(tx, job.id, self._owner, database_now, waiting):
                    return  # cancelled, or taken over
                waits = {*silent, _DECIDES} if silent else ()
                items = await store.take_waiting_items(tx, job.id, size, waits)
                if not items and not silent:
                    await store.end_job(tx, job.id, "done", self._clock.now())
            if not items and not silent:
                log("redrive_ended", job=job.id)
                return
            await self._redrive(job, items, silent)
            pause = len(items) / job.rate if items else RETRY_INTERVAL / 4
            await sleep_unless_set(stop, max(0.0, began + pause - time.monotonic()))

    async def _redrive(self, job: RedriveJob, items: Sequence[RedriveItem], silent: dict[str, SilentService]) -> None:
        """Gives these letters their turn, in order; notes in `silent` which service did not answer."""
        for service, group in self._by_service(items):
            if service == _DECIDES and silent:
                continue
            if service is None:
                results: Sequence[ClosingResult] = [ClosingResult(each.letter, None, done=False) for each in group]
            else:
                ids = tuple(each.letter for each in group)
                try:
                    results = await self._letters.source(service).redrive(
                        RedriveRequest(ids, job.requested_by, job.reason, job.id)
                    )
                except (Transient, Permanent) as error:
                    silent[service] = SilentService(time.monotonic() + RETRY_INTERVAL, name_service(service, error))
                    continue
            ended = [_to_item(item, result) for item, result in zip(group, results, strict=True)]
            async with self._database.write() as tx:
                await store.record_results(tx, job.id, ended)
                # A situation may have ended for which a parked message waits: in the log, its event would wake it.
                customers = {each.customer for each in results if each.done and each.customer is not None}
                await message_store.wake_parked(tx, sorted(customers), self._clock.now())

    def _by_service(self, items: Sequence[RedriveItem]) -> list[tuple[str | None, list[RedriveItem]]]:
        """Neighbours of one service together; None for a letter that no service can have."""
        groups: list[tuple[str | None, list[RedriveItem]]] = []
        for item in items:
            try:
                service: str | None = self._letters.service_of(item.letter)
            except NotFound:
                service = None
            if not groups or groups[-1][0] != service:
                groups.append((service, []))
            groups[-1][1].append(item)
        return groups


def _to_item(item: RedriveItem, result: ClosingResult) -> RedriveItem:
    effect, detail = (None, None) if result.effect is None else (result.effect.effect, result.effect.detail)
    name: ItemResult
    if result.state is None:
        name, detail = "not_found", "there is no such letter, or it was deleted because of its age"
    elif result.done:
        name = "redriven"
    elif result.state == "open":
        name = "still_dead"
    else:
        name, detail = "closed_before", f"it is {result.state} already"
    if result.effect is not None and result.effect.warnings:
        detail = "; ".join(filter(None, (detail, *result.effect.warnings)))
    return item._replace(result=name, effect=effect, detail=detail)
