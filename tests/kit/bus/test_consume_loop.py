"""The consume loop: every record has its effect once, whatever fails in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kit.bus.batch import Batch
from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.partition_lease import claim_partitions, read_applied_offsets, read_leases
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Database
from services.kit.errors import DatabaseGone, Invalid, Transient
from tests.support.recording_consumer import (
    TOPIC,
    Effects,
    count,
    effects,
    loop_of,
    open_database,
    publish,
    refuse,
    running,
    until,
    until_applied,
)

pytestmark = pytest.mark.wired


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    opened = LocalBus(tmp_path / "log.db")
    await opened.ensure_topics({TOPIC: 4})
    yield opened
    await opened.close()


async def test_every_record_is_applied_once_and_the_offsets_say_so(bus: LocalBus, database: Database) -> None:
    await publish(bus, 300)
    handler = Effects()
    async with running(loop_of(bus, database, handler)):
        await publish(bus, 200, first=300)
        await until_applied(database, 500)
    assert await effects(database) == Counter(range(500))
    assert sum(handler.done) == 500
    assert max(handler.prepared) <= 50
    async with database.read() as tx:
        assert await read_applied_offsets(tx) == await bus.end_offsets(TOPIC)


async def test_a_loop_reads_on_where_the_database_stands(bus: LocalBus, database: Database) -> None:
    await publish(bus, 100)
    async with running(loop_of(bus, database, Effects())):
        await until_applied(database, 100)
    await publish(bus, 100, first=100)
    second = Effects("b")
    async with running(loop_of(bus, database, second)):
        await until_applied(database, 200)
    assert await effects(database) == Counter(range(200))
    assert sum(second.done) == 100


async def test_each_key_is_applied_in_order(bus: LocalBus, database: Database) -> None:
    await publish(bus, 400, keys=7)
    async with running(loop_of(bus, database, Effects())):
        await until_applied(database, 400)
    async with database.read() as tx:
        values = [int(row.value) for row in await tx.rows("SELECT value FROM effect ORDER BY id")]
    for key in range(7):
        mine = [value for value in values if value % 7 == key]
        assert mine == sorted(mine)


async def test_a_crash_between_writing_and_commit_leaves_nothing(bus: LocalBus, database: Database) -> None:
    """Mutant two-transactions of Consume.tla: the effect and the offset must share their transaction."""
    await publish(bus, 200)
    chance = random.Random(7)
    for life in range(8):
        handler = Effects(str(life))

        async def die(records: list[Record], task: list[asyncio.Task[None]]) -> None:
            if chance.random() < 0.4:
                task[0].cancel()
                await asyncio.sleep(1)

        loop = loop_of(bus, database, handler, max_batch=9)
        holder: list[asyncio.Task[None]] = []
        handler.on_apply = lambda records, h=holder: die(records, h)  # type: ignore[misc]
        holder.append(asyncio.create_task(loop.run()))
        await asyncio.wait(holder, timeout=0.3)
        if not holder[0].cancelling():  # a second time would keep it from leaving the group, as no dead process does
            holder[0].cancel()
        await asyncio.gather(*holder, return_exceptions=True)
    async with running(loop_of(bus, database, Effects("last"))):
        await until_applied(database, 200)
    assert await effects(database) == Counter(range(200))


async def test_a_zombie_commits_nothing(bus: LocalBus, database: Database, tmp_path: Path) -> None:
    """Mutant no-epoch-check of Consume.tla: two loops believe that they own everything; the older one is frozen."""
    await publish(bus, 40)
    frozen, thaw = asyncio.Event(), asyncio.Event()
    zombie = Effects("zombie")

    async def freeze(_: Batch) -> None:
        frozen.set()
        await thaw.wait()

    zombie.on_prepare = freeze
    async with running(loop_of(bus, database, zombie, group="zombie")):
        await frozen.wait()
        async with running(loop_of(bus, database, Effects("heir"), group="heir")):
            await until_applied(database, 40)
            async with database.read() as tx:
                before = await read_leases(tx, await bus.end_offsets(TOPIC))
            zombie.on_prepare = Effects().on_prepare
            thaw.set()
            await asyncio.sleep(0.3)
            assert await effects(database) == Counter(range(40))
            async with database.read() as tx:
                after = await read_leases(tx, before)
            assert {p: lease.applied_offset for p, lease in after.items()} == {
                p: lease.applied_offset for p, lease in before.items()
            }
    async with database.read() as tx:
        assert {row.worker for row in await tx.rows("SELECT DISTINCT worker FROM effect")} == {"heir"}


async def test_a_partition_lost_to_another_epoch_is_taken_back_while_the_group_gives_it(
    bus: LocalBus, database: Database
) -> None:
    await publish(bus, 20)
    async with running(loop_of(bus, database, Effects())):
        await until_applied(database, 20)
        async with database.write() as tx:
            await claim_partitions(tx, await bus.end_offsets(TOPIC))
        await publish(bus, 20, first=20)
        await until_applied(database, 40)
    assert await effects(database) == Counter(range(40))


async def test_two_loops_of_a_group_come_and_go_without_loss_or_repetition(bus: LocalBus, database: Database) -> None:
    async def keep_publishing() -> None:
        for n in range(0, 1000, 20):
            await publish(bus, 20, first=n, keys=50)
            await asyncio.sleep(0.01)

    async def come_and_go() -> None:
        for life in range(6):
            async with running(loop_of(bus, database, Effects(f"guest{life}"), max_batch=7)):
                await asyncio.sleep(0.15)

    async with running(loop_of(bus, database, Effects("host"), max_batch=7)):
        await asyncio.gather(keep_publishing(), come_and_go())
        await until_applied(database, 1000)
    assert await effects(database) == Counter(range(1000))


@pytest.mark.parametrize("bad", [[17], [0], [99], [3, 4, 50]])
async def test_a_poison_record_is_dead_lettered_alone(bus: LocalBus, database: Database, bad: list[int]) -> None:
    await publish(bus, 100)
    handler = Effects()
    handler.on_prepare = refuse(*bad)
    async with running(loop_of(bus, database, handler)):
        await until_applied(database, 100)
    assert await effects(database) == Counter(set(range(100)) - set(bad))
    async with database.read() as tx:
        letters = await tx.rows("SELECT * FROM dead_letter")
        holds = {row.customer for row in await tx.rows("SELECT customer FROM hold")}
        assert await read_applied_offsets(tx) == await bus.end_offsets(TOPIC)
    assert sorted(int(letter.value) for letter in letters) == bad
    assert {(letter.error_class, letter.error_message, letter.stage) for letter in letters} == {
        ("Invalid", "unreadable", "test")
    }
    assert holds == {f"c{value % 20}" for value in bad}


async def test_a_record_that_prepare_rejects_is_dead_lettered_with_its_batch(bus: LocalBus, database: Database) -> None:
    await publish(bus, 50)
    handler = Effects()

    async def reject(batch: Batch) -> None:
        for record in batch.records:
            if int(record.value or b"") % 10 == 0:
                batch.reject(record, Invalid("no"))

    handler.on_prepare = reject
    async with running(loop_of(bus, database, handler)):
        await until_applied(database, 50)
    assert len(handler.prepared) <= 4
    assert await effects(database) == Counter(n for n in range(50) if n % 10)
    assert await count(database, "dead_letter") == 5


async def test_a_record_that_the_database_refuses_is_found_and_passed(bus: LocalBus, database: Database) -> None:
    await publish(bus, 60)
    handler = Effects()

    async def broken(records: list[Record]) -> None:
        if any(record.value == b"33" for record in records):
            raise KeyError("a mistake of ours")

    handler.on_apply = broken
    async with running(loop_of(bus, database, handler)):
        await until_applied(database, 60)
    assert await effects(database) == Counter(set(range(60)) - {33})
    async with database.read() as tx:
        letter = await tx.row("SELECT error_class, attempts FROM dead_letter")
    assert letter is not None and tuple(letter) == ("KeyError", 3)


async def test_a_mistake_that_hits_every_record_ends_the_loop(
    bus: LocalBus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.bus.record_applier.MAX_UNEXPECTED_FAILURES", 3)
    await publish(bus, 30)
    handler = Effects()

    async def broken(_: list[Record]) -> None:
        raise KeyError("a mistake of ours")

    handler.on_apply = broken
    with pytest.raises(KeyError):
        await loop_of(bus, database, handler, max_batch=2).run()
    assert await count(database, "dead_letter") == 3


async def test_what_may_pass_is_waited_out_and_nothing_is_dead_lettered(bus: LocalBus, database: Database) -> None:
    await publish(bus, 30)
    handler = Effects()
    failures = 0

    async def fail(_: object) -> None:
        nonlocal failures
        failures += 1
        if failures <= 6:
            raise Transient("down", retry_after=0.01)

    handler.on_prepare = handler.on_apply = fail
    async with running(loop_of(bus, database, handler)):
        await until_applied(database, 30)
    assert await effects(database) == Counter(range(30))
    assert await count(database, "dead_letter") == 0


async def test_a_commit_of_unknown_outcome_that_succeeded_is_not_repeated(bus: LocalBus, database: Database) -> None:
    await publish(bus, 30)
    handler = Effects()
    loop = loop_of(bus, database, handler)
    advance = loop._applier._commit
    lied = 0

    async def commit_then_lose_the_answer(batch: Batch, write_effects: object) -> None:
        nonlocal lied
        await advance(batch, write_effects)  # type: ignore[arg-type]
        if lied < 2:
            lied += 1
            raise DatabaseGone("connection lost in commit", retry_after=0.01)

    loop._applier._commit = commit_then_lose_the_answer  # type: ignore[method-assign]
    async with running(loop):
        await until_applied(database, 30)
        await publish(bus, 10, first=30)
        await until_applied(database, 40)
    assert lied == 2
    assert await effects(database) == Counter(range(40))
    assert sum(handler.done) == 40
    async with database.read() as tx:
        assert {row.epoch for row in await tx.rows("SELECT epoch FROM partition_lease")} == {1}


async def test_a_steady_trickle_is_taken_in_batches_at_the_pace(bus: LocalBus, database: Database) -> None:
    handler = Effects()
    async with running(loop_of(bus, database, handler, pace=0.2)):
        await publish(bus, 1)
        await until_applied(database, 1)
        began = time.monotonic()
        for number in range(1, 100):
            await publish(bus, 1, first=number)
            await asyncio.sleep(0.005)
        await until_applied(database, 100)
        most = 2 + (time.monotonic() - began) / 0.2
    assert len(handler.done) <= most


async def test_a_record_after_a_pause_is_taken_at_once(bus: LocalBus, database: Database) -> None:
    async with running(loop_of(bus, database, Effects(), pace=3600.0)):
        await publish(bus, 1)
        await until_applied(database, 1)


async def test_what_somebody_waits_for_is_taken_without_waiting(bus: LocalBus, database: Database) -> None:
    signal = WakeSignal()
    async with running(loop_of(bus, database, Effects(), pace=3600.0, wake=signal)):
        await publish(bus, 1)
        await until_applied(database, 1)
        await publish(bus, 20, first=1)
        await wait_until_applied(database, await bus.end_offsets(TOPIC), 30.0, signal)


async def test_where_batches_take_long_half_of_the_time_is_left_to_others(bus: LocalBus, database: Database) -> None:
    handler, taken = Effects(), list[float]()

    async def work(_: Batch) -> None:
        taken.append(time.monotonic())
        await asyncio.sleep(0.04)

    handler.on_prepare = work
    async with running(loop_of(bus, database, handler, pace=0.001)):
        for number in range(200):
            await publish(bus, 1, first=number)
            await asyncio.sleep(0.002)
        await until_applied(database, 200)
    # From the first to the last: a batch that is late by itself lies nearer to the next one.
    batches = len(taken) - 2
    assert batches >= 2
    assert (taken[-1] - taken[1]) / batches >= 0.08


async def test_full_batches_follow_each_other_without_waiting(bus: LocalBus, database: Database) -> None:
    await publish(bus, 200)
    async with running(loop_of(bus, database, Effects(), pace=3600.0, max_batch=50)):
        await until_applied(database, 200)


async def test_the_bus_reads_ahead_only_under_a_backlog(bus: LocalBus, database: Database) -> None:
    """What it read just after a small batch would be old when the next one is taken, and not all that is there."""
    handler, paused = Effects(), dict[int, bool]()
    loop = loop_of(bus, database, handler, max_batch=50)

    async def look(batch: Batch) -> None:
        paused[len(batch.records)] = loop._consumer._paused >= loop.owned_partitions()  # type: ignore[attr-defined]

    handler.on_prepare = look
    await publish(bus, 60)
    async with running(loop):
        await until_applied(database, 60)
        await publish(bus, 5, first=60)
        await until_applied(database, 65)
    assert paused == {50: False, 10: True, 5: True}


async def test_stop_finishes_the_batch_at_hand(bus: LocalBus, database: Database) -> None:
    await publish(bus, 10)
    handler = Effects()
    begun = asyncio.Event()

    async def slow(_: Batch) -> None:
        begun.set()
        await asyncio.sleep(0.3)

    handler.on_prepare = slow
    async with running(loop_of(bus, database, handler)):
        await begun.wait()
    assert sum((await effects(database)).values()) == sum(handler.done) > 0


async def test_stop_waits_for_no_record(bus: LocalBus, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll that waits for the first record ends at once; each stop of a service would take up to 0.25 s else."""
    monkeypatch.setattr("services.kit.bus.consume_loop.POLL_TIMEOUT", 60.0)
    await publish(bus, 1)
    async with asyncio.timeout(10), running(loop_of(bus, database, Effects()), drain=60.0):
        await until_applied(database, 1)
        await asyncio.sleep(0.1)  # now it waits for the next record


