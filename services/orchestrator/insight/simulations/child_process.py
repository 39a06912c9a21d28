"""One simulation in a process of its own: `python -m services.simulation`, with limits.

It reads files that are written here, and knows no database, no key and no other service. It gets the processor last,
and ends when this process does.
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
from services.orchestrator.insight.simulations.request import Resolved, write_documents
from services.orchestrator.insight.simulations.store import Claimed, End
from services.orchestrator.insight.simulations.traffic_export import Exported, export

COMMAND = ("-m", "services.simulation")
BAD_INPUT, TOO_LARGE = 2, 3
EXPORTED = 100
"""Of 1000: the progress once the traffic has been written."""
LARGEST_RESULT = 8 * 1024 * 1024
_PASSED_ON = ("PATH", "PYTHONTZPATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one simulation may take: seconds in all, bytes of memory, bytes of one file."""

    seconds: int = 900
    memory: int = 1024 * 1024 * 1024
    disk: int = 2 * 1024 * 1024 * 1024


class Run:
    """One run. `progress`: 0 to 1000."""

    def __init__(
        self, database: Database, recorder: HistoryReader, limits: Limits, claimed: Claimed, folder: Path
    ) -> None:
        self.claimed = claimed
        self.progress = 0
        self._database = database
        self._recorder = recorder
        self._limits = limits
        self._folder = folder

    async def work(self) -> End:
        """Write the traffic, simulate it, read the result. Raises TooMuch, Transient, OSError."""
        resolved = msgspec.convert(self.claimed.request, Resolved)
        write_documents(resolved, self._folder)
        exported = await export(self._database, self._recorder, resolved.window(), self._folder)
        self.progress = EXPORTED
        job = {"names": resolved.names(), "events": exported.events, "until": resolved.end}
        (self._folder / "job.json").write_bytes(msgspec.json.encode(job))
        return self._end(await self._simulate(), notes_of(resolved, exported))

    async def _simulate(self) -> int:
        """The exit code of the process."""
        limits = self._limits
        given = ("--memory", limits.memory, "--seconds", limits.seconds, "--disk", limits.disk)
        with (self._folder / "errors.txt").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *COMMAND,
                str(self._folder),
                *map(str, given),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=_environment(),
            )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                self.progress = EXPORTED + int(float(line) * (1000 - EXPORTED))
            return await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _end(self, code: int, notes: list[str]) -> End:
        if code == BAD_INPUT:
            return End(error=(self._folder / "errors.txt").read_text("utf-8", "replace").strip()[:1000], notes=notes)
        if code == TOO_LARGE:
            return End(error="it needs more memory or disk than a simulation may take: ask for less", notes=notes)
        if code != 0:
            return End(error=f"its process ended with code {code}: it took too long, or was killed", notes=notes)
        result = (self._folder / "result.json").read_bytes()
        picture = (self._folder / "picture.html").read_bytes()
        if len(result) + len(picture) > LARGEST_RESULT:
            return End(error="its result is larger than can be kept: ask for less", notes=notes)
        return End(result, picture, notes)


def notes_of(resolved: Resolved, exported: Exported) -> list[str]:
    """What is in the simulation and what is not, in words."""
    held = f"{exported.events} recorded events of {len(exported.customers)} customers were simulated."
    notes = [
        f"{held} Events of types that no campaign wanted, or that met no campaign's trigger when they came, are kept "
        "nowhere and are not among them.",
        "Preferences, suppressions, situations and holds are those recorded then, each from the instant at which it "
        "was; other triggers of situations in a policy change nothing. After the span nothing changes any more.",
        "All campaigns count as active, and all channels as configured.",
    ]
    if exported.waiting:
        notes.append(f"{exported.waiting} messages that waited at the start are not in it, nor do they count.")
    if exported.unknown:
        notes.append(
            f"{exported.unknown} do-not-contact entries of addresses were removed since; whose they were is not kept."
        )
    return notes


def _environment() -> dict[str, str]:
    """What the process needs, and no secret."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
