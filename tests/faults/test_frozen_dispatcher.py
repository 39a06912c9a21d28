"""Between the gate and the first byte a dispatcher may sleep for as long as it likes: no opt-out is broken by it.

See docs/protocols: an attempt whose owner is silent is closed by others only after deadline, slack and clock error;
by then the owner's own alarm has killed it, or it finds its deadline passed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation
from tests.support.kafka_event_producer import Sent
from tests.support.seed_documents import NEWS
from tests.support.service_processes import ADMIN_KEY, Process, guest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

REST = 180.0
CLOSED_AFTER = 5.0
"""Seconds: deadline 3, slack 1, clock error 1."""


WAYS = pytest.mark.parametrize(("role", "door"), [("decide", "preference"), ("dispatch", "suppression")])
"""The straight way and the one by the outbox: who marks, decides or dispatches."""


@asynccontextmanager
async def frozen(world: Installation, role: str, point: str, tmp_path: Path, name: str) -> AsyncIterator[Process]:
    """Nobody dispatches, and who marks has stopped dead while it hands a message to this customer over."""
    mark = tmp_path / "frozen"
    assert world.cluster["dispatch"].terminate(30.0) == 0
    assert world.cluster["decide"].terminate(30.0) == 0
    usual = world.cluster["decide"].environment
    if role == "dispatch":
        world.cluster["decide"].environment = {**usual, "STRAIGHT_ROOM": "0"}
        world.cluster["decide"].start()
    sleeper = guest(world.cluster, f"{role}-sleeper", "tests.support.freezing_orchestrator")
    sleeper.environment = {**sleeper.environment, "FREEZE_AT": point, "FREEZE_FILE": str(mark)}
    sleeper.start()
    await asyncio.to_thread(sleeper.wait_ready)
    try:
        async with world.shop() as shop:
            await world.customers(shop, 1, name)
            await shop.send(Sent(f"{name}-news", NEWS, f"{name}-0", {"n": 1}))
            async with asyncio.timeout(REST):
                while not mark.exists():
                    await asyncio.sleep(0.01)
        yield sleeper
    finally:
        if sleeper.alive:
            sleeper.thaw()
            sleeper.kill()
        world.cluster.dismiss(sleeper.name)
        if world.cluster["decide"].alive:
            assert world.cluster["decide"].terminate(30.0) == 0
        world.cluster["decide"].environment = usual
        for each in ("decide", "dispatch"):
            if not world.cluster[each].alive:
                world.cluster[each].start()
            await asyncio.to_thread(world.cluster[each].wait_ready)


async def opt_out(world: Installation, door: str, customer: str) -> int:
    """Say no; the answer's status."""
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=world.cluster[door].url, headers=key, timeout=60) as client:
        if door == "preference":
            answer = await client.post(f"/v1/preferences/{customer}/optout", json={"class": "marketing"})
        else:
            answer = await client.post("/v1/suppressions", json={"customer": customer, "reason": "manual"})
    return answer.status_code


async def enforced(world: Installation, door: str, customer: str) -> int:
    """Say no until the answer is 200; when that came, in nanoseconds of the machine's clock."""
    async with asyncio.timeout(REST):
        while await opt_out(world, door, customer) != 200:
            await asyncio.sleep(0.1)
    return time.monotonic_ns()


def started(world: Installation, customer: str) -> list[int]:
    """When handovers to this customer reached the provider."""
    return [receipt.started for receipt in receipts(world.cluster.receipts) if receipt.customer == customer]


@WAYS
async def test_a_dispatcher_that_wakes_late_finds_its_deadline_passed(
    installed: Installation, tmp_path: Path, role: str, door: str
) -> None:
    """Frozen before the check, so no alarm is armed: 202 while nobody can know, nothing sent after it wakes."""
    name = f"late-{door}"
    async with frozen(installed, role, "check", tmp_path, name) as sleeper:
        assert await opt_out(installed, door, f"{name}-0") == 202
        installed.cluster["dispatch"].start()  # who closes the attempt once its time is over
        answered = await enforced(installed, door, f"{name}-0")
        sleeper.thaw()
        await asyncio.sleep(CLOSED_AFTER)
        assert sleeper.alive
    await installed.evidence.rest(REST)
    assert [at for at in started(installed, f"{name}-0") if at > answered] == []


@WAYS
async def test_a_dispatcher_frozen_after_its_check_is_killed_by_its_own_alarm(
    installed: Installation, tmp_path: Path, role: str, door: str
) -> None:
    """A stopped process dies too; only then does anybody close its attempt."""
    name = f"armed-{door}"
    async with frozen(installed, role, "byte", tmp_path, name) as sleeper:
        assert await asyncio.to_thread(sleeper.wait, CLOSED_AFTER) == -signal.SIGKILL
        assert await opt_out(installed, door, f"{name}-0") == 202
        installed.cluster["dispatch"].start()
        await enforced(installed, door, f"{name}-0")
    await installed.evidence.rest(REST)
    assert started(installed, f"{name}-0") == []


@pytest.mark.parametrize("role", ["decide", "dispatch"])
async def test_a_sleeper_is_not_declared_dead_before_its_time(
    installed: Installation, tmp_path: Path, role: str
) -> None:
    """A lease that has run out closes nothing: another dispatcher may not conclude anything from silence."""
    async with frozen(installed, role, "check", tmp_path, f"early-{role}") as sleeper:
        opened = await installed.evidence.query(
            f"SELECT opened, message_id FROM open_attempt WHERE customer = 'early-{role}-0'"
        )
        installed.cluster["dispatch"].start()
        sql = "SELECT closed_at FROM attempt WHERE message_id = $1"
        async with asyncio.timeout(REST):
            while not (closed := await installed.evidence.query(sql, opened[0]["message_id"])):
                await asyncio.sleep(0.2)
        assert closed[0]["closed_at"] - opened[0]["opened"] >= CLOSED_AFTER * 1e6
        sleeper.thaw()
        await installed.evidence.rest(REST)
    assert len(started(installed, f"early-{role}-0")) == 1  # sent again, under the same id, by the other one
