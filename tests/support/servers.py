"""Real servers for tests: PostgreSQL, Apache Kafka and other processes that listen on a port of loopback.

Each has data of its own in a directory that the caller gives. Fault tests kill, freeze and restart them with their
data. A server that does not start raises `DidNotStart`, whose text ends with the last lines of the server's log: the
directory is gone by the time somebody reads the failure. `start_on_free_ports` gives a server a second chance on other
ports, because between `free_port` and the server's own bind another process may take the port.
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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

from tests.support.fresh_databases import create_postgres

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 60.0
"""Seconds."""
LOG_LINES = 40
PORTS = range(15_000, 32_000)
RESERVED_SECONDS = 900.0
"""For which a port that a test was given is given to no other."""
SETTINGS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
QUICK_SETTINGS = f"{SETTINGS} -c fsync=off -c full_page_writes=off -c autovacuum=off"
"""For tests. Without fsync a crash of the server, which tests cause, loses nothing; a crash of the machine would.
Autovacuum would visit each of some hundred databases once a minute."""

KAFKA_STARTED = b"Kafka Server started"
"""What a broker writes into its log once it accepts connections."""

S = TypeVar("S")


class EndedByItself(RuntimeError):
    """A server ended while tests used it; the text holds the end of its log. What failed meanwhile failed of that."""


class DidNotStart(RuntimeError):
    """A server ended, or was not ready in time; the text holds the end of its log."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name} did not start: {reason}. The end of {log.name}:\n{log_end(log)}")


def absent(what: str) -> NoReturn:
    """Skip the test because a server is not installed; with CI=true the test fails instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: required in CI", pytrace=False)
    pytest.skip(what)


MOTO = ROOT / ".tools/moto"


def moto_server() -> Path | None:
    """The program that plays AWS; None until `python -m tests.support.required_servers` has installed it."""
    program = MOTO / "bin/moto_server"
    return program if program.exists() else None


def log_end(log: Path, lines: int = LOG_LINES) -> str:
    """The last lines of a log file."""
    if not log.exists():
        return "(no log was written)"
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:]) or "(the log is empty)"


def free_port() -> int:
    """A port of loopback without a listener at this moment, outside the kernel's range for outgoing connections.

    Some servers start minutes after their port was chosen: meanwhile no other test on this machine is given it.
    """
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        if not _reserve(port):
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _reserve(port: int) -> bool:
    """Whether it is ours for `RESERVED_SECONDS`: a file that exists or not is what all processes agree on."""
    folder = Path(tempfile.gettempdir()) / "tactful-test-ports"
    folder.mkdir(exist_ok=True)
    mark = folder / str(port)
    with contextlib.suppress(FileNotFoundError):
        if time.time() - mark.stat().st_mtime > RESERVED_SECONDS:
            mark.unlink(missing_ok=True)
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def answers(port: int) -> bool:
    """Whether a process listens on this port of loopback."""
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


def wait_until_started(
    name: str,
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    log: Path,
    timeout: float = START_TIMEOUT,
) -> None:
    """Return when `ready()` is true. Raises DidNotStart if the process ends first, or kills it after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        ended = process.poll()
        if ended is not None:
            raise DidNotStart(name, f"it ended with status {ended}", log)
        if ready():
            return
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise DidNotStart(name, f"it was not ready within {timeout:g} s", log)
        time.sleep(0.05)


def start_on_free_ports(start: Callable[[], S]) -> S:
    """Call `start`, which takes ports by `free_port`, and once more if it raises DidNotStart."""
    try:
        return start()
    except DidNotStart as first:
        print(f"{first}\nStarting it once more, on other ports.")
        return start()


