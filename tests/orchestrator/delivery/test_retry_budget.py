"""The budget of retries: a tenth of an adapter's handovers, or ten a second, and what is beyond waits longer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import HOUR, SECOND
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.orchestrator.decisions import timer_store
from services.orchestrator.decisions.message_store import TimerRow, add_timers
from services.orchestrator.delivery import store
from services.orchestrator.delivery.metrics import DeliveryMetrics
from services.orchestrator.delivery.retry_budget import (
    AHEAD,
    FIRST_WAIT,
    LEAST_RATE,
    LONGEST_WAIT,
    SHARE,
    PastHandover,
    RetryBudget,
    budget_rate,
    longer_wait,
)
from tests.support.decision_records import decision, event, keep_message

START = 1_000_000 * SECOND
IDS = [f"msg_{number:032x}" for number in range(2000)]


@pytest.mark.parametrize(
    ("handovers", "rate"),
    [
        ([], LEAST_RATE),
        ([(0, 1)], LEAST_RATE),
        # 200 handovers of 50 messages in ten seconds: 1,000 a second.
        ([(-10 + number / 20, 50) for number in range(200)], 100.0),
        # The same messages, but the last an hour ago: nothing goes out now.
        ([(-3600, 10_000)], LEAST_RATE),
        # All at this very instant count as those of a second.
        ([(0, 500)], 50.0),
        ([(-2, 900), (-1, 100)], 50.0),
    ],
)
def test_the_rate_is_a_tenth_of_what_went_out_lately(handovers: list[tuple[float, int]], rate: float) -> None:
    past = [PastHandover(START + int(at * SECOND), messages) for at, messages in handovers]
    assert budget_rate(past, START) == pytest.approx(rate)


@given(st.lists(st.tuples(st.integers(0, 100 * SECOND), st.integers(1, 500)), min_size=1, max_size=200))
def test_it_is_never_more_than_a_tenth_but_for_the_least(handovers: list[tuple[int, int]]) -> None:
    past = [PastHandover(START - ago, messages) for ago, messages in handovers]
    span = max(max(ago for ago, _ in handovers), SECOND)
    rate = budget_rate(past, START)
    assert rate >= LEAST_RATE
    assert rate <= max(SHARE * sum(messages for _, messages in handovers) * SECOND / span, LEAST_RATE) + 1e-6


@given(st.integers(0, 100_000), st.floats(LEAST_RATE, 10_000), st.sampled_from(IDS))
def test_what_is_beyond_waits_at_least_its_turn_and_not_for_ever(position: int, rate: float, id: str) -> None:
    wait = longer_wait(position, rate, id)
    assert FIRST_WAIT <= wait <= LONGEST_WAIT * 5 // 4
    assert wait >= min((position + 1) / rate * SECOND - 1, LONGEST_WAIT)


def test_messages_that_wait_together_do_not_come_back_together() -> None:
    waits = {longer_wait(0, LEAST_RATE, id) for id in IDS[:100]}
    assert len(waits) > 50


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=4)
    yield opened
    await opened.close()


def budget(registry: Registry | None = None) -> RetryBudget:
    return RetryBudget(DeliveryMetrics(registry or Registry(), ManualClock(START), ["a", "b"]))


async def ask(database: Database, ids: Sequence[str], at: float = 0.0, adapter: str = "a") -> dict[str, int]:
    async with database.write() as tx:
        return await budget()(tx, {adapter: ids}, START + int(at * SECOND))


async def hand_over(database: Database, adapter: str, messages: int, at: float) -> None:
    async with database.write() as tx:
        now = START + int(at * SECOND)
        await store.open_handover(tx, "email", adapter, "o", IDS[:messages], now, now)


@pytest.mark.wired
async def test_a_few_retries_go_at_once_and_more_with_time(database: Database) -> None:
    at_once = int(LEAST_RATE * AHEAD / SECOND)
    assert await ask(database, IDS[:at_once]) == {}
    postponed = await ask(database, IDS[:20])
    assert list(postponed) == IDS[:20] and min(postponed.values()) >= START + FIRST_WAIT
    assert len(await ask(database, IDS[:20], at=1.0)) == 10
    assert await ask(database, IDS[:20], adapter="b") == {}


@pytest.mark.wired
async def test_an_adapter_with_many_handovers_has_a_tenth_of_them(database: Database) -> None:
    for number in range(10):
        await hand_over(database, "a", 500, at=-5 + number / 2)  # 1,000 a second
        await hand_over(database, "b", 1, at=-5 + number / 2)
    assert len(await ask(database, IDS)) == len(IDS) - 500  # five seconds of 100
    assert len(await ask(database, IDS, adapter="b")) == len(IDS) - 50


@pytest.mark.wired
async def test_in_the_long_run_retries_are_a_tenth_of_the_handovers_at_most(database: Database) -> None:
    """A provider that takes seven messages of ten: each second 400 new messages, and all that failed come again."""
    due: list[str] = []
    fresh = retried = 0
    for second in range(30):
        failed = [f"msg_{second:016x}{number:016x}" for number in range(120)]
        postponed = await ask(database, due, at=second)
        again = [id for id in due if id not in postponed]
        await hand_over(database, "a", 400, at=second)
        if again:
            async with database.write() as tx:
                now = START + second * SECOND
                await store.open_handover(tx, "email", "a", "o", again, now, now)
        fresh, retried = fresh + 400, retried + len(again)
        due = [*postponed, *again[: len(again) * 3 // 10], *failed]
    constant = LEAST_RATE * AHEAD / SECOND
    assert retried <= SHARE * (fresh + retried) * 1.1 + AHEAD / SECOND * 50 + constant
    assert retried >= 0.08 * fresh  # and the budget is used
    assert len(due) > 500


@pytest.mark.wired
async def test_a_retry_beyond_the_budget_stays_where_it_is_and_is_due_later(database: Database) -> None:
    registry, now = Registry(), START
    messages = []
    async with database.write() as tx:
        for number in range(60):
            of = decision(event(f"e-{number}"), outcome="send", reason="eligible")
            await keep_message(tx, of, state="retry", adapter="a", until=now)
            await add_timers(tx, [TimerRow(of.message_id, of.customer, "retry", now)], now)
            messages.append(of.message_id)
    async with database.write() as tx:
        due = await timer_store.claim_due(tx, now)
        await timer_store.requeue_retries(tx, due, now, budget(registry))
    async with database.read() as tx:
        states = {row.message_id: row for row in await tx.rows("SELECT message_id, state, until FROM message")}
        timers = {row.message_id: row for row in await tx.rows("SELECT message_id, due, claimed_until FROM timer")}
        queued = {row.message_id for row in await tx.rows("SELECT message_id FROM outbox")}
    waiting = {id for id, row in states.items() if row.state == "retry"}
    assert len(queued) == 50 and len(waiting) == 10 and queued | waiting == set(messages)
    assert timers.keys() == waiting
    assert all(timers[id].due == states[id].until >= now + FIRST_WAIT for id in waiting)
    assert {row.claimed_until for row in timers.values()} == {0}
    assert registry.get_sample_value("tactful_delivery_retries_postponed_total", {"adapter": "a"}) == 10.0
    async with database.write() as tx:
        due = await timer_store.claim_due(tx, now + HOUR)
        await timer_store.requeue_retries(tx, due, now + HOUR, budget(registry))
    async with database.read() as tx:
        assert await tx.rows("SELECT 1 FROM timer") == []


def test_the_length_of_an_id_in_json_is_what_the_budget_counts_with() -> None:
    for count in (1, 2, 500):
        assert (len(msgspec.json.encode(IDS[:count])) - 1) // 39 == count
