"""Each guard of the protocols in docs/protocols, by the shortest story that breaks without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.message import HandoverOutcome, HandoverResult
from schemas.times import HOUR
from services.orchestrator.delivery.attempts import AttemptResult
from services.orchestrator.delivery.delivery import HandoverLimits
from services.orchestrator.delivery.results import record_late_results, record_results
from services.orchestrator.policy.ledger import Ledger
from tests.integration.test_one_customer_race import CAP
from tests.support.fresh_databases import migrate
from tests.support.handovers import claim, report
from tests.support.worker_crew import TOPIC, Crew, crew, record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
async def us(pg_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """Two workers under a cap of one an hour."""
    migrate(pg_url, "services.orchestrator")
    async with crew(pg_url, tmp_path, CAP, size=2) as made:
        yield made


async def message(us: Crew, event: str) -> Any:
    """The message of an event."""
    async with us.database.read() as tx:
        return await tx.row("SELECT * FROM tracked_message WHERE event_id = :event", event=event)


async def contact(us: Crew, message_id: str) -> str | None:
    """The state of a message's contact."""
    async with us.database.read() as tx:
        row = await tx.row("SELECT ring FROM ledger")
    found = None if row is None else Ledger.unpack(row.ring).find_contact(message_id)
    return None if found is None else found.state


async def until_claimed(us: Crew, message_id: str) -> None:
    """Return once somebody judges this message."""
    async with asyncio.timeout(30):
        while True:
            async with us.database.read() as tx:
                row = await tx.row("SELECT claimed_until FROM timer WHERE message_id = :id", id=message_id)
            if row is not None and row.claimed_until:
                return
            await asyncio.sleep(0.01)


async def test_an_event_that_was_decided_is_passed_by(us: Crew) -> None:
    """`Consume/no-inbox`: it is known before anything is judged, not only refused by a primary key."""
    event = record("c", "same", "low", us.clock.now())
    for worker in us.workers:
        await worker.decide(event)
    async with us.database.read() as tx:
        assert len(await tx.rows("SELECT message_id FROM decision")) == 1


async def test_a_judge_that_wakes_late_does_not_send_what_another_has_ended(us: Crew) -> None:
    """`Rank/no-state-check`: judged "send" on old facts, frozen, meanwhile suppressed; then it commits."""
    frozen, other = us.workers
    await frozen.decide(record("c", "first", "low", us.clock.now()))
    await frozen.decide(record("c", "second", "low", us.clock.now()))
    waiting = await message(us, "second")
    assert waiting.state == "planned"
    us.clock.advance(2 * HOUR)
    us.others.pause = asyncio.Event()
    late = asyncio.create_task(frozen.scheduler.tick(us.clock.now()))
    await until_claimed(us, waiting.message_id)
    await asyncio.sleep(0.1)
    woken, us.others.pause = us.others.pause, None
    us.others.opted_out.add("c")
    async with us.database.write() as tx:
        await tx.execute("UPDATE timer SET claimed_until = 0")  # the claim has run out
    await other.scheduler.tick(us.clock.now())
    assert (await message(us, "second")).state == "suppressed"
    woken.set()
    await late
    assert (await message(us, "second")).state == "suppressed"
    assert await contact(us, waiting.message_id) is None


async def test_a_rejection_reported_once_more_releases_nothing(us: Crew) -> None:
    """`Rank/release-unchecked`: tried again and made; the first attempt's end is reported a second time."""
    worker = us.workers[0]
    await worker.decide(record("c", "only", "low", us.clock.now()))
    us.provider.odds = {"retry": 1.0}
    await worker.hand_over()
    us.clock.advance(HOUR)
    us.provider.odds = {"accepted": 1.0}
    await worker.scheduler.tick(us.clock.now())
    await worker.hand_over()
    made = await message(us, "only")
    assert (made.state, made.attempts) == ("accepted", 2)
    for number in (1, 2):
        again = AttemptResult("c", number, HandoverResult(made.message_id, "rejected"), True, "webhook")
        await report(us.database, made.handover_id - 2 + number, [again], us.clock.now())
    assert (await message(us, "only")).state == "accepted"
    assert await contact(us, made.message_id) == "made"


@pytest.mark.parametrize(("first", "then"), [("accepted", "unknown"), ("unknown", "accepted")])
async def test_of_two_ends_of_one_attempt_neither_overwrites_the_other(
    us: Crew, first: HandoverOutcome, then: HandoverOutcome
) -> None:
    """Its owner's result, and one that was closed for the owner, at the same moment: what was accepted stays so."""
    await us.workers[0].decide_and_mark(record("c", "only", "low", us.clock.now()))
    made = await message(us, "only")

    async def end(outcome: HandoverOutcome, written: asyncio.Event, commit: asyncio.Event) -> None:
        result = AttemptResult("c", 1, HandoverResult(made.message_id, outcome), False, "webhook")
        async with us.database.write() as tx:
            in_time = await record_results(tx, made.handover_id, [result], us.clock.now())
            written.set()
            await commit.wait()
        if not in_time:
            async with us.database.write() as tx:
                await record_late_results(tx, [result], us.clock.now())

    earlier, later, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(end(first, earlier, go))
        await earlier.wait()
        tasks.create_task(end(then, later, go))
        await asyncio.sleep(0.2)
        assert not later.is_set()
        go.set()
    assert (await message(us, "only")).state == "accepted"
    assert await contact(us, made.message_id) == "made"


