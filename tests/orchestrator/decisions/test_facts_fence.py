"""The facts fence: facts must have applied the log up to the last record that may change them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.times import format_instant
from services.kit.bus.batch import Batch
from services.kit.bus.partition_lease import OffsetAdvance, advance_offsets, claim_partitions, reset_offset
from services.kit.bus.protocol import Partition, Record
from services.kit.db.database import Database, Tx
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions.facts_fence import (
    FactsFence,
    load_facts_fence,
    may_change_facts,
    save_facts_fence,
)
from tests.integration.test_one_customer_race import CAP
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, crew

P0, P1 = Partition("customer.events", 0), Partition("customer.events", 1)


def record(offset: int, value: bytes | None = b"{}", partition: Partition = P0) -> Record:
    return Record(*partition, offset, b"c-1", value, (), 0)


@pytest.mark.parametrize(
    ("event_type", "counts"),
    [
        (None, True),
        ("tactful.preference.changed", True),
        ("tactful.customer.identified", True),
        ("tactful.situation.opened", True),
        ("tactful.customer.erased", True),
        ("tactful.preferences.changed", True),
        ("Tactful.Situation.Opened", True),
        ("shop.complaint.filed", True),
        ("shop.order.delivered", False),
        ("tactful.message.sent", False),
    ],
)
def test_what_preference_or_suppression_may_learn_from_counts(event_type: str | None, counts: bool) -> None:
    assert may_change_facts(event_type, frozenset({"shop.complaint.filed"})) is counts


def test_a_fence_rises_and_never_falls() -> None:
    fence = FactsFence({P0: 5})
    fence.include(record(3))
    assert (fence.positions, fence.unstored) == ({P0: 5}, set())
    fence.include(record(7))
    fence.include(record(0, partition=P1))
    assert (fence.positions, fence.unstored) == ({P0: 8, P1: 1}, {P0, P1})
    assert fence.of_batch(Batch.from_records([record(9)])) == {P0: 8}
    assert FactsFence({}).of_batch(Batch.from_records([record(9)])) == {}


class TestStored:
    """What is kept in the database, by whom."""

    pytestmark = pytest.mark.wired

    @pytest.fixture
    async def database(self, database_url: str) -> AsyncIterator[Database]:
        await upgrade_schema(database_url, "services.orchestrator")
        opened = Database.open(database_url, pool=2)
        async with opened.write() as tx:
            await claim_partitions(tx, [P0])
        yield opened
        await opened.close()

    async def read(self, database: Database) -> tuple[dict[Partition, int], set[Partition]]:
        async with database.read() as tx:
            fence = await load_facts_fence(tx)
        return fence.positions, fence.unstored

    async def apply(self, tx: Tx, epoch: int, *records: Record, changing: int | None) -> None:
        batch = Batch.from_records(records)
        fence = await load_facts_fence(tx)
        if changing is not None:
            fence.include(record(changing))
        assert await advance_offsets(tx, [OffsetAdvance(*P0, epoch, batch.first_offsets[P0], batch.next_offsets[P0])])
        await save_facts_fence(tx, fence, batch)

    async def test_a_batch_stores_its_last_record_that_may_change_facts(self, database: Database) -> None:
        async with database.write() as tx:
            await self.apply(tx, 1, record(0), record(1), record(2), changing=1)
        assert await self.read(database) == ({P0: 2}, set())
        async with database.write() as tx:
            await self.apply(tx, 1, record(3), record(4), changing=None)
        assert await self.read(database) == ({P0: 2}, set())

    async def test_after_another_owner_everything_applied_counts(self, database: Database) -> None:
        """It may be of an earlier version, which stores no positions."""
        async with database.write() as tx:
            await self.apply(tx, 1, record(0), record(1), changing=0)
        async with database.write() as tx:
            await claim_partitions(tx, [P0])
            await advance_offsets(tx, [OffsetAdvance(*P0, 2, 2, 40)])
        assert await self.read(database) == ({P0: 40}, {P0})
        async with database.write() as tx:
            await claim_partitions(tx, [P0])
            await self.apply(tx, 3, record(40), changing=None)
        assert await self.read(database) == ({P0: 40}, set())

    async def test_a_record_that_is_applied_once_more_stores_nothing(self, database: Database) -> None:
        async with database.write() as tx:
            await self.apply(tx, 1, *[record(number) for number in range(10)], changing=8)
        async with database.write() as tx:
            await claim_partitions(tx, [P0])
            again = await load_facts_fence(tx)
            again.include(record(3))
            await save_facts_fence(tx, again, Batch.from_records([record(3)]))
        assert await self.read(database) == ({P0: 10}, {P0})

    async def test_a_log_that_begins_anew_is_not_waited_for(self, database: Database) -> None:
        async with database.write() as tx:
            await self.apply(tx, 1, *[record(number) for number in range(10)], changing=8)
            await reset_offset(tx, P0, 1, 2)
        assert await self.read(database) == ({P0: 2}, set())


class TestPipeline:
    """What the pipeline asks for."""

    pytestmark = pytest.mark.wired

    @pytest.fixture
    async def us(self, tmp_path: Path) -> AsyncIterator[Crew]:
        url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
        migrate(url, "services.orchestrator")
        async with crew(url, tmp_path, CAP, size=1) as made:
            async with made.database.write() as tx:
                await claim_partitions(tx, [P0])
            yield made

    async def decide(self, us: Crew, *kinds: str, first: int = 0) -> object:
        """Decide a batch of events of these types, as the consume loop does; returns the positions asked for."""
        us.others.positions.clear()
        records = [
            record(first + number, json.dumps({
                "specversion": "1.0", "id": f"e-{first + number}", "source": "/shop", "type": kind, "subject": "c-1",
                "time": format_instant(us.clock.now()), "data": {},
            }).encode())
            for number, kind in enumerate(kinds)
        ]  # fmt: skip
        batch = Batch.from_records(records)
        pipeline = us.workers[0].pipeline
        prepared = await pipeline.prepare(batch)
        async with us.database.write() as tx:
            assert await advance_offsets(tx, [OffsetAdvance(*P0, 1, first, first + len(kinds))])
            await pipeline.apply(tx, prepared)
        assert all(each == us.others.positions[0] for each in us.others.positions)
        return us.others.positions[0]

    async def test_facts_wait_for_what_may_change_them_and_for_nothing_else(self, us: Crew) -> None:
        assert await self.decide(us, "shop.low", "shop.page") == {}
        asked = await self.decide(us, "shop.low", "tactful.situation.closed", "shop.low", "shop.page", first=2)
        assert asked == {P0.topic: {0: 4}}
        assert await self.decide(us, "shop.page", "shop.low", first=6) == {P0.topic: {0: 4}}

    async def test_a_record_that_became_a_dead_letter_counts(self, us: Crew) -> None:
        """Ours could not handle it; what the others make of it, a quarantine perhaps, is waited for."""
        await self.decide(us, "shop.low")
        async with us.database.write() as tx:
            assert await advance_offsets(tx, [OffsetAdvance(*P0, 1, 1, 2)])
            await us.workers[0].pipeline.on_dead_letter(tx, record(1), ValueError())
        assert await self.decide(us, "shop.low", first=2) == {P0.topic: {0: 2}}
