"""Runs the simulations that people asked for, one at a time; what was under way when a process died is begun again."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log, log_error
from services.kit.runtime.clock import Clock
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.insight.simulations import store
from services.orchestrator.insight.simulations.child_process import Limits, Run
from services.orchestrator.insight.simulations.store import Claimed, End
from services.orchestrator.insight.simulations.traffic_export import TooMuch

PREFIX = "tactful-simulation-"


class Stopped(Exception):
    """The run must end without a result: this process stops, or another one has taken the simulation over."""


class Runner:
    """Takes simulations from the queue; `tick` runs one."""

    def __init__(
        self, database: Database, recorder: HistoryReader, clock: Clock, limits: Limits | None = None, beat: float = 1.0
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._limits = limits or Limits()
        self._beat = beat

    async def run(self, stop: asyncio.Event) -> None:
        """Run what is asked for until stopped."""
        sweep(self._limits.seconds)
        while not stop.is_set():
            try:
                done = await self.tick(stop)
            except Transient as error:
                log("simulation_waits", level="warning", reason=error.code)
                done = False
            if not done:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._beat)

    async def tick(self, stop: asyncio.Event) -> bool:
        """Run the next one to its end; whether there was one. Raises Transient."""
        async with self._database.read() as tx:
            waits = await tx.row("SELECT 1 FROM simulation WHERE state IN ('queued', 'running') LIMIT 1")
        if waits is None:
            return False
        real = await self._database.now()
        async with self._database.write() as tx:
            claimed = await store.claim(tx, self._clock.now(), real)
        if claimed is None:
            return False
        log("simulation_started", id=claimed.id, tries=claimed.tries)
        try:
            end = await self._guarded(claimed, stop)
        except Stopped:
            async with self._database.write() as tx:
                await store.give_back(tx, claimed)
            return False
        async with self._database.write() as tx:
            await store.end(tx, claimed, end, self._clock.now())
        log("simulation_ended", id=claimed.id, failed=end.error is not None)
        return True

    async def _guarded(self, claimed: Claimed, stop: asyncio.Event) -> End:
        try:
            with _folder(claimed.id) as folder:
                async with asyncio.timeout(self._limits.seconds):
                    return await self._one(claimed, folder, stop)
        except TimeoutError:
            return End(error=f"it took longer than {self._limits.seconds} s: ask for less traffic")
        except TooMuch as error:
            return End(error=str(error))
        except Transient as error:
            return End(error=f"what was recorded cannot be had now ({error.code}): ask again later")
        except (OSError, ValueError) as error:
            log_error("simulation_failed", error, id=claimed.id)
            return End(error=f"it could not be run ({type(error).__name__}); the log says more")

    async def _one(self, claimed: Claimed, folder: Path, stop: asyncio.Event) -> End:
        run = Run(self._database, self._recorder, self._limits, claimed, folder)
        life = asyncio.create_task(self._live(run, stop))
        work = asyncio.create_task(run.work())
        try:
            await asyncio.wait({life, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await life
            return await work
        finally:
            for task in (life, work):
                task.cancel()
            await asyncio.gather(life, work, return_exceptions=True)

    async def _live(self, run: Run, stop: asyncio.Event) -> None:
        """Say how far it is until it ends. Raises Stopped."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._beat)
            if stop.is_set():
                raise Stopped
            with contextlib.suppress(Transient):
                real = await self._database.now()
                async with self._database.write() as tx:
                    ours = await store.alive(tx, run.claimed, run.progress, real)
                if not ours:
                    raise Stopped


def sweep(seconds: int) -> None:
    """Remove what runs that were killed have left behind."""
    before = time.time() - 2 * seconds
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < before and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _folder(id: str) -> Iterator[Path]:
    """A folder that only this user may read, for as long as the run takes."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{id}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
