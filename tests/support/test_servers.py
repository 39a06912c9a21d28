"""Servers that do not start: the failure shows the end of the log, and there is a second attempt on other ports."""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import DidNotStart, free_port, start_on_free_ports, wait_until_started


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another process already listens on."""
    with socket.socket() as listener:
        port = free_port()
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield port


def test_a_port_is_not_given_twice_before_its_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setattr(servers, "PORTS", [first, *servers.PORTS])
    chance, draws = random.Random(), [0, 0]
    monkeypatch.setattr("secrets.randbelow", lambda count: draws.pop() if draws else chance.randrange(count))
    assert free_port() != first
    assert not draws


def start_failing(log: Path, script: str, timeout: float = 30) -> None:
    """Start a shell script that is never ready."""
    with log.open("ab") as file:
        process = subprocess.Popen(["sh", "-c", script], stdout=file, stderr=file)
    wait_until_started("the server", process, lambda: False, log, timeout)


def serve(log: Path, port: int) -> subprocess.Popen[bytes]:
    """Python's own server; its log says when it listens, because on a taken port the other process would answer."""
    command = (sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", str(port))
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    wait_until_started("the server", process, lambda: f"port {port} " in log.read_text(), log)
    return process


def test_a_server_that_ends_shows_the_end_of_its_log(tmp_path: Path) -> None:
    lines = "for n in $(seq 100); do echo line $n; done; echo disk full >&2; exit 3"
    with pytest.raises(DidNotStart, match="the server did not start: it ended with status 3") as failure:
        start_failing(tmp_path / "server.log", lines)
    said = str(failure.value).splitlines()
    assert said[-2:] == ["line 100", "disk full"]
    assert len(said) == servers.LOG_LINES + 1


def test_a_server_that_is_not_ready_in_time_is_killed_and_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match=r"not ready within 0\.5 s.*\nprocess \d+ is loading") as failure:
        start_failing(tmp_path / "server.log", "echo process $$ is loading; exec sleep 60", timeout=0.5)
    process = int(str(failure.value).split()[-3])
    assert not Path("/proc", str(process)).exists()


def test_a_server_whose_port_is_taken_starts_on_another(tmp_path: Path, taken: int) -> None:
    ports = iter([taken, free_port()])
    log = tmp_path / "server.log"
    process = start_on_free_ports(lambda: serve(log, next(ports)))
    process.kill()
    process.wait()
    assert "Address already in use" in log.read_text()
    assert next(ports, None) is None


def test_nobody_tries_a_third_time(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with pytest.raises(DidNotStart, match="attempt"):
        start_on_free_ports(lambda: start_failing(log, "echo attempt; exit 1"))
    assert log.read_text() == "attempt\n" * 2


@pytest.mark.integration
def test_postgresql_on_a_taken_port_starts_on_another(server_directory: Path, taken: int) -> None:
    ports = iter([taken, free_port()])
    with servers.postgres(server_directory / "postgres-second-port", lambda: next(ports)) as server:
        assert server.port != taken
        assert server.database().endswith("/test_1")
        assert "could not bind" in (server.directory / "server.log").read_text()


@pytest.mark.integration
def test_a_broken_kafka_shows_the_end_of_its_log(server_directory: Path) -> None:
    broken = {"JAVA_TOOL_OPTIONS": "-XX:NoSuchOptionOfJava"}
    with pytest.raises(DidNotStart, match=r"(?s)Kafka did not start.*NoSuchOptionOfJava"):
        with servers.kafka(server_directory / "broken-kafka", broken):
            pass


def test_a_broker_that_ended_by_itself_says_so_at_its_end(tmp_path: Path) -> None:
    broker = servers.Kafka(tmp_path, 0, 0)
    (tmp_path / "server.log").write_text("fine so far\nno memory left\n")
    broker.process = subprocess.Popen(["sh", "-c", "exit 3"])
    broker.process.wait()
    with pytest.raises(servers.EndedByItself, match="has ended by itself, with 3:\nfine so far\nno memory left"):
        broker.kill()
    broker.kill()
