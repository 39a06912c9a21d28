"""The recheck between claim and handover: what it evaluates again, and how refused messages are taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.facts import SuppressionEntry, Suppressions
from schemas.message import HandoverResult
from schemas.service_api import SuppressionResponse
from schemas.times import DAY, HOUR, MINUTE, SECOND
from services.orchestrator.decisions import store
from services.orchestrator.decisions.evaluation import ClaimedMessage
from services.orchestrator.delivery.attempts import AttemptResult
from services.orchestrator.delivery.delivery import Delivery
from services.orchestrator.delivery.results import record_results
from services.orchestrator.delivery.store import CLAIM_BATCH_SIZE
from services.orchestrator.policy.ledger import Ledger
from tests.support.fresh_databases import migrate
from tests.support.worker_crew import TOPIC, Crew, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {
    "zone": "Etc/UTC",
    "topics": [{"key": "news", "name": "News"}],
    "min_gaps": [{"id": "gap", "gap": "1s", "scope": {"campaigns": ["low"]}}],
}


@pytest.fixture
async def us(tmp_path: Path) -> AsyncIterator[Crew]:
    """One worker on SQLite, and a policy that lets nearly everything pass."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'gate.db'}"
    migrate(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as made:
        yield made


def delivery_of(us: Crew) -> Delivery:
    return us.workers[0].dispatcher._delivery


async def claim_from_outbox(us: Crew, *events: tuple[str, str]) -> list[ClaimedMessage]:
    """Decide events, each of a customer and a kind, and claim their messages from the outbox."""
    for number, (customer, kind) in enumerate(events):
        await us.workers[0].decide(record(customer, f"e-{number}", kind, us.clock.now()))
    dispatcher = us.workers[0].dispatcher
    async with us.database.write() as tx:
        now = us.clock.now()
        claimer, line, opened = dispatcher._claimer, dispatcher.lines[0], await us.database.now()
        return await claimer.claim_messages(tx, line, dispatcher._epochs, CLAIM_BATCH_SIZE, now, opened)


async def states(us: Crew) -> list[str]:
    async with us.database.read() as tx:
        return [row.state for row in await tx.rows("SELECT state FROM tracked_message ORDER BY message_id")]


async def contacts(us: Crew, customer: str = "a") -> list[str]:
    async with us.database.read() as tx:
        row = await tx.row("SELECT ring FROM ledger WHERE customer = :customer", customer=customer)
    return [] if row is None else [each.state for each in Ledger.unpack(row.ring)]


async def test_of_several_customers_it_stops_those_alone_whose_facts_have_changed(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"), ("b", "low"), ("c", "low"))
    us.others.opted_out.add("b")
    result = await delivery_of(us).recheck(items)
    assert result.refused == {item.message.id for item in items if item.message.customer == "b"}
    assert set(result.inputs.facts) == {"a", "b", "c"}
    assert {of.message_id("push") for of in result.triggered_campaigns.values()} == set(result.triggered_campaigns)


async def test_messages_of_one_customer_are_given_back_one_after_the_other(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"), ("a", "high"), ("b", "low"), ("a", "high"))
    assert await contacts(us) == ["made"] * 3
    us.others.opted_out.update(("a", "b"))
    evaluations = await delivery_of(us).take_back(items, await delivery_of(us).recheck(items))
    assert sorted(evaluation.customer for evaluation in evaluations) == ["a", "a", "a", "b"]
    assert all(evaluation.base.ledger is not evaluation.ledger for evaluation in evaluations)
    assert await states(us) == ["suppressed"] * 4
    async with us.database.read() as tx:
        ends = await tx.rows("SELECT outcome FROM attempt")
    assert [end.outcome for end in ends] == ["cancelled"] * 4
    assert await contacts(us) == await contacts(us, "b") == []
    async with us.database.read() as tx:
        lines = await tx.rows("SELECT reason, count(*) AS many FROM decision GROUP BY reason ORDER BY reason")
    assert {line.reason: line.many for line in lines}["opted_out_all"] == 4


async def test_what_was_just_judged_here_is_looked_at_with_its_touch_at_hand(us: Crew) -> None:
    prepared = await us.workers[0].decide_and_mark(record("a", "e-1", "low", us.clock.now()))
    us.others.opted_out.add("a")
    await us.workers[0].go(prepared)
    assert await states(us) == ["suppressed"]
    assert us.provider.taken == {}


async def test_without_anything_refused_nothing_is_written(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"))
    assert await delivery_of(us).take_back([], await delivery_of(us).recheck(items)) == []
    assert await states(us) == ["handing_over"]


async def test_an_attempt_that_somebody_else_has_closed_is_not_given_back(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"), ("b", "low"))
    us.others.opted_out.update(("a", "b"))
    result = await delivery_of(us).recheck(items)
    theirs = next(item for item in items if item.message.customer == "a")
    async with us.database.write() as tx:
        gone = AttemptResult("a", theirs.number, HandoverResult(theirs.message.id, "unknown"), False, "null")
        assert await record_results(tx, theirs.handover_id, [gone], us.clock.now(), closes=False)
    assert [evaluation.customer for evaluation in await delivery_of(us).take_back(items, result)] == ["b"]
    assert await contacts(us) == ["unknown"]
    assert await contacts(us, "b") == []


async def test_an_entry_slightly_ahead_stops_it_and_is_why_when_it_is_judged_again(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"))
    ahead = Suppressions("a", 1, (SuppressionEntry(None, None, None, us.clock.now() + MINUTE, None, "stop_keyword"),))
    answered = us.others._answer

    def answer(path: str, body: bytes) -> object:
        told = answered(path, body)
        return SuppressionResponse((ahead,)) if path.endswith("/suppression/facts") else told

    us.others._answer = answer  # type: ignore[method-assign]
    result = await delivery_of(us).recheck(items)
    assert result.refused == {items[0].message.id}
    evaluation = (await delivery_of(us).take_back(items, result))[0]
    assert [line.reason for line in evaluation.decisions] == ["suppression_list"]


async def test_a_ledger_that_looks_back_too_little_is_completed_from_the_history(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"))
    short = [_with_ledger(item, Ledger(complete_from=us.clock.now())) for item in items]
    assert (await delivery_of(us).recheck(short)).refused == frozenset()


async def test_rules_over_contacts_see_the_ledger_of_the_mark_at_the_time_of_the_mark(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"))
    other = next(iter(items[0].ledger))._replace(message_id="msg_" + "0" * 32, state="made", event_hash=1)
    before = [
        _with_ledger(item, item.ledger.put_contact(other._replace(at=item.claimed_at - 500_000))) for item in items
    ]
    us.clock.advance(HOUR)
    assert (await delivery_of(us).recheck(before)).refused == {items[0].message.id}
    assert (await delivery_of(us).recheck(items)).refused == frozenset()


async def test_facts_are_asked_for_up_to_what_we_have_committed_of_our_topics(us: Crew) -> None:
    async with us.database.write() as tx:
        await tx.execute("INSERT INTO partition_lease VALUES (:topic, 0, 1, 41), ('another', 0, 1, 7)", topic=TOPIC)
    items = await claim_from_outbox(us, ("a", "low"))
    us.others.positions.clear()
    await delivery_of(us).recheck(items)
    assert us.others.positions == [{TOPIC: {0: 41}}] * 2


async def claim_inline(us: Crew, *events: tuple[str, str]) -> list[ClaimedMessage]:
    """Decide events in one batch, each of a customer and a kind, and claim their messages with the decision."""
    records = [record(customer, f"e-{number}", kind, us.clock.now()) for number, (customer, kind) in enumerate(events)]
    return (await us.workers[0].decide_and_mark(*records)).claimed_messages


async def test_what_was_just_allowed_is_not_judged_again_while_its_facts_stay_the_same(us: Crew) -> None:
    items = await claim_inline(us, ("a", "low"), ("b", "low"))
    us.clock.advance(30 * SECOND)
    result = await delivery_of(us).recheck(items)
    assert (result.triggered_campaigns, result.refused) == ({}, frozenset())
    us.others.opted_out.add("b")
    result = await delivery_of(us).recheck(items)
    assert (
        set(result.triggered_campaigns)
        == result.refused
        == {item.message.id for item in items if item.message.customer == "b"}
    )


async def test_what_was_just_allowed_is_stopped_when_it_has_expired_since(us: Crew) -> None:
    items = await claim_inline(us, ("a", "low"))
    us.clock.advance(10 * DAY)
    assert (await delivery_of(us).recheck(items)).refused == {items[0].message.id}


async def test_what_expires_while_facts_are_asked_for_is_stopped(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"))

    async def wait() -> None:
        us.clock.advance(10 * DAY)

    us.others.witness = wait
    assert (await delivery_of(us).recheck(items)).refused == {items[0].message.id}


async def test_what_another_version_of_its_campaign_allowed_is_judged_again(us: Crew) -> None:
    (item,) = await claim_inline(us, ("a", "low"))
    assert item.triggered is not None
    earlier = msgspec.structs.replace(item.triggered, campaign=replace(item.triggered.campaign, version=0))
    result = await delivery_of(us).recheck([msgspec.structs.replace(item, triggered=earlier)])
    assert {name: touch.campaign.version for name, touch in result.triggered_campaigns.items()} == {item.message.id: 1}


async def test_of_two_in_one_batch_the_second_is_stopped_once_the_first_is_made(tmp_path: Path) -> None:
    """It outranks what is merely planned, so it was allowed; after the claim the other is made, and the cap is full."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'gate.db'}"
    migrate(url, "services.orchestrator")
    cap = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
    async with crew(url, tmp_path, {**FREE, "min_gaps": [], "frequency_caps": [cap]}, size=1) as us:
        low, high = await claim_inline(us, ("a", "low"), ("a", "high"))
        assert [low.message.campaign, high.message.campaign] == ["low", "high"]
        assert (await delivery_of(us).recheck([low, high])).refused == {high.message.id}


async def test_an_attempt_that_is_no_longer_the_open_one_is_not_given_back(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"))
    us.others.opted_out.add("a")
    result = await delivery_of(us).recheck(items)
    earlier = [msgspec.structs.replace(item, handover_id=item.handover_id - 1) for item in items]
    assert await delivery_of(us).take_back(earlier, result) == []
    assert await states(us) == ["handing_over"]


async def test_nothing_of_a_handover_that_somebody_else_has_closed_is_given_back(us: Crew) -> None:
    items = await claim_from_outbox(us, ("a", "low"), ("b", "low"))
    us.others.opted_out.update(("a", "b"))
    result = await delivery_of(us).recheck(items)
    gone = [
        AttemptResult(item.message.customer, item.number, HandoverResult(item.message.id, "unknown"), False, "null")
        for item in items
    ]
    async with us.database.write() as tx:
        assert await record_results(tx, items[0].handover_id, gone, us.clock.now())
    assert await delivery_of(us).take_back(items, result) == []
    assert await states(us) == ["unknown", "unknown"]


@pytest.mark.parametrize("later", [0, HOUR])
async def test_what_may_go_when_it_is_judged_again_is_ready_once_more_and_the_history_tells(
    us: Crew, later: int
) -> None:
    (item,) = await claim_from_outbox(us, ("a", "low"))
    other = next(iter(item.ledger))._replace(message_id="msg_" + "0" * 32, event_hash=1)
    refused = [_with_ledger(item, item.ledger.put_contact(other))]
    us.clock.advance(later)
    result = await delivery_of(us).recheck(refused)
    assert result.refused == {item.message.id}
    evaluations = await delivery_of(us).take_back(refused, result)
    assert [
        (ready.planned.message_id, ready.message) for evaluation in evaluations for ready in evaluation.ready_messages
    ] == [(item.message.id, item.message)]
    async with us.database.read() as tx:
        (row,) = await tx.rows("SELECT state, updated FROM tracked_message")
        remembered = await store.rebuild_ledger(tx, "a", item.ledger.complete_from)
    assert (row.state, row.updated) == ("pending", us.clock.now())
    assert [each.state for each in remembered] == await contacts(us) == ["planned"]


def _with_ledger(item: ClaimedMessage, ledger: Ledger) -> ClaimedMessage:
    return msgspec.structs.replace(item, ledger=ledger)
