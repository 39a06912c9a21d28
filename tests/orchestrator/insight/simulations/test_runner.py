"""The process of a simulation: its limits, and what is said when it hits them."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from schemas.times import HOUR, format_instant
from services.kit.db.database import Database
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.insight.simulations import runner, store
from services.orchestrator.insight.simulations.child_process import SimulationLimits
from services.orchestrator.insight.simulations.runner import SimulationRunner
from services.orchestrator.insight.simulations.store import SimulationState
from tests.support.orchestrator_app import NOON, World, campaign

pytestmark = pytest.mark.wired

SPAN = {"from": format_instant(NOON - HOUR), "to": format_instant(NOON)}


async def asked(here: World) -> str:
    answer = await here.call("marketer", "POST", "/v1/simulations", json={**SPAN, "campaigns": [campaign()]})
    return str(answer.json()["id"])


def recorder() -> HistoryReader:
    """Not asked, as there are no events."""
    return HistoryReader.__new__(HistoryReader)


async def run(here: World, limits: SimulationLimits | None = None, stop: asyncio.Event | None = None) -> bool:
    return await SimulationRunner(here.database, recorder(), here.clock, limits, 0.05).run_next(stop or asyncio.Event())


async def found(database: Database, id: str) -> store.Simulation:
    async with database.read() as tx:
        one = await store.get_simulation(tx, id)
    assert one is not None
    return one


async def test_it_runs_what_is_asked_for_and_leaves_no_file(here: World, tmp_path: Path) -> None:
    assert not await run(here)
    id = await asked(here)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        assert await run(here)
    done = await found(here.database, id)
    assert (done.state, done.progress, done.error) == (SimulationState.DONE, 1000, None)
    assert not list(tmp_path.glob(f"{runner.FOLDER_PREFIX}*"))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (SimulationLimits(memory=30 * 1024 * 1024), "memory or disk limit"),
        (SimulationLimits(disk=10), "memory or disk limit"),
        (SimulationLimits(seconds=0), "longer than 0 s"),
    ],
)
async def test_a_limit_that_is_hit_is_named(here: World, limits: SimulationLimits, said: str) -> None:
    id = await asked(here)
    assert await run(here, limits)
    failed = await found(here.database, id)
    assert failed.state is SimulationState.FAILED and said in (failed.error or "")


async def test_when_this_process_stops_it_is_begun_anew_by_the_next(here: World) -> None:
    id = await asked(here)
    stop = asyncio.Event()
    stop.set()
    assert not await run(here, stop=stop)
    assert (await found(here.database, id)).state is SimulationState.QUEUED
    assert await run(here)
    assert (await found(here.database, id)).state is SimulationState.DONE
