"""A service starts and stops its app, its consume loop, its jobs and its hooks in a fixed order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import APIRouter

from services.kit.bus.local_bus import LocalBus
from services.kit.db.database import Database
from services.kit.http.idempotency import RETENTION, IdempotencyStore
from services.kit.observability.health import Health
from services.kit.runtime.service import Service
from tests.support.http_apps import app_of
from tests.support.recording_consumer import (
    TOPIC,
    Effects,
    effects,
    loop_of,
    open_database,
    publish,
    until,
    until_applied,
)

pytestmark = pytest.mark.wired


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    yield opened
    await opened.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    opened = LocalBus(tmp_path / "log.db")
    yield opened
    await opened.close()


def service_of(bus: LocalBus, database: Database) -> Service:
    return Service(app_of(APIRouter()), Health(), bus, {TOPIC: 4}, IdempotencyStore(database))


async def test_start_and_stop_keep_their_order(bus: LocalBus, database: Database) -> None:
    service, steps = service_of(bus, database), list[str]()

    async def hook() -> None:
        steps.append(f"before: {len(await bus.end_offsets(TOPIC))} partitions")

    async def job(stop: asyncio.Event) -> None:
        steps.append("job begins")
        await stop.wait()
        steps.append("job ends")

    async def after() -> None:
        steps.append("after")

    service.before_jobs(hook)
    service.add_job("job", job)
    service.after_stop(after)
    await service.start()
    assert (service.health.started, service.health.stopping) == (True, False)
    await asyncio.sleep(0)
    await service.stop()
    assert (await service.health.run_checks())["not_stopping"].ok is False
    assert steps == ["before: 4 partitions", "job begins", "job ends", "after"]


async def test_the_consume_loop_finishes_its_batch_before_what_follows_it(bus: LocalBus, database: Database) -> None:
    service, handler, followed = service_of(bus, database), Effects(), list[int]()

    async def follow() -> None:
        followed.append(sum(handler.done))

    service.add_consume_loop("g", loop_of(bus, database, handler), then=follow)
    await service.start()
    await publish(bus, 30)
    await until_applied(database, 30)
    await service.stop()
    assert followed == [30]
    assert await effects(database) == Counter(range(30))


async def test_a_job_that_does_not_end_in_time_is_cancelled(bus: LocalBus, database: Database) -> None:
    service, ends = service_of(bus, database), list[str]()

    async def deaf(_stop: asyncio.Event) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    service.add_job("deaf", deaf)
    await service.start()
    await asyncio.sleep(0)
    await service.stop(drain=0.05)
    assert ends == ["cancelled"]


async def test_stop_raises_what_ended_a_job(bus: LocalBus, database: Database) -> None:
    service, closed = service_of(bus, database), list[str]()

    async def broken(_stop: asyncio.Event) -> None:
        raise RuntimeError("broken")

    async def close() -> None:
        closed.append("closed")

    service.add_job("broken", broken)
    service.after_stop(close)
    await service.start()
    await asyncio.wait(service.tasks, return_when=asyncio.FIRST_EXCEPTION, timeout=5)
    with pytest.raises(RuntimeError, match="broken"):
        await service.stop()
    assert closed == ["closed"]


async def test_a_hook_that_refuses_prevents_the_start(bus: LocalBus, database: Database) -> None:
    service = service_of(bus, database)

    async def refuse() -> None:
        raise RuntimeError("another key")

    service.before_jobs(refuse)
    with pytest.raises(RuntimeError, match="another key"):
        await service.start()
    assert service.tasks == []
    assert not service.health.started


async def test_only_a_job_that_moves_sends_heartbeats(
    bus: LocalBus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.runtime.service.HEARTBEAT_SECONDS", 0.01)
    service, ticks = service_of(bus, database), 0

    def monotonic() -> float:
        nonlocal ticks
        ticks += 1
        return float(ticks)

    async def wait(stop: asyncio.Event) -> None:
        await stop.wait()

    service.health.monotonic = monotonic
    service.add_job("moves", wait)
    service.add_job("hangs", wait, is_moving=lambda: False)
    await service.start()
    registered = service.health.beats["hangs"]
    await asyncio.sleep(0.1)
    assert service.health.beats["hangs"] == registered
    assert service.health.beats["moves"] > registered + 3
    await service.stop()


async def test_stored_responses_that_have_expired_are_removed(bus: LocalBus, database: Database) -> None:
    service = service_of(bus, database)
    async with database.write() as tx:
        await tx.execute(
            "INSERT INTO idempotency (key, principal, fingerprint, at, status) VALUES ('k', 'p', 'f', :at, 200)",
            at=await database.now() - 2 * RETENTION,
        )

    async def gone() -> bool:
        async with database.read() as tx:
            return await tx.row("SELECT key FROM idempotency") is None

    await service.start()
    await until(gone, within=5)
    await service.stop()
