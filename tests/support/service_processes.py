"""The services as real processes on real Kafka and PostgreSQL; each can be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import Certificate
from tests.support.servers import ROOT, answers, free_port, start_on_free_ports, wait_until_started

READY_TIMEOUT = 120.0
"""Seconds."""
ADMIN_KEY = "an-admin-key-of-the-fault-tests"
SERVICE_KEY = "a-service-key-of-the-fault-tests"
ADDRESS_KEY = "an-address-key-of-the-fault-tests"
SECRET = "whsec_" + "dGhlIHNlY3JldCBvZiB0aGUgZmF1bHQgdGVzdHMgaXMgbG9uZw=="
FACTS = ("preference", "suppression")
ROLES = ("api", "decide", "dispatch", "schedule")


@dataclass
class Process:
    """One process that listens on a port."""

    name: str
    command: tuple[str, ...]
    port: int
    environment: Mapping[str, str]
    log: Path
    ready_path: str | None = "/readyz"
    running: subprocess.Popen[bytes] | None = None
    tls: bool = False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.running is not None and self.running.poll() is None

    def start(self) -> None:
        """Start; does not wait."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )

    def wait_ready(self) -> None:
        """Return once /readyz answers 200. Raises DidNotStart if the process ends first or takes too long."""
        assert self.running is not None
        wait_until_started(self.name, self.running, self._ready, self.log, READY_TIMEOUT)

    def _ready(self) -> bool:
        if self.ready_path is None:
            return answers(self.port)
        try:
            unverified = ssl._create_unverified_context() if self.tls else None
            with urllib.request.urlopen(self.url + self.ready_path, timeout=2, context=unverified) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.running is not None
        self.running.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)
        self.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def terminate(self, timeout: float) -> int:
        """SIGTERM; returns the exit code. TimeoutExpired after `timeout` seconds."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 30.0) -> int:
        """The exit code; minus the signal's number if one ended it. TimeoutExpired after `timeout` seconds."""
        assert self.running is not None
        return self.running.wait(timeout)

    def restart(self) -> None:
        """Kill, start again and wait until it is ready."""
        self.kill()
        self.start()
        self.wait_ready()


@dataclass(frozen=True)
class Tls:
    """What the services show each other, and the authority that they trust."""

    certificate: Certificate
    authority: Path


@dataclass(frozen=True)
class Plan:
    """What to run. `deadline`, `slack`, `timeout`: seconds, see DispatchSettings."""

    bootstrap: str
    databases: Mapping[str, str]
    topic: str
    roles: tuple[str, ...] = ROLES
    tls: Tls | None = None
    deadline: float = 3.0
    slack: float = 1.0
    timeout: float = 3.0
    out_topics: Mapping[str, str] = field(default_factory=dict)
    """Settings of the topics that are published; none are without them."""


@dataclass
class Cluster:
    """All processes of one installation."""

    directory: Path
    plan: Plan
    processes: dict[str, Process] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    @property
    def orchestrator(self) -> str:
        """Where the API answers."""
        return self.processes["api" if "api" in self.processes else "all"].url

    @property
    def receipts(self) -> Path:
        """The provider's own log."""
        return self.directory / "receipts.jsonl"

    @property
    def behaviour(self) -> Path:
        """What the provider looks at before it answers."""
        return self.directory / "behaviour.json"

    def behave(self, answer: str = "accept", every: int = 1, delay: float = 0.0) -> None:
        """Tell the provider how to answer from now on: see `sink.py`."""
        path = self.behaviour
        path.with_suffix(".new").write_text(json.dumps({"answer": answer, "every": every, "delay": delay}))
        path.with_suffix(".new").replace(path)

    def start(self) -> None:
        """Start everything and wait."""
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.wait_ready()

    def stop(self) -> None:
        """Kill everything that still runs."""
        for process in self.processes.values():
            if process.alive:
                process.kill()

    def dismiss(self, name: str) -> None:
        """Forget a process that has ended."""
        del self.processes[name]

    def words(self) -> str:
        """What all processes have written to their logs."""
        return "\n".join(process.log.read_text() for process in self.processes.values())


