"""The straight way keeps what the way through the outbox keeps: mark, then look, then hand over, then settle."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.kit.bus.batch import Batch
from services.orchestrator.decisions.evaluation import ClaimedMessage
from services.orchestrator.delivery import claims
from services.orchestrator.delivery.delivery import HandoverLimits
from tests.integration.test_guards import contact, message, us
from tests.integration.test_one_customer_race import CAP
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, crew, record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

__all__ = ["us"]


async def states(us: Crew) -> list[str]:
    """What has been noted of contacts, in order."""
    async with us.database.read() as tx:
        return [row.state for row in await tx.rows("SELECT state FROM contact_history ORDER BY seq")]


async def waiting(us: Crew) -> int:
    """How many messages lie in the outbox."""
    async with us.database.read() as tx:
        return len(await tx.rows("SELECT seq FROM outbox"))


async def test_a_message_is_marked_as_it_is_decided_and_needs_no_outbox(us: Crew) -> None:
    worker = us.workers[0]
    prepared = await worker.decide_and_mark(record("c", "only", "low", us.clock.now()))
    marked = await message(us, "only")
    assert (marked.state, marked.attempts, await waiting(us)) == ("handing_over", 1, 0)
    assert us.provider.taken == {}
    await worker.go(prepared)
    made = await message(us, "only")
    assert (made.state, made.attempts, await contact(us, made.message_id)) == ("accepted", 1, "made")
    assert await states(us) == ["made"]
    assert list(us.provider.taken) == ["c"]


async def test_what_was_switched_off_after_the_mark_is_not_sent(us: Crew) -> None:
    worker = us.workers[0]
    prepared = await worker.decide_and_mark(record("c", "only", "low", us.clock.now()))
    us.others.opted_out.add("c")
    await worker.go(prepared)
    stopped = await message(us, "only")
    assert (stopped.state, await contact(us, stopped.message_id)) == ("suppressed", None)
    assert us.provider.taken == {}


async def test_the_last_look_comes_after_the_mark(us: Crew) -> None:
    """Whoever asks for open attempts after an opt-out finds this one, before the facts of the last look are read."""
    worker = us.workers[0]
    seen: list[int] = []

    async def witness() -> None:
        async with us.database.read() as tx:
            seen.append(len(await tx.rows("SELECT message_id FROM tracked_message WHERE state = 'handing_over'")))

    prepared = await worker.decide_and_mark(record("c", "only", "low", us.clock.now()))
    us.others.witness = witness
    await worker.go(prepared)
    assert seen and set(seen) == {1}


async def judged_again(us: Crew, marked: Sequence[ClaimedMessage]) -> tuple[set[str], set[str]]:
    """The customers whose messages the last look judges, and those whose messages it refuses."""
    look, owners = (
        await us.workers[0].straight._delivery.recheck(marked),
        {item.message.id: item.message.customer for item in marked},
    )
    return {owners[message] for message in look.triggered_campaigns}, {owners[message] for message in look.refused}


async def test_the_last_look_judges_again_what_may_have_changed(us: Crew) -> None:
    now = us.clock.now()
    records = record("a", "one", "low", now), record("b", "two", "low", now), record("b", "three", "low", now)
    marked = (await us.workers[0].decide_and_mark(*records)).claimed_messages
    assert [item.message.customer for item in marked] == ["a", "b"]
    assert await judged_again(us, marked) == ({"b"}, set())  # of several contacts decided together, one may bar another
    us.others.opted_out.add("a")
    assert await judged_again(us, marked) == ({"a", "b"}, {"a"})
    us.others.opted_out.clear()
    us.clock.advance(60_000_000)
    assert await judged_again(us, marked) == ({"a", "b"}, set())  # quiet hours may have begun


async def test_a_campaign_that_was_paused_after_the_mark_is_judged_again(us: Crew) -> None:
    marked = (await us.workers[0].decide_and_mark(record("a", "one", "low", us.clock.now()))).claimed_messages
    async with us.database.write() as tx:
        await tx.execute("UPDATE campaign SET status = 'paused' WHERE key = 'low'")
        await tx.execute("UPDATE campaign_version SET status = 'paused' WHERE key = 'low' AND status = 'active'")
        await tx.execute("UPDATE catalogue_state SET version = version + 1")
    assert await judged_again(us, marked) == ({"a"}, {"a"})


async def test_of_two_that_were_allowed_together_one_bars_the_other(us: Crew) -> None:
    """The higher one passed the lower one, which was merely planned; by the time of its look that one is made."""
    now = us.clock.now()
    prepared = await us.workers[0].decide_and_mark(record("c", "one", "low", now), record("c", "two", "high", now))
    assert len(prepared.claimed_messages) == 2
    await us.workers[0].go(prepared)
    assert sorted([(await message(us, event)).state for event in ("one", "two")]) == ["accepted", "planned"]
    assert sum(map(len, us.provider.taken["c"].values())) == 1


async def test_a_cap_holds_for_what_goes_straight(us: Crew) -> None:
    """Both of one batch, and one of another worker that read the ledger before."""
    first, other = us.workers
    now = us.clock.now()
    late = await other.by_itself.prepare(Batch.from_records([record("c", "late", "low", now)]))
    prepared = await first.decide_and_mark(record("c", "one", "low", now), record("c", "two", "low", now))
    async with other.database.write() as tx:
        await other.by_itself.apply(tx, late)
    await first.go(prepared)
    await other.go(late)
    assert [(await message(us, event)).state for event in ("one", "two", "late")] == ["accepted", "planned", "planned"]
    assert sum(map(len, us.provider.taken["c"].values())) == 1


async def test_what_finds_no_room_goes_through_the_outbox(us: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MAX_IN_FLIGHT", 1)
    worker = us.workers[0]
    now = us.clock.now()
    prepared = await worker.decide_and_mark(record("c", "one", "low", now), record("d", "two", "low", now))
    assert [(await message(us, event)).state for event in ("one", "two")] == ["handing_over", "pending"]
    await worker.go(prepared)
    assert list(us.provider.taken) == ["c"]
    assert await worker.hand_over() == 1
    assert list(us.provider.taken) == ["c", "d"]


async def test_room_that_was_taken_is_given_back(us: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MAX_IN_FLIGHT", 1)
    worker = us.workers[0]
    for name in ("c", "d"):
        await worker.go(await worker.decide_and_mark(record(name, f"of-{name}", "low", us.clock.now())))
    assert list(us.provider.taken) == ["c", "d"]


async def test_who_is_to_stop_marks_nothing_more_and_gives_back_what_has_not_begun(us: Crew) -> None:
    worker = us.workers[0]
    begun = await worker.decide_and_mark(record("c", "one", "low", us.clock.now()))
    worker.straight.stop_claiming()
    await worker.go(begun)
    await worker.decide_and_mark(record("d", "two", "low", us.clock.now()))
    assert [(await message(us, event)).state for event in ("one", "two")] == ["retry", "pending"]
    assert us.provider.taken == {}


async def test_what_was_marked_by_one_who_died_is_tried_again_under_the_same_id(pg_url: str, tmp_path: Path) -> None:
    migrate(pg_url, "services.orchestrator")
    async with crew(pg_url, tmp_path, CAP, size=2, limits=HandoverLimits(deadline=2.0, slack=0.1)) as us:
        dead, other = us.workers
        await dead.decide_and_mark(record("c", "only", "low", us.clock.now()))
        async with asyncio.timeout(30):
            while (await message(us, "only")).state != "retry":
                await other.recovery.close_overdue()
                await asyncio.sleep(0.05)
        us.clock.advance(60_000_000)
        await other.scheduler.tick(us.clock.now())
        for worker in us.workers:  # whoever has its shard
            await worker.hand_over()
        made = await message(us, "only")
        assert (made.state, made.attempts, len(us.provider.taken["c"])) == ("accepted", 2, 1)
