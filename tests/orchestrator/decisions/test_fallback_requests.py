"""What a waiting message of a campaign that falls back is evaluated on, and what comes in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.receipt import Receipt, ReceiptKind
from schemas.times import MINUTE
from services.orchestrator.decisions.evaluation import CustomerEvaluation, EvaluationRequest
from services.orchestrator.decisions.evaluator import EvaluationInput
from services.orchestrator.decisions.stored_trigger import StoredMessage
from services.orchestrator.policy.fallback_progress import TriedState
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import Crew, crew, record

pytestmark = pytest.mark.wired

FREE = {"zone": "UTC", "topics": [{"key": "news", "name": "News"}]}
CHAIN = ("push", "email", "sms")


@pytest.fixture
async def us(database_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    migrate(database_url, "services.orchestrator")
    async with crew(database_url, tmp_path, FREE, size=1, chain=CHAIN) as made:
        yield made


async def sent(us: Crew) -> dict[str, str]:
    """An event whose push has been handed over; returns the ids of its messages by channel."""
    worker = us.workers[0]
    await worker.decide(record("ada", "e-1", "chain", us.clock.now()))
    await worker.hand_over("push")
    async with us.database.read() as tx:
        return {row.channel: row.message_id for row in await tx.rows("SELECT channel, message_id FROM message")}


async def say(us: Crew, message: str, kind: ReceiptKind, *, permanent: bool = False, by_machine: bool = False) -> None:
    receipt = Receipt(f"r-{kind}-{permanent}", message, kind, us.clock.now(), permanent, by_machine)
    await us.workers[0].intake.take("webhook", [receipt])


async def evaluated(us: Crew, message: str) -> tuple[EvaluationInput, CustomerEvaluation, EvaluationRequest]:
    """The evaluation of a waiting message as a scheduler makes it, before it is written."""
    async with us.database.read() as tx:
        row = await tx.row(
            "SELECT message_id, customer, campaign, channel, since, event_source, event_id, state FROM message "
            "WHERE message_id = :id",
            id=message,
        )
    assert row is not None
    stored, evaluator, now = StoredMessage._make(row[:7]), us.workers[0].evaluator, us.clock.now()
    inputs = await evaluator.read_for_messages(["ada"], [stored.event_key], now)
    triggered = evaluator.rebuild_triggered(inputs, stored)
    async with us.database.read() as tx:
        (request,) = await evaluator.requests_of_choices(tx, [(triggered, {message: row.state})])
    found = await evaluator.evaluate(inputs, "ada", [request], inputs.ledger_of("ada"), now)
    return inputs, found, request


async def write(us: Crew, inputs: EvaluationInput, found: CustomerEvaluation) -> list[tuple[str, str]]:
    """Write the evaluation; what was decided about which channel."""
    async with us.database.write() as tx:
        written = await us.workers[0].evaluator.write(tx, inputs, [found], us.clock.now())
    return [(each.channel, each.reason) for evaluation in written for each in evaluation.decisions]


async def states(us: Crew) -> dict[str, str]:
    async with us.database.read() as tx:
        return {row.channel: row.state for row in await tx.rows("SELECT channel, state FROM tracked_message")}


async def test_all_waiting_messages_are_evaluated_together(us: Crew) -> None:
    messages = await sent(us)
    _, found, request = await evaluated(us, messages["sms"])
    assert request.expected_states == {messages["email"]: "parked", messages["sms"]: "parked"}
    assert request.progress is not None
    assert request.progress.tried["push"].state is TriedState.HANDED_OVER
    assert {each.channel for each in found.decisions} == {"email", "sms"}


async def test_a_confirmation_that_comes_in_between_is_seen_under_the_lock(us: Crew) -> None:
    messages = await sent(us)
    us.clock.advance(30 * MINUTE)
    inputs, found, _ = await evaluated(us, messages["email"])
    assert [each.channel for each in found.decisions if each.outcome == "send"] == ["email"]
    await say(us, messages["push"], "delivered")
    assert await write(us, inputs, found) == [("email", "other_channel"), ("sms", "other_channel")]
    assert await states(us) == {"push": "accepted", "email": "suppressed", "sms": "suppressed"}


async def test_of_two_evaluations_of_one_choice_one_counts(us: Crew) -> None:
    messages = await sent(us)
    us.clock.advance(30 * MINUTE)
    inputs, one, _ = await evaluated(us, messages["email"])
    _, other, _ = await evaluated(us, messages["sms"])
    assert await write(us, inputs, one) == [("email", "eligible"), ("sms", "fallback_wait")]
    assert await write(us, inputs, other) == []
    assert await states(us) == {"push": "accepted", "email": "pending", "sms": "parked"}


SAID: list[tuple[list[tuple[ReceiptKind, bool, bool]], TriedState]] = [
    ([], TriedState.HANDED_OVER),
    ([("bounced", False, False)], TriedState.HANDED_OVER),
    ([("delivered", False, False)], TriedState.CONFIRMED),
    ([("opened", False, True)], TriedState.CONFIRMED),  # by a machine: it is in the mailbox
    ([("failed", False, False)], TriedState.ENDED),
    ([("bounced", True, False)], TriedState.ENDED),
    ([("delivered", False, False), ("bounced", True, False)], TriedState.ENDED),
    ([("opened", False, True), ("bounced", True, False)], TriedState.ENDED),
    ([("bounced", True, False), ("clicked", False, False)], TriedState.CONFIRMED),
]


@pytest.mark.parametrize(("said", "state"), SAID)
async def test_what_providers_say_makes_the_progress(
    us: Crew, said: list[tuple[ReceiptKind, bool, bool]], state: TriedState
) -> None:
    messages = await sent(us)
    for kind, permanent, by_machine in said:
        await say(us, messages["push"], kind, permanent=permanent, by_machine=by_machine)
    _, _, request = await evaluated(us, messages["email"])
    assert request.progress is not None and request.progress.tried["push"].state is state


async def test_a_receipt_tells_more_than_an_attempt_of_which_nobody_knows_the_end(us: Crew) -> None:
    us.provider.odds = {"unknown": 1.0}
    messages = await sent(us)
    assert (await states(us))["push"] == "retry"
    await say(us, messages["push"], "bounced", permanent=True)
    _, _, request = await evaluated(us, messages["email"])
    assert request.progress is not None and request.progress.tried["push"].state is TriedState.UNDER_WAY
    await say(us, messages["push"], "delivered")
    await say(us, messages["push"], "opened")
    _, _, request = await evaluated(us, messages["email"])
    assert request.progress is not None and request.progress.tried["push"].state is TriedState.CONFIRMED


async def test_what_was_dropped_with_a_message_that_somebody_moved_is_looked_at_again_at_once(us: Crew) -> None:
    worker = us.workers[0]
    for number in range(2):
        await worker.decide(record("ada", f"e-{number}", "chain", us.clock.now()))
    await worker.hand_over("push")
    us.clock.advance(30 * MINUTE)
    us.others.pause = asyncio.Event()
    asked = len(us.others.positions)
    ticking = asyncio.create_task(worker.scheduler.tick(us.clock.now()))
    async with asyncio.timeout(10):
        while len(us.others.positions) == asked:
            await asyncio.sleep(0.01)
    async with us.database.write() as tx:
        await tx.execute("UPDATE message SET state = 'suppressed' WHERE event_id = 'e-0' AND channel = 'email'")
        await tx.execute(
            "DELETE FROM timer WHERE message_id IN "
            "(SELECT message_id FROM message WHERE event_id = 'e-0' AND channel = 'email')"
        )
    us.others.pause.set()
    assert await ticking
    async with us.database.read() as tx:
        assert await tx.rows("SELECT 1 AS sent FROM message WHERE channel = 'email' AND state = 'pending'") == []
    assert await worker.scheduler.tick(us.clock.now())
    async with us.database.read() as tx:
        rows = await tx.rows("SELECT event_id FROM message WHERE channel = 'email' AND state = 'pending'")
    assert "e-1" in {row.event_id for row in rows}
