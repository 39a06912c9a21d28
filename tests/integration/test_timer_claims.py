"""A waiting message whose evaluation ends the scheduler's process fails, and those beside it are evaluated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.times import HOUR
from services.kit.errors import Transient
from services.orchestrator.decisions import timer_store
from tests.integration.test_one_customer_race import CAP
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, crew, record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
async def us(pg_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """One worker under a cap of one an hour, with two messages that wait for it and are due."""
    migrate(pg_url, "services.orchestrator")
    async with crew(pg_url, tmp_path, CAP, size=1) as made:
        for customer in ("b", "c"):
            for event in ("first", "second"):
                await made.workers[0].decide(record(customer, f"{customer}-{event}", "low", made.clock.now()))
        made.clock.advance(2 * HOUR)
        yield made


async def claim_and_die(us: Crew) -> list[str]:
    """What a scheduler leaves behind whose process ends while it evaluates; returns the events it had in hand."""
    async with us.database.write() as tx:
        due = await timer_store.claim_due(tx, us.clock.now())
    async with us.database.write() as tx:
        await tx.execute("UPDATE timer SET claimed_until = 0")  # the claim has run out
    return [item.message.event_key[2] for item in due]


async def outcome(us: Crew, event: str) -> tuple[str, str]:
    """The state of an event's message, and why."""
    async with us.database.read() as tx:
        message = await tx.row("SELECT message_id, state FROM tracked_message WHERE event_id = :event", event=event)
        assert message is not None
        decision = await tx.row(
            "SELECT reason FROM decision WHERE message_id = :id ORDER BY decision_id DESC LIMIT 1",
            id=message.message_id,
        )
    assert decision is not None
    return message.state, decision.reason


async def test_after_three_claims_without_an_end_the_message_fails_and_says_why(us: Crew) -> None:
    scheduler = us.workers[0].scheduler
    assert await claim_and_die(us) == ["b-second", "c-second"]
    deadly = (await claim_and_die(us))[0]
    assert await claim_and_die(us) == [deadly]  # alone, so that nothing else is blamed
    while await scheduler.tick(us.clock.now()):
        pass
    assert await outcome(us, deadly) == ("failed", "render_error")
    (other,) = {"b-second", "c-second"} - {deadly}
    assert (await outcome(us, other))[0] == "pending"


async def test_a_scheduler_that_waits_for_facts_blames_no_message(us: Crew) -> None:
    scheduler = us.workers[0].scheduler
    us.others.broken = True
    for _ in range(4):
        with pytest.raises(Transient):
            await scheduler.tick(us.clock.now())
        async with us.database.write() as tx:
            await tx.execute("UPDATE timer SET claimed_until = 0")
    us.others.broken = False
    while await scheduler.tick(us.clock.now()):
        pass
    for event in ("b-second", "c-second"):
        assert (await outcome(us, event))[0] == "pending"
