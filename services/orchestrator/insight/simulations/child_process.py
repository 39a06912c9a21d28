"""Runs one simulation as a child process, `python -m services.simulation`, with limits.

The child reads files written here; it has no access to databases, keys or other services. It runs at the lowest CPU
priority and ends when this process does.
"""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from services.kit.db.database import Database
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.insight.simulations.request import ResolvedRequest, write_documents
from services.orchestrator.insight.simulations.store import ClaimedSimulation, RunResult
from services.orchestrator.insight.simulations.traffic_export import ExportedTraffic, export_traffic

COMMAND = ("-m", "services.simulation")
EXIT_BAD_INPUT, EXIT_TOO_LARGE = 2, 3
EXPORT_PROGRESS = 100
"""Progress (of 1000) once the traffic has been written."""
MAX_RESULT_BYTES = 8 * 1024 * 1024
_INHERITED_VARIABLES = ("PATH", "PYTHONTZPATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class SimulationLimits:
    """Limits of one simulation: seconds in total, bytes of memory, bytes of one file."""

    seconds: int = 900
    memory: int = 1024 * 1024 * 1024
    disk: int = 2 * 1024 * 1024 * 1024


class SimulationRun:
    """One run of a simulation. `progress`: 0 to 1000."""

    def __init__(
        self,
        database: Database,
        recorder: HistoryReader,
        limits: SimulationLimits,
        claimed: ClaimedSimulation,
        folder: Path,
    ) -> None:
        self.claimed = claimed
        self.progress = 0
        self._database = database
        self._recorder = recorder
        self._limits = limits
        self._folder = folder

    async def execute(self) -> RunResult:
        """Writes the traffic, simulates it and reads the result. Raises TrafficTooLarge, Transient, OSError."""
        resolved = msgspec.convert(self.claimed.request, ResolvedRequest)
        write_documents(resolved, self._folder)
        exported = await export_traffic(self._database, self._recorder, resolved.to_window(), self._folder)
        self.progress = EXPORT_PROGRESS
        job = {"names": resolved.document_names(), "events": exported.event_count, "until": resolved.end}
        (self._folder / "job.json").write_bytes(msgspec.json.encode(job))
        return self._read_result(await self._run_process(), describe_traffic(resolved, exported))

    async def _run_process(self) -> int:
        """Runs the process and returns its exit code."""
        limits = self._limits
        arguments = ("--memory", limits.memory, "--seconds", limits.seconds, "--disk", limits.disk)
        with (self._folder / "errors.txt").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *COMMAND,
                str(self._folder),
                *map(str, arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=_process_environment(),
            )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                self.progress = EXPORT_PROGRESS + int(float(line) * (1000 - EXPORT_PROGRESS))
            return await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _read_result(self, code: int, notes: list[str]) -> RunResult:
        if code == EXIT_BAD_INPUT:
            return RunResult(
                error=(self._folder / "errors.txt").read_text("utf-8", "replace").strip()[:1000], notes=notes
            )
        if code == EXIT_TOO_LARGE:
            return RunResult(
                error="the simulation exceeded its memory or disk limit; request a shorter span or fewer customers",
                notes=notes,
            )
        if code != 0:
            return RunResult(
                error=f"the simulation process exited with code {code}: it ran too long, or was killed", notes=notes
            )
        result = (self._folder / "result.json").read_bytes()
        picture = (self._folder / "picture.html").read_bytes()
        if len(result) + len(picture) > MAX_RESULT_BYTES:
            return RunResult(
                error="the result is too large to store; request a shorter span or fewer customers", notes=notes
            )
        return RunResult(result, picture, [*notes, *describe_unreadable(result)])


def describe_unreadable(result: bytes) -> list[str]:
    """Says how many recorded events were left out, when any were."""
    runs = msgspec.json.decode(result)["runs"]
    count = max(run["unreadable"] for run in runs.values())
    if not count:
        return []
    left_out = "1 recorded event" if count == 1 else f"{count} recorded events"
    return [f"Left out: {left_out} that an earlier version took, and that can no longer be read."]


def describe_traffic(resolved: ResolvedRequest, exported: ExportedTraffic) -> list[str]:
    """Describes in words which traffic the simulation contains and which it does not."""
    summary = f"{exported.event_count} recorded events of {len(exported.customers)} customers were simulated."
    notes = [
        f"{summary} Events that triggered no campaign when they arrived are not stored, so they are not included.",
        "Preferences, suppressions, situations and holds are as they were recorded, each from the instant of its "
        "recording; other situation triggers in a policy have no effect. After the span they stay unchanged.",
        "All campaigns count as active, and all channels as configured.",
    ]
    if exported.waiting_messages:
        notes.append(f"{exported.waiting_messages} messages waiting at the start are left out and do not count.")
    if exported.unknown_entries:
        notes.append(
            f"{exported.unknown_entries} do-not-contact entries for addresses were removed since; "
            "the customers they belonged to are not stored."
        )
    return notes


def _process_environment() -> dict[str, str]:
    """Returns the environment of the child: what it needs, without secrets."""
    inherited = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
