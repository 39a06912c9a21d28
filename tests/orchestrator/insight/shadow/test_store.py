"""What is kept of shadows, on both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from schemas.times import DAY
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.orchestrator.decisions import store as live_store
from services.orchestrator.insight.shadow import store
from services.orchestrator.insight.shadow.observations import ShadowObservation, ShadowObservations, ShadowVersion
from services.orchestrator.insight.shadow.recorder import ShadowRecorder
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from tests.support import decision_records
from tests.support.fresh_databases import migrate
from tests.support.orchestrator_app import NOON
from tests.support.shadow_builders import rendered

pytestmark = pytest.mark.wired

POLICY = ShadowVersion("policy", "policy", 2)
ALL = [1, 0, -1]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    migrate(database_url, "services.orchestrator")
    opened = Database.open(database_url)
    yield opened
    await opened.close()


def note(number: int, outcome: str = "send", of: ShadowVersion = POLICY, compared: bool = True) -> ShadowObservation:
    live = decision_records.decision(decision_records.event(f"e-{number}"))
    return ShadowObservation(
        of, decision_records.decision(decision_records.event(f"e-{number}"), outcome=outcome), live, compared
    )


def notes(*found: ShadowObservation, now: int = NOON) -> ShadowObservations:
    return ShadowObservations(now, len(found), list(found))


async def kept(database: Database, *found: ShadowObservation, now: int = NOON) -> None:
    async with database.write() as tx:
        await store.save_observations(tx, notes(*found, now=now))


async def sampled(database: Database, agrees: list[int] | None = None) -> list[store.ShadowSample]:
    async with database.read() as tx:
        return await store.list_samples(tx, POLICY, agrees or ALL, 2**63 - 1, 1000)


async def counted(database: Database, of: ShadowVersion = POLICY) -> list[tuple[Any, ...]]:
    async with database.read() as tx:
        return [tuple(each) for each in await store.list_outcome_counts(tx, of)]


async def test_counts_add_up_over_batches(database: Database) -> None:
    for _ in range(2):
        await kept(database, note(1), note(2), note(3, "suppress"))
    assert await counted(database) == [
        ("referral-ask", "send", "no_consent", "suppress", 4),
        ("referral-ask", "suppress", "no_consent", "suppress", 2),
    ]


async def test_what_was_skipped_is_counted_apart(database: Database) -> None:
    found = notes()
    found.skipped[POLICY, "limit"] += 7
    async with database.write() as tx:
        await store.save_observations(tx, found)
    assert await counted(database) == [("", "skipped", "limit", "", 7)]


async def test_samples_are_bounded_in_a_batch_and_for_a_shadow(database: Database) -> None:
    await kept(database, *(note(n) for n in range(15)), *(note(n, "suppress") for n in range(20, 25)))
    assert [s.agrees for s in await sampled(database)] == [True] + [False] * 10
    assert (await sampled(database))[1].message_id == note(14).any_decision.message_id, "the newest"
    for batch in range(25):
        many = (note(100 * batch + n) for n in range(10))
        await kept(database, *many, note(batch, "suppress"), note(batch, compared=False))
    assert len(await sampled(database, [0])) == store.MAX_OTHER_SAMPLES
    assert len(await sampled(database, [1])) == store.MAX_AGREEING_SAMPLES
    assert len(await sampled(database, [-1])) == 25


async def test_a_sample_names_the_live_decision_and_holds_the_whole_trace(database: Database) -> None:
    found = note(1)
    assert found.live is not None
    async with database.write() as tx:
        await live_store.insert_decisions(tx, [replace_time(found.live)])
        await store.save_observations(tx, notes(found))
    [sample] = await sampled(database)
    assert sample.decision == found.decision and sample.live_id == 1
    assert (sample.live_outcome, sample.live_reason, sample.customer) == ("suppress", "no_consent", "c-1")


def replace_time(decision: Any) -> Any:
    return type(decision)(**{**{f: getattr(decision, f) for f in decision.__struct_fields__}, "time": NOON})


async def test_a_side_without_a_decision_is_told(database: Database) -> None:
    missing = note(1)._replace(decision=None)
    await kept(database, missing, note(2)._replace(live=None))
    assert [(s.decision is None, s.live_outcome, s.agrees) for s in await sampled(database)] == [
        (False, None, False),
        (True, "suppress", False),
    ]
    assert {(row[1], row[3]) for row in await counted(database)} == {("none", "suppress"), ("send", "none")}


async def test_samples_are_forgotten_after_a_while(database: Database) -> None:
    await kept(database, note(1))
    await kept(database, note(2), now=NOON + 30 * DAY)
    assert len(await sampled(database)) == 2
    await kept(database, note(3), now=NOON + 30 * DAY + 1)
    assert len(await sampled(database)) == 2


async def test_a_new_shadow_forgets_its_own_past_and_the_oldest_others(database: Database) -> None:
    versions = [ShadowVersion("policy", "policy", number) for number in range(1, 9)]
    foreign = ShadowVersion("campaign", "policy", 1)
    await kept(database, *(note(each.version, of=each) for each in versions), note(1, of=foreign))
    async with database.write() as tx:
        await store.start_shadow(tx, versions[7], NOON)
    assert [each.version for each in versions if await counted(database, each)] == [4, 5, 6, 7]
    assert await counted(database, foreign), "a campaign of the same name is another thing"


async def test_what_cannot_be_kept_takes_nothing_with_it(database: Database) -> None:
    shadow, found = ShadowRecorder(rendered, ShadowMetrics(Registry())), notes(note(1))
    async with database.write() as tx:
        await tx.execute("DROP TABLE shadow_sample")
    live = decision_records.decision(decision_records.event())
    async with database.write() as tx:
        await shadow.save(tx, found)
        await live_store.insert_decisions(tx, [live])
    assert found.failure == "unkept" and await counted(database) == []
    async with database.read() as tx:
        row = await tx.row("SELECT count(*) AS n FROM decision")
    assert row is not None and row.n == 1


async def test_when_there_is_nothing_to_keep_nothing_is_written(database: Database) -> None:
    shadow = ShadowRecorder(rendered, ShadowMetrics(Registry()))
    async with database.read() as tx:  # writing would raise on PostgreSQL
        await shadow.save(tx, replace(notes(), event_count=3))
