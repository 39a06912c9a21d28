"""A server counts as lost after two failed probes; readiness follows after 15 s; each change is one line."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from services.kit.errors import Transient
from services.kit.observability import dependency as dependency_module
from services.kit.observability import logs
from services.kit.observability.dependency import Dependency, watch_dependency


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), root.level
    logs.configure_logging("tests", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Machine:
    """A time that moves when it is told to, and a dependency that follows it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.changes: list[bool] = []
        self.dependency = Dependency("kafka", "kafka:9092", monotonic=lambda: self.now)
        self.dependency.on_change.append(self.changes.append)

    def fails(self, at: float) -> None:
        self.now = 1000.0 + at
        self.dependency.record_failure(ConnectionRefusedError(111, "Connection refused"))

    def answers(self, at: float) -> None:
        self.now = 1000.0 + at
        self.dependency.record_answer()

    async def is_ready(self, at: float) -> bool:
        self.now = 1000.0 + at
        try:
            await self.dependency.readiness_check(15.0)()
        except Transient:
            return False
        return True


async def test_one_failed_probe_changes_nothing_and_two_are_a_loss(lines: io.StringIO) -> None:
    machine = Machine()
    machine.answers(0)
    machine.fails(2)
    assert machine.changes == [True]
    machine.answers(3)
    machine.fails(5)
    machine.fails(6)
    assert machine.dependency.is_lost
    for at in range(7, 20):
        machine.fails(at)
    machine.answers(20)
    assert machine.changes == [True, False, True]
    assert [(line["action"], line["dependency"], line["server"]) for line in written(lines)] == [
        ("dependency_lost", "kafka", "kafka:9092"),
        ("dependency_back", "kafka", "kafka:9092"),
    ]
    assert written(lines)[1]["seconds"] == 17.0


async def test_readiness_turns_15_seconds_after_the_last_answer_and_back_with_the_next(lines: io.StringIO) -> None:
    machine = Machine()
    machine.answers(0)
    for at in range(2, 15):
        machine.fails(at)
        assert await machine.is_ready(at)
    assert not await machine.is_ready(17)
    assert machine.dependency.describe() == "kafka: no answer for 17 s from kafka:9092 (Connection refused)"
    machine.answers(18)
    assert await machine.is_ready(18)


async def test_a_process_that_was_itself_held_up_does_not_call_its_servers_lost() -> None:
    machine = Machine()
    machine.answers(0)
    assert await machine.is_ready(600)
    assert not machine.dependency.is_lost


async def test_a_probe_that_hangs_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependency_module, "RETRY_INTERVAL", 0.01)
    machine, stopping = Machine(), asyncio.Event()
    machine.dependency.on_change.append(lambda _: stopping.set())

    async def hangs() -> None:
        machine.now += 1.0
        await asyncio.sleep(60)

    async with asyncio.timeout(5):
        await watch_dependency(machine.dependency, hangs, stopping, timeout=0.01)
    assert machine.dependency.is_lost
    assert machine.dependency.describe().endswith("from kafka:9092 (time-out)")


async def test_a_probe_whose_time_out_came_late_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependency_module, "RETRY_INTERVAL", 0.01)
    monkeypatch.setattr(dependency_module, "PROBE_INTERVAL", 0.01)
    monkeypatch.setattr(dependency_module, "HELD_UP", 0.05)
    machine, stopping, probes = Machine(), asyncio.Event(), 0

    async def is_held_up() -> None:
        nonlocal probes
        probes += 1
        if probes == 3:
            stopping.set()
        time.sleep(0.1)
        await asyncio.sleep(60)

    async with asyncio.timeout(5):
        await watch_dependency(machine.dependency, is_held_up, stopping, timeout=0.01)
    assert machine.changes == [] and machine.dependency.silent_seconds == 0


async def test_the_reason_holds_no_text_of_foreign_errors() -> None:
    dependency = Dependency("database", "db:5432/t")
    dependency.record_failure(ValueError("postgresql://me:secret@db"))
    assert "secret" not in dependency.describe()


def test_another_reason_of_a_loss_is_logged_once(lines: io.StringIO) -> None:
    machine = Machine()
    for at in (1, 2, 3):
        machine.fails(at)
    for _ in range(3):
        machine.dependency.record_failure(Transient("the certificate is not trusted"))
        machine.fails(6)
    reasons = [line["reason"] for line in written(lines)]
    assert reasons == ["Connection refused", "the certificate is not trusted"]
    assert machine.changes == [False]
