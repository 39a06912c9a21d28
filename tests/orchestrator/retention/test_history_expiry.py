"""What is older than the retention goes, whole; what something still needs stays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from schemas.decision import Decision
from schemas.event import Event
from schemas.receipt import Receipt
from schemas.times import DAY
from schemas.vocabulary import SuppressionReason
from services.clients.retention_settings import RetentionSettings
from services.kit.db.database import Database, Tx
from services.kit.db.migrate import upgrade_schema
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.orchestrator.decisions import store as decision_store
from services.orchestrator.decisions.store import event_key
from services.orchestrator.delivery.receipts import store as receipt_store
from services.orchestrator.delivery.receipts.store import NewReceipt
from services.orchestrator.delivery.store import close_handover
from services.orchestrator.retention import store
from services.orchestrator.retention.retention_rules import list_kept_kinds
from services.retention.kept_kinds import ROWS_AT_ONCE
from services.retention.sweeper import RetentionMetrics, RetentionSweeper
from tests.support.decision_records import decision, event, keep, keep_message
from tests.support.handovers import claim
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired

DAYS = 90
OLD = NOON - DAYS * DAY - 1
EVENT = event("e-1")
SENT = decision(EVENT, outcome="send", reason="eligible", time=OLD)
ENDED = {"state": "failed", "created": OLD, "updated": OLD}
TABLES = ("decision", "stored_event", "message", "attempt", "handover")
"""Tables and a view that hold nothing once all is deleted."""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=2)
    yield opened
    await opened.close()


async def expire(database: Database, registry: Registry | None = None) -> None:
    kinds = [kind for kind in list_kept_kinds(RetentionSettings(decisions=DAYS)) if kind.name == "decisions"]
    metrics = RetentionMetrics(registry or Registry(), "orchestrator", kinds)
    await RetentionSweeper(database, ManualClock(NOON), kinds, metrics).delete_expired()


async def left(database: Database) -> dict[str, int]:
    async with database.read() as tx:
        counts = {name: await tx.row(f"SELECT count(*) AS n FROM {name}") for name in TABLES}
    return {name: row.n for name, row in counts.items() if row is not None and row.n}


async def keep_sent(tx: Tx, of: Decision = SENT, about: Event = EVENT, **changes: Any) -> int:
    """A message that was handed over and accepted when it was decided; returns its handover."""
    await keep(tx, about, of)
    await keep_message(tx, of, **{**ENDED, "state": "pending", "attempts": 0, "adapter": None, **changes})
    handover_id = await claim(tx, of.message_id, at=of.time)
    await close_handover(tx, handover_id, [], of.time)
    return handover_id


async def test_all_of_an_old_event_goes_and_what_is_young_stays(database: Database) -> None:
    young, young_decision = event("e-2"), decision(event("e-2"), time=OLD + 2)
    async with database.write() as tx:
        await keep_sent(tx)
        await tx.execute(
            "INSERT INTO attempt (message_id, customer, number, owner, claimed_at, opened, outcome, closed_at) "
            "VALUES (:id, 'c-1', 1, 'me', 1, 1, 'rejected', 1)",
            id=SENT.message_id,
        )
        await decision_store.insert_decisions(tx, [decision(EVENT, "email", time=OLD)])
        await keep(tx, young, young_decision)
    registry = Registry()
    await expire(database, registry)
    assert await left(database) == {"decision": 1, "stored_event": 1}
    async with database.read() as tx:
        assert await decision_store.known_event_keys(tx, [event_key(EVENT), event_key(young)]) == {event_key(young)}
    labels = {"service": "orchestrator", "kind": "decisions"}
    assert registry.get_sample_value("tactful_expired_rows_total", labels) == 5
    assert registry.get_sample_value("tactful_retention_overdue_seconds", labels) == 0
    assert registry.get_sample_value("tactful_retention_oldest_seconds", labels) == (NOON - OLD - 2) / 1_000_000


OTHER = decision(EVENT, "email", time=OLD)


async def waits(tx: Tx) -> None:
    await keep_message(tx, OTHER, **{**ENDED, "state": "parked"})


async def is_being_handed_over(tx: Tx) -> None:
    await keep_message(tx, OTHER, attempts=0, **{**ENDED, "state": "pending"})
    await claim(tx, OTHER.message_id, at=OLD)


async def has_ended_lately(tx: Tx) -> None:
    await keep_message(tx, OTHER, **{**ENDED, "updated": NOON - DAYS * DAY})


@pytest.mark.parametrize("another_message", [waits, is_being_handed_over, has_ended_lately])
async def test_an_event_stays_with_all_that_belongs_to_it_while_a_message_of_it_needs_it(
    database: Database, another_message: Callable[[Tx], Awaitable[None]]
) -> None:
    async with database.write() as tx:
        await keep_sent(tx)
        await decision_store.insert_decisions(tx, [OTHER])
        await another_message(tx)
    before = await left(database)
    await expire(database)
    assert await left(database) == before
    async with database.write() as tx:
        await tx.execute("UPDATE message SET state = 'failed', updated = :old", old=OLD)
        await tx.execute("UPDATE handover SET closed_at = :old", old=OLD)
    await expire(database)
    assert await left(database) == {}


async def test_a_handover_stays_as_long_as_one_of_its_messages(database: Database) -> None:
    young = event("e-2")
    of_young = decision(young, time=NOON)
    async with database.write() as tx:
        await keep(tx, EVENT, SENT)
        await keep(tx, young, of_young)
        for each in (SENT, of_young):
            await keep_message(tx, each, attempts=0, adapter=None, **{**ENDED, "state": "pending"})
        handover_id = await claim(tx, SENT.message_id, of_young.message_id, at=OLD)
        await close_handover(tx, handover_id, [], OLD)
        await tx.execute("UPDATE message SET updated = :noon WHERE message_id = :id", noon=NOON, id=of_young.message_id)
    await expire(database)
    assert await left(database) == {"decision": 1, "stored_event": 1, "message": 1, "handover": 1}
    async with database.read() as tx:
        row = await tx.row("SELECT state FROM tracked_message")
    assert row is not None and row.state == "accepted"


async def test_a_handover_of_an_upgrade_does_not_list_its_messages_and_stays(database: Database) -> None:
    async with database.write() as tx:
        handover_id = await keep_sent(tx, decision(EVENT, time=NOON), updated=NOON)
        await tx.execute(
            "UPDATE handover SET messages = '[]', closed_at = :old WHERE handover_id = :id", old=OLD, id=handover_id
        )
    await expire(database)
    assert (await left(database))["handover"] == 1


async def test_events_without_decisions_go_as_well(database: Database) -> None:
    young, needed = event("e-2"), event("e-3")
    async with database.write() as tx:
        for each, at in ((EVENT, OLD), (young, NOON), (needed, OLD)):
            await decision_store.insert_events(tx, [decision_store.ReceivedEvent(each, "customer.events", 0, 1)], at)
        await keep_message(tx, decision(needed), **{**ENDED, "state": "retry"})
    await expire(database)
    async with database.read() as tx:
        rows = await tx.rows("SELECT event_id FROM inbox ORDER BY event_id")
    assert [row.event_id for row in rows] == ["e-2", "e-3"]


async def test_a_long_history_goes_in_portions(database: Database) -> None:
    count = ROWS_AT_ONCE + 5
    async with database.write() as tx:
        for number in range(count):
            each = event(f"e-{number}")
            await keep(tx, each, decision(each, time=OLD))
        await decision_store.insert_events(
            tx,
            [
                decision_store.ReceivedEvent(event(f"r-{number}"), "customer.events", 0, number)
                for number in range(count)
            ],
            OLD,
        )
    async with database.write() as tx:
        after, counts = await store.delete_decisions(tx, NOON - DAYS * DAY, 0)
    assert after is not None and counts == {"decision": ROWS_AT_ONCE}
    await expire(database)
    assert await left(database) == {}


async def test_replies_go_once_they_were_decided_long_ago(database: Database) -> None:
    replies = {"undecided": ("undecided", None), "old": ("stop", OLD), "young": ("stop", OLD + 2)}
    async with database.write() as tx:
        for name, (state, decided_at) in replies.items():
            await tx.execute(
                "INSERT INTO undecided_reply (receipt_key, message_id, customer, adapter, channel, at, received, "
                "held_from, state, decided_at) VALUES (:name, 'm', 'c', 'twilio', 'sms', :old, :old, :old, :state, "
                ":at)",
                name=name,
                old=OLD,
                state=state,
                at=decided_at,
            )
    await expire(database)
    async with database.read() as tx:
        kept = await tx.rows("SELECT receipt_key FROM undecided_reply ORDER BY receipt_key")
    assert [row.receipt_key for row in kept] == ["undecided", "young"]


async def test_old_replies_of_strangers_go_once_what_they_asked_for_is_done(database: Database) -> None:
    def stop(name: str, suppresses: SuppressionReason | None) -> NewReceipt:
        receipt = Receipt(f"test:{name}", "", "unsubscribed", OLD)
        return NewReceipt(receipt, "", suppresses, channel="sms", address="+4915112345678")

    async with database.write() as tx:
        old = [stop("done", None), stop("owed", SuppressionReason.STOP_KEYWORD)]
        await receipt_store.insert_receipts(tx, "twilio", old, OLD)
        await receipt_store.insert_receipts(tx, "twilio", [stop("young", None)], OLD + 2)
    await expire(database)
    async with database.read() as tx:
        kept = await tx.rows("SELECT receipt_key FROM receipt ORDER BY receipt_key")
    assert [row.receipt_key for row in kept] == ["test:owed", "test:young"]
