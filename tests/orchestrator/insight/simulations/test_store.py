"""The queue of simulations, on both databases: one at a time, begun again once, few kept."""

import pytest

from services.kit.db.database import Database
from services.orchestrator.insight.simulations import store
from services.orchestrator.insight.simulations.store import RunResult, SimulationState
from tests.support.orchestrator_app import NOON, World

pytestmark = pytest.mark.wired

LATER = NOON + store.HEARTBEAT_TIMEOUT + 1


async def add(database: Database, *ids: str) -> None:
    async with database.write() as tx:
        for place, id in enumerate(ids):
            await store.enqueue(tx, id, "ada", {}, {"of": id}, NOON + place)


async def state(database: Database, id: str) -> store.Simulation:
    async with database.read() as tx:
        found = await store.get_simulation(tx, id)
    assert found is not None
    return found


async def test_one_runs_at_a_time_the_oldest_first(here: World) -> None:
    await add(here.database, "a", "b")
    async with here.database.write() as tx:
        first = await store.claim_next(tx, NOON, NOON)
        assert first is not None and (first.id, first.request, first.tries) == ("a", {"of": "a"}, 1)
        assert await store.claim_next(tx, NOON, NOON) is None
        await store.record_result(tx, first, RunResult(b'{"runs":{}}', b"<svg>", ["a note"]), NOON + 5)
        second = await store.claim_next(tx, NOON, NOON)
        assert second is not None and second.id == "b"
        assert (await store.get_result(tx, "a"), await store.get_picture(tx, "a")) == ({"runs": {}}, b"<svg>")
    done = await state(here.database, "a")
    assert (done.state, done.progress, done.finished, done.notes) == (SimulationState.DONE, 1000, NOON + 5, ["a note"])


async def test_what_ran_in_a_process_that_is_gone_is_begun_once_more_and_then_failed(here: World) -> None:
    await add(here.database, "a")
    async with here.database.write() as tx:
        first = await store.claim_next(tx, NOON, NOON)
        assert first is not None
        assert await store.record_heartbeat(tx, first, 500, NOON)
        again = await store.claim_next(tx, NOON, LATER)
        assert again is not None and again.tries == 2
        assert not await store.record_heartbeat(tx, first, 600, LATER)
        await store.record_result(tx, first, RunResult(b"{}", b""), NOON)
        assert await store.claim_next(tx, NOON, LATER + store.HEARTBEAT_TIMEOUT + 1) is None
    failed = await state(here.database, "a")
    assert (failed.state, failed.error) == (SimulationState.FAILED, "the simulation process died twice")


async def test_what_is_given_back_waits_again_and_does_not_count_as_a_try(here: World) -> None:
    await add(here.database, "a")
    async with here.database.write() as tx:
        for _ in range(3):
            claimed = await store.claim_next(tx, NOON, NOON)
            assert claimed is not None and claimed.tries == 1
            await store.requeue(tx, claimed)


async def test_only_the_newest_that_have_ended_are_kept(here: World) -> None:
    await add(here.database, "waits")
    async with here.database.write() as tx:
        waits = await store.claim_next(tx, NOON, NOON)
        assert waits is not None
        for place in range(store.MAX_KEPT + 5):
            await store.enqueue(tx, f"s-{place:03}", "ada", {}, {}, NOON + 10 + place)
            await tx.execute("UPDATE simulation SET state = 'done' WHERE id LIKE 's-%'")
        found = await store.list_simulations(tx, None, 200)
        assert len(found) <= store.MAX_KEPT + 2
        assert {"waits", f"s-{store.MAX_KEPT + 4:03}"} <= {each.id for each in found}
        assert "s-000" not in {each.id for each in found}
