"""Runs requested simulations one at a time; one that was running when its process died is started again."""

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
from services.kit.runtime.periodic import wait_for_any
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.insight.simulations import store
from services.orchestrator.insight.simulations.child_process import SimulationLimits, SimulationRun
from services.orchestrator.insight.simulations.store import ClaimedSimulation, RunResult
from services.orchestrator.insight.simulations.traffic_export import TrafficTooLarge

IDLE_INTERVAL = 5.0
"""Seconds between two looks for a simulation that nobody has notified, as one whose process has died."""
FOLDER_PREFIX = "tactful-simulation-"


class RunStopped(Exception):
    """The run must end without a result: this process is stopping, or another one has taken it over."""


class SimulationRunner:
    """Takes simulations from the queue; `run_next` runs one."""

    def __init__(
        self,
        database: Database,
        recorder: HistoryReader,
        clock: Clock,
        limits: SimulationLimits | None = None,
        heartbeat_interval: float = 1.0,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._clock = clock
        self._limits = limits or SimulationLimits()
        self._heartbeat_interval = heartbeat_interval
        self._requested_signal = database.notifications.listen(store.SIMULATION_REQUESTED)

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Runs requested simulations until stopped."""
        remove_stale_folders(self._limits.seconds)
        while not stop.is_set():
            requested = self._requested_signal.next_event()
            try:
                done = await self.run_next(stop)
            except Transient as error:
                log("simulation_waits", level="warning", reason=error.code)
                done = False
            if not done:
                await wait_for_any(IDLE_INTERVAL, requested, stop)

    async def run_next(self, stop: asyncio.Event) -> bool:
        """Runs the next simulation to its end. Returns whether there was one. Raises Transient."""
        async with self._database.read() as tx:
            if not await store.has_unfinished(tx):
                return False
        database_now = await self._database.now()
        async with self._database.write() as tx:
            claimed = await store.claim_next(tx, self._clock.now(), database_now)
        if claimed is None:
            return False
        log("simulation_started", id=claimed.id, tries=claimed.tries)
        try:
            result = await self._run_limited(claimed, stop)
        except RunStopped:
            async with self._database.write() as tx:
                await store.requeue(tx, claimed)
            return False
        async with self._database.write() as tx:
            await store.record_result(tx, claimed, result, self._clock.now())
        log("simulation_ended", id=claimed.id, failed=result.error is not None)
        return True

    async def _run_limited(self, claimed: ClaimedSimulation, stop: asyncio.Event) -> RunResult:
        try:
            with _temporary_folder(claimed.id) as folder:
                async with asyncio.timeout(self._limits.seconds):
                    return await self._run_with_heartbeat(claimed, folder, stop)
        except TimeoutError:
            return RunResult(error=f"the simulation took longer than {self._limits.seconds} s; request a shorter span")
        except TrafficTooLarge as error:
            return RunResult(error=str(error))
        except Transient as error:
            return RunResult(
                error=f"the recorded history cannot be read now ({error.code}); request the simulation again later"
            )
        except (OSError, ValueError) as error:
            log_error("simulation_failed", error, id=claimed.id)
            return RunResult(
                error=f"the simulation failed ({type(error).__name__}); see the log entry `simulation_failed`"
            )

    async def _run_with_heartbeat(self, claimed: ClaimedSimulation, folder: Path, stop: asyncio.Event) -> RunResult:
        run = SimulationRun(self._database, self._recorder, self._limits, claimed, folder)
        heartbeat = asyncio.create_task(self._send_heartbeats(run, stop))
        execution = asyncio.create_task(run.execute())
        try:
            await asyncio.wait({heartbeat, execution}, return_when=asyncio.FIRST_COMPLETED)
            if not execution.done():
                await heartbeat
            return await execution
        finally:
            for task in (heartbeat, execution):
                task.cancel()
            await asyncio.gather(heartbeat, execution, return_exceptions=True)

    async def _send_heartbeats(self, run: SimulationRun, stop: asyncio.Event) -> None:
        """Records progress and liveness until the run ends. Raises RunStopped."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._heartbeat_interval)
            if stop.is_set():
                raise RunStopped
            with contextlib.suppress(Transient):
                database_now = await self._database.now()
                async with self._database.write() as tx:
                    still_claimed = await store.record_heartbeat(tx, run.claimed, run.progress, database_now)
                if not still_claimed:
                    raise RunStopped


def remove_stale_folders(seconds: int) -> None:
    """Removes folders left behind by killed runs."""
    before = time.time() - 2 * seconds
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < before and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _temporary_folder(id: str) -> Iterator[Path]:
    """Creates a folder that only this user may read, for the duration of the run."""
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{id}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
