"""The provider lab as a process and in this one, and what its log proves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from services.kit.runtime.clock import Clock, SystemClock
from services.lab.arrival_log import LOG_FILE, Arrival, ArrivalLog, read_arrivals
from services.lab.lab_keys import LabKeys, load_or_create_keys
from services.lab.lab_script import LabScript
from services.lab.lab_server import Lab
from services.lab.provider_registry import load_providers, write_settings
from services.lab.receipt_sender import ReceiptSender
from tests.support.command_line import environment
from tests.support.servers import ROOT, answers, free_port, start_on_free_ports, wait_until_started

KEYS = LabKeys("a-secret-of-the-lab-that-the-tests-run")
NOBODY = "http://127.0.0.1:9"
"""Where nobody takes receipts."""


@dataclass(frozen=True)
class LabEvidence:
    """What a log says. It is read from the file, so that it outlives a lab that was killed."""

    path: Path

    @property
    def arrivals(self) -> list[Arrival]:
        """All requests, in order."""
        return list(read_arrivals(self.path))

    def effects(self, provider: str) -> Counter[str]:
        """How often a provider has really sent each message."""
        return self._count(provider, "accepted")

    def repetitions(self, provider: str) -> Counter[str]:
        """How often a message came again, and was known by its key."""
        return self._count(provider, "repeated")

    def requests(self, provider: str) -> Counter[str]:
        """How often each message arrived, whatever became of it."""
        return Counter(each.message_id for each in self.arrivals if each.provider == provider and each.message_id)

    def keys(self, provider: str) -> dict[str, set[tuple[str | None, str]]]:
        """The keys and bodies under which each message arrived."""
        found: dict[str, set[tuple[str | None, str]]] = {}
        for each in self.arrivals:
            if each.provider == provider and each.message_id:
                found.setdefault(each.message_id, set()).add((each.key, each.digest))
        return found

    def _count(self, provider: str, outcome: str) -> Counter[str]:
        return Counter(
            each.message_id for each in self.arrivals if each.provider == provider and each.outcome == outcome
        )


@dataclass
class LocalLab:
    """A lab on a socket of this process."""

    url: str
    directory: Path
    lab: Lab
    receipts: ReceiptSender
    keys: LabKeys = KEYS

    @property
    def evidence(self) -> LabEvidence:
        return LabEvidence(self.directory / LOG_FILE)

    def settings(self, provider: str) -> Mapping[str, str]:
        """The settings of the adapter, by their fields."""
        return load_providers()[provider].list_settings(self.keys, f"{self.url}/{provider}")


@asynccontextmanager
async def local_lab(
    directory: Path, script: Mapping[str, Any] | None = None, told: str = NOBODY, clock: Clock | None = None
) -> AsyncIterator[LocalLab]:
    """A lab with this script, which tells `told` what becomes of messages."""
    log = ArrivalLog(directory / LOG_FILE)
    receipts = ReceiptSender(told, KEYS, clock or SystemClock())
    lab = Lab(KEYS, log, receipts, clock or SystemClock(), LabScript.model_validate(script or {}))
    runner = web.ServerRunner(web.Server(lab.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield LocalLab(f"http://127.0.0.1:{runner.addresses[0][1]}", directory, lab, receipts)
    finally:
        await runner.cleanup()
        await receipts.close()
        await log.close()


@dataclass
class LabProcess:
    """`tactful lab` as a process, which can be killed and started again at the same address."""

    directory: Path
    port: int
    options: tuple[str, ...]
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def evidence(self) -> LabEvidence:
        return LabEvidence(self.directory / LOG_FILE)

    def environment(self, provider: str) -> dict[str, str]:
        """The settings of Tactful's adapter."""
        keys = load_or_create_keys(self.directory)
        return write_settings(provider, load_providers()[provider].list_settings(keys, f"{self.url}/{provider}"))

    def follow(self, script: Mapping[str, Any]) -> None:
        """Replaces the script."""
        httpx.put(f"{self.url}/lab/script", json=script, trust_env=False).raise_for_status()

    def ask(self, path: str) -> Any:
        """What the lab shows."""
        answer = httpx.get(self.url + path, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def start(self) -> None:
        """Returns once it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        place = ("--data-dir", str(self.directory), "--port", str(self.port))
        command = [sys.executable, "-m", "tactful", "lab", *place, *self.options]
        path = self.directory.with_suffix(".log")
        with path.open("ab") as log:
            self.running = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=log, stderr=log)
        wait_until_started("tactful lab", self.running, lambda: answers(self.port), path)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal; the exit code."""
        assert self.running is not None
        os.kill(self.running.pid, number)
        return self.running.wait(30)


@contextmanager
def lab_process(directory: Path, *options: str) -> Iterator[LabProcess]:
    """`tactful lab` on a free port."""

    def start() -> LabProcess:
        made = LabProcess(directory, free_port(), options)
        made.start()
        return made

    lab = start_on_free_ports(start)
    try:
        yield lab
    finally:
        if lab.running is not None and lab.running.poll() is None:
            lab.end()


async def until(condition: Any, timeout: float = 10.0) -> None:
    """Returns once the condition holds. TimeoutError after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)