async def test_a_rejection_of_an_earlier_attempt_releases_nothing_of_a_later_one(us: Crew) -> None:
    """The second attempt is in flight while the first one's end is reported again."""
    worker = us.workers[0]
    await worker.decide(record("c", "only", "low", us.clock.now()))
    us.provider.odds = {"retry": 1.0}
    await worker.hand_over()
    us.clock.advance(HOUR)
    await worker.scheduler.tick(us.clock.now())
    waiting = await message(us, "only")
    first = AttemptResult("c", 1, HandoverResult(waiting.message_id, "rejected"), True, "webhook")
    async with us.database.write() as tx:
        await claim(tx, waiting.message_id, channel="push")
    await report(us.database, waiting.handover_id, [first], us.clock.now())
    assert (await message(us, "only")).state == "handing_over"
    assert await contact(us, waiting.message_id) == "planned"


async def test_a_dispatcher_that_lost_its_shards_marks_nothing(us: Crew) -> None:
    """`Dispatch/mark-not-fenced`: the epoch of every shard was raised while it slept."""
    sleeper = us.workers[0]
    await sleeper.decide(record("c", "only", "low", us.clock.now()))
    async with us.database.write() as tx:
        await tx.execute("UPDATE shard_lease SET epoch = epoch + 1, owner = 'somebody else'")
    assert await sleeper.hand_over() == 0
    assert (await message(us, "only")).state == "pending"
    assert us.provider.taken == {}


async def test_the_gate_reads_its_facts_after_the_mark(us: Crew) -> None:
    """`Dispatch/facts-before-mark`: whoever asks for open attempts after an opt-out must find this one."""
    worker = us.workers[0]
    await worker.decide(record("c", "only", "low", us.clock.now()))
    seen: list[int] = []

    async def witness() -> None:
        async with us.database.read() as tx:
            seen.append(len(await tx.rows("SELECT message_id FROM tracked_message WHERE state = 'handing_over'")))

    us.others.witness = witness
    await worker.hand_over()
    assert seen and set(seen) == {1}
    assert (await message(us, "only")).state == "accepted"


async def test_what_was_switched_off_after_the_mark_is_not_sent(us: Crew) -> None:
    """The gate's facts hold the opt-out, so the contact is given back and nothing leaves."""
    worker = us.workers[0]
    await worker.decide(record("c", "only", "low", us.clock.now()))
    us.others.opted_out.add("c")
    await worker.hand_over()
    stopped = await message(us, "only")
    assert stopped.state == "suppressed"
    assert await contact(us, stopped.message_id) is None
    assert us.provider.taken == {}


async def test_whoever_judges_again_names_the_positions_that_we_have_committed(us: Crew) -> None:
    """`Fence/no-fence-when-again`: the gate and the scheduler wait for all that the reader has passed and that may
    change facts; for everything where another owner of the partition has not said what does.
    """
    worker = us.workers[0]
    async with us.database.write() as tx:
        await tx.execute(
            "INSERT INTO partition_lease VALUES (:topic, 0, 1, 41), (:topic, 1, 3, 30), ('another', 0, 1, 7)",
            topic=TOPIC,
        )
        await tx.execute("INSERT INTO facts_fence VALUES (:topic, 0, 17, 1), (:topic, 1, 5, 2)", topic=TOPIC)
    await worker.decide(record("c", "first", "low", us.clock.now()))
    await worker.decide(record("c", "second", "low", us.clock.now()))
    us.others.positions.clear()
    await worker.hand_over()
    us.clock.advance(2 * HOUR)
    await worker.scheduler.tick(us.clock.now())
    assert us.others.positions == [{TOPIC: {0: 17, 1: 30}}] * 4
    assert (await message(us, "second")).state == "pending"


async def test_a_gate_that_gets_no_answer_gives_up_at_the_deadline(pg_url: str, tmp_path: Path) -> None:
    """Else others would close the attempt as unknown, though its owner knows that nothing was sent."""
    migrate(pg_url, "services.orchestrator")
    async with crew(pg_url, tmp_path, CAP, size=1, limits=HandoverLimits(deadline=0.5, slack=60.0)) as us:
        await us.workers[0].decide(record("c", "only", "low", us.clock.now()))
        us.others.pause = asyncio.Event()
        async with asyncio.timeout(30):
            await us.workers[0].hand_over()
        waiting = await message(us, "only")
        assert (waiting.state, waiting.detail) == ("retry", "no_facts")


async def test_a_dispatcher_that_is_to_stop_gives_back_what_it_has_no_facts_for(us: Crew) -> None:
    """It does not hold on to its attempts until they are overdue."""
    await us.workers[0].decide(record("c", "only", "low", us.clock.now()))
    us.others.broken = True
    stop = asyncio.Event()
    running = asyncio.create_task(us.workers[0].dispatcher.run_until_stopped(stop))
    async with asyncio.timeout(30):
        while (await message(us, "only")).state != "handing_over":
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert (await message(us, "only")).state == "retry"


async def test_a_dispatcher_starts_while_another_holds_the_shards_locked(us: Crew) -> None:
    """A frozen process may hold its locks for a while; whoever starts meanwhile waits for shards, and lives."""
    first, other = us.workers
    await first.decide(record("c", "only", "low", us.clock.now()))
    stop = asyncio.Event()
    async with us.database.write() as tx:
        await tx.rows("SELECT shard FROM shard_lease FOR UPDATE")
        await other.dispatcher.start()
        assert us.provider.taken == {}
    running = [asyncio.create_task(worker.dispatcher.run_until_stopped(stop)) for worker in us.workers]
    async with asyncio.timeout(30):
        while (await message(us, "only")).state != "accepted":
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*running)
