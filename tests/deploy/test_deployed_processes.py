"""The commands of the composition and of the chart, run as processes with nothing but the variables that these give.

No container engine and no cluster is needed: hosts and ports become those of this machine, and paths of secrets become
files of it; the rest is as it is written there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.test_containers import instructions
from tests.support import servers
from tests.support.helm_chart import golden

pytestmark = [pytest.mark.wired, pytest.mark.integration, pytest.mark.timeout(480)]
PORTS = {"orchestrator": "8000", "preference": "8001", "suppression": "8002"}
CHART_HOSTS = {"tactful-api": "orchestrator", "tactful-preference": "preference", "tactful-suppression": "suppression"}


@dataclass(frozen=True)
class Container:
    """One container as it is written. `service`: whose secrets it has. `grace`: seconds between SIGTERM and SIGKILL.
    `ready`: whether it is ready at a port.
    """

    name: str
    service: str
    command: list[str]
    environment: dict[str, str]
    grace: float
    ready: Callable[[str, Mapping[str, str]], bool]

    @property
    def ends(self) -> bool:
        """Whether it does its work and ends."""
        return "upgrade" in self.name


def health_check(port: str, environment: Mapping[str, str]) -> bool:
    """The check of the image."""
    (check,) = instructions("HEALTHCHECK")
    words = check.partition("exec ")[2].rstrip('"]').replace("$PORT", port).split()
    return run(words, environment).returncode == 0


def probes(paths: list[str]) -> Callable[[str, Mapping[str, str]], bool]:
    """The probes of a pod: whether all of them succeed."""

    def ready(port: str, environment: Mapping[str, str]) -> bool:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5) as client:
                return all(client.get(path).status_code == 200 for path in paths)
        except httpx.TransportError:
            return False

    return ready


def of_the_composition() -> Iterator[Container]:
    services: dict[str, Any] = yaml.safe_load((servers.ROOT / "deploy/compose.yml").read_text())["services"]
    for name, spec in services.items():
        if spec["image"] == "tactful":
            grace = float(spec.get("stop_grace_period", "0s").rstrip("s"))
            service = name.removeprefix("upgrade-")
            yield Container(name, service, spec["command"], spec["environment"], grace, health_check)


def of_the_chart() -> Iterator[Container]:
    for manifest in golden("small"):
        if manifest["kind"] not in ("Deployment", "Job"):
            continue
        pod = manifest["spec"]["template"]
        name = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        (spec,) = pod["spec"]["containers"]
        service = name.removeprefix("upgrade-")
        paths = [spec[probe]["httpGet"]["path"] for probe in spec if probe.endswith("Probe")]
        environment = {each["name"]: each["value"] for each in spec["env"]}
        grace = pod["spec"].get("terminationGracePeriodSeconds", 0)
        owner = service if service in PORTS else "orchestrator"
        yield Container(name, owner, spec["command"], environment, grace, probes(paths))


def run(words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, *words[1:]]
    return subprocess.run(program, env=environment, cwd=environment["PWD"], capture_output=True, check=False)


@dataclass(frozen=True)
class Machine:
    """What stands for the hosts that containers name. `ports`: name of a container -> its port here."""

    directory: Path
    bootstrap: str
    topic: str
    ports: dict[str, str]

    def environment(self, container: Container) -> dict[str, str]:
        """The variables of the image and those that the container is given, with hosts and paths of this machine."""
        image = {"PYTHONPATH": str(servers.ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TACTFUL_WEB__HOST": "0.0.0.0"}
        given = {name: self._here(str(value), container.service) for name, value in container.environment.items()}
        place = {"PATH": os.environ["PATH"], "PWD": str(self.directory / "empty")}
        topic = {} if container.ends else {"TACTFUL_KAFKA__EVENTS_TOPIC": self.topic}
        return {**place, **image, **given, **topic}

    def command(self, container: Container) -> list[str]:
        """Its command, on the port that it has here."""
        return [self.ports[container.name] if word in PORTS.values() else word for word in container.command]

    def _here(self, value: str, service: str) -> str:
        for host, owner in {**CHART_HOSTS, **{name: name for name in PORTS}}.items():
            api = "api" if owner == "orchestrator" and "api" in self.ports else owner
            value = value.replace(f"//{host}:{PORTS[owner]}", f"//127.0.0.1:{self.ports[api]}")
        for path in ("/run/secrets/tactful.toml", "/etc/tactful/secrets/tactful.toml"):
            value = value.replace(path, str(self.directory / f"{service}.toml"))
        value = value.replace("${TACTFUL_WEB__PUBLIC_URL:?set it in deploy/.env}", "https://tactful.example.com")
        for host in ("kafka:9092", "kafka.kafka.svc:9092"):
            value = self.bootstrap if value == host else value
        return value


def make_secrets(directory: Path, postgres: servers.Postgres) -> None:
    """The files of `deploy/secrets.sh`, with databases of this machine."""
    subprocess.run([servers.ROOT / "deploy/secrets.sh", directory / "made"], check=True)
    for service in PORTS:
        lines = (directory / "made" / f"{service}.toml").read_text().splitlines()
        kept = [line for line in lines if not line.startswith("url = ")]
        (directory / f"{service}.toml").write_text("\n".join([*kept, f'url = "{postgres.database()}"', ""]))


@contextmanager
def started(machine: Machine, container: Container) -> Iterator[subprocess.Popen[bytes]]:
    """Its process; killed at the end if it is still there."""
    environment = machine.environment(container)
    program = [sys.executable, *machine.command(container)[1:]]
    with (machine.directory / f"{container.name}.log").open("wb") as log:
        process = subprocess.Popen(program, env=environment, cwd=environment["PWD"], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def follow_the_page(machine: Machine) -> str:
    """Run the commands of steps 6 to 8 of docs/kubernetes.md, with the first key. Returns what the last one prints."""
    page = (servers.ROOT / "docs/kubernetes.md").read_text("utf-8")
    steps = page[page.index("## 6. ") : page.index("## The gateway")]
    blocks = re.findall(r"^```\n(.*?)^```$", steps, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(("kubectl", "export"))]
    assert len(lines) >= 9
    admin = re.search(r'^admin_key = "(.*)"$', (machine.directory / "orchestrator.toml").read_text(), re.MULTILINE)
    assert admin is not None
    variables = {
        "PATH": os.environ["PATH"],
        "TACTFUL_SERVICES__ORCHESTRATOR_URL": f"http://127.0.0.1:{machine.ports['api']}",
        "TACTFUL_ADMIN_KEY": admin[1],
    }
    keys: dict[str, str] = {}
    printed = ""
    for line in lines:
        words = shlex.split(line)
        holder = re.fullmatch(r"TACTFUL_ADMIN_KEY=\$(\w+)", words[0])
        environment = {**variables, "TACTFUL_ADMIN_KEY": keys[holder[1]]} if holder else variables
        arguments = words[2 if holder else 1 :]
        makes_a_key = arguments[:2] == ["keys", "create"]
        command = [sys.executable, "-P", "-m", "tactful", *arguments, *(["-o", "json"] if makes_a_key else [])]
        environment = {**environment, "PYTHONPATH": str(servers.ROOT)}
        done = subprocess.run(command, env=environment, cwd=servers.ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        printed = done.stdout
        if makes_a_key:
            keys[arguments[2].upper()] = json.loads(printed)["key"]
    return printed


@pytest.mark.parametrize("written", [of_the_composition, of_the_chart], ids=["compose", "chart"])
def test_what_is_written_there_starts_gets_ready_and_ends(
    written: Callable[[], Iterator[Container]],
    postgres_server: servers.Postgres,
    kafka_bootstrap: str,
    tmp_path: Path,
) -> None:
    containers = list(written())
    (tmp_path / "empty").mkdir()
    make_secrets(tmp_path, postgres_server)
    ports = {each.name: str(servers.free_port()) for each in containers}
    machine = Machine(tmp_path, kafka_bootstrap, f"deployed.{written.__name__}", ports)
    for each in (each for each in containers if each.ends):
        done = run(machine.command(each), machine.environment(each))
        assert done.returncode == 0, done.stderr.decode()
    serving = [each for each in containers if not each.ends]
    assert len(serving) >= len(PORTS)
    with ExitStack() as stack:
        processes = {each.name: stack.enter_context(started(machine, each)) for each in serving}
        for each in serving:
            is_ready = lambda each=each: each.ready(ports[each.name], machine.environment(each))  # noqa: E731
            log = tmp_path / f"{each.name}.log"
            servers.wait_until_started(each.name, processes[each.name], is_ready, log, 120)
        if written is of_the_chart:
            (api,) = [each for each in serving if each.name == "api"]
            doctor = run(["python", "-m", "tactful", "doctor"], machine.environment(api))
            assert doctor.returncode == 0, doctor.stdout.decode()
            printed = follow_the_page(machine)
            assert re.search(r"^referral-ask +email +suppress +no_address", printed, re.MULTILINE), printed
        began = time.monotonic()
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        for each in serving:
            assert processes[each.name].wait(each.grace - (time.monotonic() - began)) == 0, each.name
    assert list((tmp_path / "empty").iterdir()) == [], "the file system of a container is read-only"
