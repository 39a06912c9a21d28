"""Claims, leases of shards, and the ends of attempts, in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.message import HandoverOutcome, HandoverResult
from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions.store import SHARDS, insert_decisions
from services.orchestrator.delivery import store
from services.orchestrator.delivery.attempts import (
    MAYBE_SENT_DETAIL,
    AttemptEnd,
    AttemptResult,
    OpenAttempt,
    backoff,
    decide_next_state,
)
from tests.support.decision_records import decision, event, keep_message
from tests.support.handovers import claim
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired

OF = decision(event("e-1"), outcome="send", reason="eligible")
ID = OF.message_id


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=2)
    yield opened
    await opened.close()


async def message(database: Database) -> Any:
    async with database.read() as tx:
        row = await tx.row("SELECT * FROM tracked_message WHERE message_id = :id", id=ID)
    assert row is not None
    return row


async def claimed(database: Database, number: int = 1, opened: int = 7, **changes: Any) -> int:
    """One message with an open attempt of this number; returns its handover."""
    async with database.write() as tx:
        await keep_message(tx, OF, state="pending", attempts=number - 1, adapter=None, **changes)
        return await claim(tx, ID, adapter="webhook", opened=opened)


def result(outcome: HandoverOutcome, number: int = 1, detail: str | None = None) -> AttemptResult:
    return AttemptResult("c-1", number, HandoverResult(ID, outcome, "p-1", detail), True, "webhook")


async def test_a_claim_opens_the_next_attempt(database: Database) -> None:
    await claimed(database, number=2, maybe_sent=1)
    row = await message(database)
    assert (row.state, row.attempts, row.owner, row.claimed_at, row.opened) == ("handing_over", 2, "me", NOON, 7)
    assert (row.address_hash, row.closed_at, row.maybe_sent) == ("hash", None, 1)


async def test_a_pending_message_is_loaded_as_it_was_rendered(database: Database) -> None:
    async with database.write() as tx:
        await keep_message(tx, OF, state="pending", attempts=1, maybe_sent=1, updated=NOON + 3)
        found = (await store.load_pending_messages(tx, [ID, "msg_unknown"]))[ID]
    assert (found.first_planned, found.attempts, found.maybe_sent, found.ready_at) == (NOON, 1, True, NOON + 3)
    assert (found.message.id, found.message.to, found.message.content) == (ID, "+491701234567", {"text": "Hi"})
    assert (found.message.event_source, found.message.event_id, found.message.locale) == ("/shop", "e-1", "en")


@pytest.mark.parametrize("state", ["planned", "handing_over", "accepted", "suppressed"])
async def test_what_is_not_ready_is_not_loaded(database: Database, state: str) -> None:
    async with database.write() as tx:
        await keep_message(tx, OF, state=state)
        assert await store.load_pending_messages(tx, [ID]) == {}


async def test_an_attempt_ends_once_and_leaves_a_row(database: Database) -> None:
    handover_id = await claimed(database)
    async with database.write() as tx:
        assert await store.end_attempts(tx, handover_id, [], NOON) == {}
        assert await store.end_attempts(tx, handover_id + 1, [AttemptEnd(ID, "retry")], NOON) == {}
        assert await store.end_attempts(tx, handover_id, [AttemptEnd(ID, "retry", "busy")], NOON + 1) == {ID: False}
        await store.write_next_states(tx, [(result("rejected"), decide_next_state(result("rejected"), NOON))], NOON + 1)
        assert await store.end_attempts(tx, handover_id, [AttemptEnd(ID, "rejected")], NOON + 2) == {}
        rows = await tx.rows("SELECT message_id, number, owner, claimed_at, outcome, detail, closed_at FROM attempt")
    assert [tuple(row) for row in rows] == [(ID, 1, "me", NOON, "retry", "busy", NOON + 1)]


async def test_a_handover_is_closed_once_and_what_is_in_it_then_was_accepted(database: Database) -> None:
    handover_id = await claimed(database, number=2, maybe_sent=1, until=NOON, detail="an earlier attempt")
    assert (await message(database)).state == "handing_over"
    async with database.write() as tx:
        assert await store.lock_open_handover(tx, handover_id)
        assert not await store.close_handover(tx, handover_id + 1, [], NOON)
        assert await store.close_handover(tx, handover_id, [result("accepted", 2, "status 200")], NOON + 1)
        assert not await store.close_handover(tx, handover_id, [], NOON + 2)
        assert not await store.lock_open_handover(tx, handover_id)
    row = await message(database)
    assert (row.state, row.adapter, row.provider_id, row.detail) == ("accepted", "webhook", "p-1", "status 200")
    assert (row.closed_at, row.updated, row.maybe_sent, row.until) == (NOON + 1, NOON + 1, 0, None)


async def test_what_was_taken_out_of_a_handover_is_not_accepted_with_it(database: Database) -> None:
    handover_id = await claimed(database)
    rejected = result("rejected", detail="status 400")
    async with database.write() as tx:
        await store.end_attempts(tx, handover_id, [rejected.end], NOON)
        await store.write_next_states(tx, [(rejected, decide_next_state(rejected, NOON))], NOON)
        assert await store.close_handover(tx, handover_id, [], NOON + 1)
    row = await message(database)
    assert (row.state, row.provider_id, row.detail) == ("rejected", "p-1", "status 400")


async def test_of_a_provider_that_says_nothing_nothing_is_kept(database: Database) -> None:
    handover_id = await claimed(database)
    silent = AttemptResult("c-1", 1, HandoverResult(ID, "accepted"), True, "webhook")
    async with database.write() as tx:
        assert await store.close_handover(tx, handover_id, [silent], NOON)
        row = await tx.row("SELECT results FROM handover")
    assert row is not None and row.results is None
    told = await message(database)
    assert (told.state, told.adapter, told.provider_id, told.detail) == ("accepted", "webhook", None, None)


async def test_a_retry_after_an_unknown_outcome_is_remembered_until_the_message_ends(database: Database) -> None:
    await claimed(database)
    unknown = result("unknown", detail="TimeoutError")
    async with database.write() as tx:
        await store.write_next_states(tx, [(unknown, decide_next_state(unknown, NOON))], NOON)
        timer = await tx.row("SELECT customer, kind, due FROM timer WHERE message_id = :id", id=ID)
    row = await message(database)
    assert (row.state, row.detail, row.maybe_sent) == ("retry", MAYBE_SENT_DETAIL, 1)
    assert timer is not None
    assert tuple(timer) == ("c-1", "retry", NOON + backoff(1, None, ID))
    rejected = result("rejected", detail="status 400")
    async with database.write() as tx:
        await store.write_next_states(tx, [(rejected, decide_next_state(rejected, NOON))], NOON)
    row = await message(database)
    assert (row.state, row.detail, row.maybe_sent) == ("rejected", "status 400", 0)


async def test_overdue_handovers_are_found_by_the_database_s_time(database: Database) -> None:
    handover_id = await claimed(database, opened=100)
    async with database.write() as tx:
        assert await store.find_overdue_handovers(tx, 99, 10) == []
        assert await store.find_overdue_handovers(tx, 100, 10) == [handover_id]
        assert await store.find_overdue_handovers(tx, 100, 0) == []
        assert await store.load_open_attempts(tx, handover_id) == [
            OpenAttempt(ID, "c-1", "sms", 1, OF.cls, False, "webhook")
        ]
        await store.close_handover(tx, handover_id, [], NOON)
        assert await store.find_overdue_handovers(tx, 100, 10) == []
        assert await store.load_open_attempts(tx, handover_id) == []


async def test_the_outbox_is_read_by_shard_channel_and_order(database: Database) -> None:
    rows = [(1, "sms", "m-1", "a"), (2, "sms", "m-2", "b"), (1, "push", "m-3", "a"), (1, "sms", "m-4", "c")]
    async with database.write() as tx:
        await tx.bulk_insert("outbox", ("shard", "channel", "message_id", "customer"), rows)
        assert await store.has_outbox_rows(tx, ["push", "sms"], [2])
        assert not await store.has_outbox_rows(tx, ["push"], [2, 3])
        assert await store.next_outbox_rows(tx, "sms", None, []) == []
        found = await store.next_outbox_rows(tx, "sms", None, [1])
        assert [row.message_id for row in found] == ["m-1", "m-4"]
        await store.delete_outbox_rows(tx, found)
        assert [row.message_id for row in await store.next_outbox_rows(tx, "sms", None, [1, 2])] == ["m-2"]


async def leases(database: Database, owner: str, now: int) -> dict[int, int]:
    async with database.write() as tx:
        await store.create_leases(tx)
        return await store.renew_leases(tx, owner, now)


async def test_shards_are_shared_fairly_and_an_owner_change_raises_the_epoch(database: Database) -> None:
    now = NOON
    alone = await leases(database, "a", now)
    assert alone == dict.fromkeys(range(SHARDS), 1)
    assert await leases(database, "b", now) == {}, "all are leased"
    kept = await leases(database, "a", now + SECOND)
    assert (len(kept), set(kept.values())) == (SHARDS // 2, {1})
    taken = await leases(database, "b", now + 2 * SECOND)
    assert set(taken) == set(range(SHARDS)) - set(kept)
    assert set(taken.values()) == {2}


async def test_the_shards_of_a_dead_dispatcher_are_taken_when_its_lease_has_expired(database: Database) -> None:
    await leases(database, "dead", NOON)
    assert await leases(database, "other", NOON + store.LEASE_DURATION - 1) == {}
    assert await leases(database, "other", NOON + store.LEASE_DURATION) == dict.fromkeys(range(SHARDS), 2)


async def test_only_shards_whose_epoch_is_known_may_be_claimed_from(database: Database) -> None:
    epochs = await leases(database, "a", NOON)
    async with database.write() as tx:
        assert await store.lock_owned_shards(tx, "a", epochs) == set(range(SHARDS))
        await tx.execute("UPDATE shard_lease SET epoch = epoch + 1 WHERE shard = 3")
        assert await store.lock_owned_shards(tx, "a", epochs) == set(range(SHARDS)) - {3}
        assert await store.lock_owned_shards(tx, "b", epochs) == set()
        await store.release_leases(tx, "a")
        assert await store.lock_owned_shards(tx, "a", epochs) == set()
        assert await tx.rows("SELECT owner FROM dispatcher") == []


async def test_the_last_decision_of_a_message_is_found(database: Database) -> None:
    later = decision(event("e-1"), outcome="defer", reason="quiet_hours", time=NOON + 1)
    async with database.write() as tx:
        await insert_decisions(tx, [OF, later])
        assert await store.load_last_decision(tx, "c-1", ID) == later
        assert await store.load_last_decision(tx, "c-2", ID) is None
