"""Real PostgreSQL and Apache Kafka for tests, each with data of its own in a directory that the caller gives.

Both listen on loopback, on free ports; both can be killed and started again, with their data, by fault tests.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 60.0
PORTS = range(15_000, 32_000)


def absent(what: str) -> NoReturn:
    """Skip, for want of a server; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: required in CI", pytrace=False)
    pytest.skip(what)


def free_port() -> int:
    """A port on loopback that nobody listens on now; none of those that the kernel lends to connections."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(ready: Callable[[], bool], what: str, timeout: float = START_TIMEOUT) -> None:
    """Return when ready. TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready within {timeout} s")
        time.sleep(0.1)


@dataclass
class Postgres:
    """A PostgreSQL server."""

    binaries: Path
    directory: Path
    port: int
    owner: str | None = None
    databases: int = 0

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs as its owner; it refuses to run as root."""
        command = [str(self.binaries / program), *arguments]
        if self.owner is not None:
            command = ["runuser", "-u", self.owner, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")

    def create(self) -> None:
        """Make the data directory."""
        self.directory.mkdir(parents=True)
        if self.owner is not None:
            shutil.chown(self.directory, self.owner)
        data = str(self.directory / "data")
        self.run("initdb", "-D", data, "-U", "tactful", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        log = str(self.directory / "server.log")
        self.run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop; `immediate` is a crash."""
        self.run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-m", mode, "stop")

    def crash(self) -> None:
        """Stop as by a power cut, without a checkpoint."""
        self.stop("immediate")

    def database(self) -> str:
        """The URL of a fresh, empty database."""
        self.databases += 1
        name = f"test_{self.databases}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tactful", name)
        return f"postgresql+asyncpg://tactful@127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[Postgres]:
    """A running PostgreSQL; skips without one installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    on_path = shutil.which("initdb")
    binaries = found[-1].parent if found else Path(on_path).parent if on_path else None
    if binaries is None:
        absent("PostgreSQL is not installed (Debian package postgresql)")
    server = Postgres(binaries, directory, free_port(), _unprivileged())
    server.create()
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(RuntimeError):
            server.stop("immediate")


def _unprivileged() -> str | None:
    """Whom to run PostgreSQL as, if we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    absent("running as root without a user to run PostgreSQL as")


@dataclass
class Kafka:
    """A Kafka broker in KRaft mode."""

    directory: Path
    port: int
    controller_port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        script = str(ROOT / "deploy/kafka/run.sh")
        command = [script, str(self.directory), str(self.port), str(self.controller_port)]
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})
        wait_for(self._up, "Kafka")

    def _up(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"Kafka ended at once, see {self.directory / 'server.log'}")
        return answers(self.port)

    def kill(self) -> None:
        """SIGKILL: what it had not written is lost."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM and wait."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=START_TIMEOUT)
            self.process = None


@contextlib.contextmanager
def kafka(directory: Path) -> Iterator[Kafka]:
    """A running broker; skips without Java or the jars and Maven to fetch them."""
    if shutil.which("java") is None:
        absent("Kafka needs Java 17")
    libs = Path(os.environ.get("KAFKA_LIBS", ROOT / ".tools/kafka/libs"))
    if not list(libs.glob("kafka_*.jar")) and shutil.which("mvn") is None:
        absent("Kafka's jars are not there and Maven is not either (make kafka)")
    server = Kafka(directory, free_port(), free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()
