"""Runs `tactful dev` as a process, and `tactful` commands in this process."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tactful.__main__ import main
from tests.support.servers import answers, free_port, start_on_free_ports, wait_until_started

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NOON = "2026-03-02T12:00:00Z"


def environment(**variables: str) -> dict[str, str]:
    """Ours without any setting of Tactful's but these."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TACTFUL_")}
    return {**plain, "COLUMNS": "80", **variables}


@dataclass(frozen=True)
class CommandResult:
    """What a command said and how it ended; `screen` is what people see, out and err as they came."""

    code: int
    out: str
    err: str
    screen: str

    @property
    def data(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


class _Part(io.StringIO):
    """One stream, which is shown on the screen as well."""

    def __init__(self, screen: io.StringIO) -> None:
        super().__init__()
        self._screen = screen

    def write(self, text: str) -> int:
        self._screen.write(text)
        return super().write(text)


def run(*arguments: str | Path, given: Mapping[str, str] | None = None) -> CommandResult:
    """Run one command in this process, as `tactful` would, to its end."""
    screen = io.StringIO()
    out, err = _Part(screen), _Part(screen)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment(**(given or {})))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return CommandResult(code, out.getvalue(), err.getvalue(), screen.getvalue())


def heed_interrupts() -> None:
    """For a process that a test interrupts: a background job of a shell ignores SIGINT, and so would all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def fill(running: "RunningProduct") -> None:
    """Apply what examples/ holds: the policy, the campaigns and the customers."""
    for arguments in (("policy", "apply", EXAMPLES / "policy.yaml"), ("campaigns", "apply", EXAMPLES / "campaigns")):
        done = running.run(*arguments, "--activate")
        if done.code != 0:
            raise RuntimeError(done.err)
    for line in (EXAMPLES / "customers.jsonl").read_text("utf-8").splitlines():
        customer = json.loads(line)
        running.ask("PUT", f"/v1/preferences/{customer['customer']}", customer)


@dataclass(frozen=True)
class RunningProduct:
    """`tactful dev`, up."""

    directory: Path
    address: str

    @property
    def settings(self) -> dict[str, str]:
        """What the command line has to be told to find it."""
        return {"TACTFUL_DATA_DIR": str(self.directory), "TACTFUL_SERVICES__ORCHESTRATOR_URL": self.address}

    @property
    def keys(self) -> dict[str, str]:
        """The keys that it made at its first start."""
        found: dict[str, str] = json.loads((self.directory / "keys.json").read_text("utf-8"))
        return found

    def run(self, *arguments: str | Path, **given: str) -> CommandResult:
        """One command against it."""
        return run(*arguments, given={**self.settings, **given})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request with the admin's key. Raises for an answer that is an error."""
        headers = {"Authorization": f"Bearer {self.keys['admin']}"}
        answer = httpx.request(method, self.address + path, json=body, headers=headers, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()


@contextlib.contextmanager
def product(directory: Path, *options: str, **given: str) -> Iterator[RunningProduct]:
    """Run `tactful dev` until the end of the block, with these environment variables: on a free port, unless they name
    one.
    """

    def start() -> tuple[subprocess.Popen[bytes], str]:
        port = int(given.get("TACTFUL_WEB__PORT") or free_port())
        command = [sys.executable, "-m", "tactful", "dev", "--port", str(port), "--data-dir", str(directory), *options]
        path = directory.parent / "dev.log"
        with path.open("wb") as log:
            process = subprocess.Popen(command, env=environment(**given), cwd=ROOT, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        wait_until_started("tactful dev", process, lambda: _is_ready(port), path)
        return process, address

    process, address = start_on_free_ports(start)
    try:
        yield RunningProduct(directory, address)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_ready(port: int) -> bool:
    """Asks over HTTP only once somebody listens: each question reads all authorities' certificates, 20 ms."""
    address = f"http://127.0.0.1:{port}"
    try:
        return answers(port) and httpx.get(f"{address}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