@dataclass
class Postgres:
    """A PostgreSQL server."""

    binaries: Path
    directory: Path
    port: int
    owner: str | None = None
    settings: str = QUICK_SETTINGS
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
        """Start, and wait until it accepts connections."""
        options = f"-p {self.port} {self.settings}"
        log = self.directory / "server.log"
        try:
            self.run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-l", str(log), "-o", options, "start")
        except RuntimeError as error:
            raise DidNotStart("PostgreSQL", str(error), log) from error

    def stop(self, mode: str = "fast") -> None:
        """Stop; `immediate` is a crash."""
        self.run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-m", mode, "stop")

    def crash(self) -> None:
        """Stop as by a power cut, without a checkpoint."""
        self.stop("immediate")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stopped, as by a machine that hangs: connections stay open, and nobody answers."""
        first = int((self.directory / "data/postmaster.pid").read_text().splitlines()[0])
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(first)], capture_output=True, text=True, check=False)
        processes = [first, *map(int, listed.stdout.split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def database(self) -> str:
        """The URL of a fresh, empty database."""
        self.databases += 1
        name = f"test_{self.databases}"
        url = f"postgresql+asyncpg://tactful@127.0.0.1:{self.port}/{name}"
        create_postgres(url)
        return url


def postgres_binaries() -> Path | None:
    """The directory of the newest initdb, as Debian installs it or as PATH names it."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    on_path = shutil.which("initdb")
    return installed[-1].parent if installed else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def postgres(
    directory: Path, ports: Callable[[], int] = free_port, settings: str = QUICK_SETTINGS
) -> Iterator[Postgres]:
    """A running PostgreSQL; skips without one installed."""
    binaries = postgres_binaries()
    if binaries is None:
        absent("PostgreSQL is not installed (Debian package postgresql)")
    server = Postgres(binaries, directory, 0, _unprivileged(), settings)
    server.create()

    def start() -> None:
        server.port = ports()
        server.start()

    start_on_free_ports(start)
    try:
        yield server
    finally:
        with contextlib.suppress(RuntimeError):
            server.stop("immediate")


def _unprivileged() -> str | None:
    """The user to run PostgreSQL as, if we are root."""
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
        """Start, and wait until it accepts connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        script = str(ROOT / "deploy/kafka/run.sh")
        command = [script, str(self.directory), str(self.port), str(self.controller_port)]
        path = self.directory / "server.log"
        with path.open("ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})

        def ready() -> bool:
            # Its own word: who answers at the port may be another process that has taken it meanwhile.
            return KAFKA_STARTED in path.read_bytes()[before:] and answers(self.port)

        try:
            wait_until_started("Kafka", self.process, ready, path)
        except DidNotStart:
            self.process = None
            raise

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
        """Raises EndedByItself, with the end of its log, if it was no longer there to be ended."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is not None:
            log = (self.directory / "server.log").read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise EndedByItself("\n".join([f"the broker has ended by itself, with {process.returncode}:", *log]))
        process.send_signal(number)
        process.wait(timeout=START_TIMEOUT)


def kafka_lacks() -> str | None:
    """What is missing to run a broker, if anything."""
    if shutil.which("java") is None:
        return "Kafka needs Java 17 (Debian package openjdk-17-jre-headless)"
    if not has_kafka_jars() and shutil.which("mvn") is None:
        return "Kafka's jars are not there, and Maven, which fetches them, is not either (Debian package maven)"
    return None


def has_kafka_jars() -> bool:
    """Whether the broker's jars have been fetched."""
    libs = Path(os.environ.get("KAFKA_LIBS", ROOT / ".tools/kafka/libs"))
    return any(libs.glob("kafka_*.jar"))


@contextlib.contextmanager
def kafka(directory: Path, environment: Mapping[str, str] | None = None) -> Iterator[Kafka]:
    """A running broker; skips without Java, or without the jars and without Maven to fetch them."""
    lacking = kafka_lacks()
    if lacking is not None:
        absent(lacking)
    server = Kafka(directory, 0, 0, environment or {})

    def start() -> None:
        server.port, server.controller_port = free_port(), free_port()
        server.start()

    try:
        start_on_free_ports(start)
        yield server
    finally:
        server.kill()