async def test_stop_drops_a_batch_that_cannot_be_applied(bus: LocalBus, database: Database) -> None:
    await publish(bus, 10)
    handler = Effects()

    async def fail(_: Batch) -> None:
        raise Transient("down", retry_after=5)

    handler.on_prepare = fail
    loop = loop_of(bus, database, handler)
    async with asyncio.timeout(3), running(loop):
        await asyncio.sleep(0.2)
    async with running(loop_of(bus, database, Effects("b"))):
        await until_applied(database, 10)
    assert await effects(database) == Counter(range(10))


async def test_a_batch_that_hangs_is_cut_off_at_the_end_of_the_drain(bus: LocalBus, database: Database) -> None:
    await publish(bus, 10)
    handler = Effects()

    async def hang(_: Batch) -> None:
        await asyncio.sleep(60)

    handler.on_prepare = hang
    async with asyncio.timeout(5), running(loop_of(bus, database, handler), drain=0.1):
        await until(lambda: _seen(handler))
    assert await count(database, "effect") == 0


async def _seen(handler: Effects) -> bool:
    return bool(handler.prepared)


async def test_while_a_batch_takes_long_nothing_is_read_and_the_group_sees_us(
    bus: LocalBus, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.bus.consume_loop.KEEP_ALIVE_INTERVAL", 0.02)
    await publish(bus, 20)
    handler = Effects()

    async def slow(_: Batch) -> None:
        await asyncio.sleep(0.15)

    handler.on_prepare = slow
    loop = loop_of(bus, database, handler, max_batch=10)
    async with running(loop):
        await publish(bus, 20, first=20)
        await until_applied(database, 40)
        assert loop.stuck_reason(after=0.5) is None
    assert await effects(database) == Counter(range(40))


async def test_a_log_that_ends_before_our_offset_is_read_from_its_start(bus: LocalBus, database: Database) -> None:
    await publish(bus, 20)
    async with database.write() as tx:
        await claim_partitions(tx, await bus.end_offsets(TOPIC))
        await tx.execute("UPDATE partition_lease SET next_offset = 1000")
    async with running(loop_of(bus, database, Effects())):
        await until_applied(database, 20)
    async with database.read() as tx:
        assert await read_applied_offsets(tx) == await bus.end_offsets(TOPIC)


async def test_only_records_of_partitions_it_has_claimed_are_accepted(bus: LocalBus, database: Database) -> None:
    loop = loop_of(bus, database, Effects())
    record = Record(TOPIC, 0, 5, None, b"5", (), 0)
    found: dict[Partition, list[Record]] = {}
    loop._add_unread({Partition(TOPIC, 0): [record]}, found)
    assert found == {}