def build(plan: Plan, directory: Path) -> Cluster:
    """The processes of an installation, none of them started. The databases must be at their newest step."""
    cluster = Cluster(directory, plan)
    cluster.behave()
    port = free_port()
    command = (
        sys.executable,
        "-m",
        "tests.support.provider_process",
        str(port),
        str(cluster.receipts),
        str(cluster.behaviour),
    )
    cluster.processes["sink"] = Process("sink", command, port, {}, directory / "sink.log", None)
    for name in (*FACTS, *plan.roles):
        cluster.processes[name] = _process(cluster, name)
    for name in (*FACTS, *plan.roles):
        cluster[name].environment = _environment(cluster, name)
    return cluster


def guest(cluster: Cluster, name: str, module: str = "services.orchestrator") -> Process:
    """One more process of a role, such as `decide-2`, not started."""
    made = cluster.processes[name] = _process(cluster, name, module)
    made.environment = _environment(cluster, name)
    return made


def _process(cluster: Cluster, name: str, module: str | None = None) -> Process:
    port = free_port()
    usual = "tests.support.narrow_inline_orchestrator" if name.startswith("decide") else f"services.{_service(name)}"
    command = [sys.executable, "-m", module or usual, "--port", str(port)]
    if name not in FACTS:
        command += ["--role", name.partition("-")[0]]
    tls = cluster.plan.tls is not None
    return Process(name, tuple(command), port, {}, cluster.directory / f"{name}.log", tls=tls)


def _service(name: str) -> str:
    return name if name in FACTS else "orchestrator"


def _environment(cluster: Cluster, name: str) -> dict[str, str]:
    plan = cluster.plan
    tls = {}
    if plan.tls is not None:
        tls = {
            "TACTFUL_SERVICES__CA_FILE": str(plan.tls.authority),
            "TACTFUL_WEB__CERTIFICATE_FILE": str(plan.tls.certificate.certificate),
            "TACTFUL_WEB__KEY_FILE": str(plan.tls.certificate.key),
        }
    return {
        **tls,
        **plan.out_topics,
        "TACTFUL_DATABASE__URL": plan.databases[_service(name)],
        "TACTFUL_KAFKA__BOOTSTRAP": plan.bootstrap,
        "TACTFUL_KAFKA__EVENTS_TOPIC": plan.topic,
        "TACTFUL_SERVICES__ORCHESTRATOR_URL": cluster.orchestrator,
        "TACTFUL_SERVICES__PREFERENCE_URL": cluster["preference"].url,
        "TACTFUL_SERVICES__SUPPRESSION_URL": cluster["suppression"].url,
        "TACTFUL_WEB__PUBLIC_URL": cluster.orchestrator,
        "TACTFUL_ADAPTERS__PUSH": "webhook",
        "TACTFUL_ADAPTERS__SMS": "webhook",
        "TACTFUL_WEBHOOK__URL": f"{cluster['sink'].url}/messages",
        "TACTFUL_WEBHOOK__SECRET": SECRET,
        "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
        "TACTFUL_DISPATCH__DEADLINE": str(plan.deadline),
        "TACTFUL_DISPATCH__SLACK": str(plan.slack),
        "TACTFUL_DISPATCH__TIMEOUT": str(plan.timeout),
        "TACTFUL_ADMIN_KEY": ADMIN_KEY,
        "TACTFUL_SERVICE_KEY": SERVICE_KEY,
        "TACTFUL_ADDRESS_KEY": ADDRESS_KEY,
    }


@contextlib.contextmanager
def running(plan: Plan, directory: Path) -> Iterator[Cluster]:
    """The processes of an installation, started, and killed at the end."""
    cluster = start_on_free_ports(lambda: _start(plan, directory))
    try:
        yield cluster
    finally:
        cluster.stop()


def _start(plan: Plan, directory: Path) -> Cluster:
    cluster = build(plan, directory)
    try:
        cluster.start()
    except BaseException:
        cluster.stop()
        raise
    return cluster
