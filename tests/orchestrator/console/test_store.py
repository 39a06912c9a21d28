"""The SQL of the pages and of sessions, on both databases."""

from collections.abc import AsyncIterator

import pytest

from schemas.roles import Role
from schemas.times import DAY, HOUR, MINUTE
from services.kit.db.database import Database
from services.kit.http.sessions import SessionStore
from services.kit.runtime.clock import ManualClock
from services.orchestrator.console import store
from services.orchestrator.console.store import DecisionListFilter, DecisionPosition
from services.orchestrator.delivery.adapters.sandbox import store as sandbox_store
from tests.support.decision_records import decision, event, keep, keep_message
from tests.support.fresh_databases import migrate
from tests.support.orchestrator_app import NOON

pytestmark = pytest.mark.wired


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database at the newest step."""
    migrate(database_url, "services.orchestrator")
    database = Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
async def filled(database: Database) -> Database:
    """Three decisions about two customers, a message, and what the sandbox kept of it."""
    first, second = event("e-1", "c-1"), event("e-2", "c-2")
    sent = decision(first, outcome="send", reason="eligible", time=NOON - HOUR)
    failed = decision(second, outcome="fail", reason="render_error", time=NOON - MINUTE)
    old = decision(first, channel="email", time=NOON - 2 * DAY)
    async with database.write() as tx:
        await keep(tx, first, old, sent)
        await keep(tx, second, failed, offset=1)
        await keep_message(tx, sent, updated=NOON)
        columns = ("message_id", "customer", "campaign", "channel", "to_address", "content", "at")
        row = (sent.message_id, "c-1", "referral-ask", "sms", "+49", b'{"text":"Hi"}', NOON)
        await tx.bulk_insert("sandbox_message", columns, [row])
    return database


async def test_decisions_run_backwards_in_pages(filled: Database) -> None:
    async with filled.read() as tx:
        found = await store.list_newest_decisions(tx, DecisionListFilter(), NOON - DAY, None, 10)
        assert [item.decision.outcome for item in found] == ["fail", "send"]
        place = DecisionPosition(found[0].decision.time, found[0].decision.message_id, found[0].decision_id)
        assert [
            item.decision.outcome for item in await store.list_newest_decisions(tx, DecisionListFilter(), 0, place, 10)
        ] == [
            "send",
            "suppress",
        ]
        assert (
            await store.list_newest_decisions(tx, DecisionListFilter(customer="c-1", outcome="fail"), 0, None, 10) == []
        )
        assert await store.newest_decision_id(tx) == 3
        assert [
            item.decision_id for item in await store.list_decisions_after(tx, DecisionListFilter(customer="c-2"), 1, 10)
        ] == [3]


async def test_counts_fall_into_slots(filled: Database) -> None:
    async with filled.read() as tx:
        found = await store.count_decisions(tx, NOON - DAY, NOON + 1, 24)
        assert sorted(found) == [(23, "sms", "fail", "render_error", 1), (23, "sms", "send", "eligible", 1)]
        rows = await store.list_failing_campaigns(tx, NOON - DAY, 5)
        assert [(row.campaign, row.reason, row.n, row.last) for row in rows] == [
            ("referral-ask", "render_error", 1, NOON - MINUTE)
        ]


async def test_what_waits_is_counted(filled: Database) -> None:
    async with filled.read() as tx:
        assert await store.count_waiting_messages(tx) == (0, None)
        assert await store.count_open_attempts(tx) == (0, None)
        assert list(await store.list_submitted_versions(tx, 5)) == []
        assert list(await store.list_campaign_documents(tx, 5)) == []


async def test_what_search_looks_up(filled: Database) -> None:
    async with filled.read() as tx:
        assert [row.customer for row in await store.list_events_with_id(tx, "e-2", 5)] == ["c-2"]
        assert list(await store.list_events_with_id(tx, "e-3", 5)) == []
        assert await store.is_known_customer(tx, "c-1") and not await store.is_known_customer(tx, "C-1")
        assert await store.is_decision(tx, 3) and not await store.is_decision(tx, 4)
        (message,) = await store.list_last_messages(tx, ["c-1", "c-2"], ["accepted"])
        assert (message.customer, message.campaign, message.state) == ("c-1", "referral-ask", "accepted")
        assert list(await store.list_last_messages(tx, ["c-1"], ["rejected"])) == []
        assert list(await store.list_last_messages(tx, [], ["accepted"])) == []
        found = (await store.list_newest_decisions(tx, DecisionListFilter(outcome="send"), 0, None, 1))[0]
        owner = await store.get_message_owner(tx, found.decision.message_id)
        assert owner is not None and owner.customer == "c-1"
        assert await store.get_message_owner(tx, "msg_none") is None
        assert await store.count_reason_since(tx, "render_error", 0) == 1


async def test_the_sandbox_groups_messages_by_event(filled: Database) -> None:
    async with filled.read() as tx:
        (row,) = await sandbox_store.list_messages_before(tx, customer=None, channel="sms", before=None, limit=5)
        position = (row.at, row.message_id)
        older = await sandbox_store.list_messages_before(tx, customer="c-1", channel=None, before=position, limit=5)
        assert list(older) == []
        assert await sandbox_store.get_message(tx, "nothing") is None
        of = await store.get_message_event(tx, row.message_id)
        assert of is not None and (of.source, of.id) == ("/shop", "e-1")
        siblings = await sandbox_store.list_messages_of_event(tx, "c-1", "/shop", "e-1")
        assert [item.message_id for item in siblings] == [row.message_id]
        last = await store.get_newest_decision(tx, "c-1", row.message_id)
        assert last is not None and last.decision.outcome == "send"


async def test_links_and_sessions_on_either_database(database: Database) -> None:
    clock = ManualClock(NOON)
    sessions = SessionStore(database, clock, path="/console")
    token = await sessions.issue_link("ada", Role.ADMIN)
    assert await sessions.use_link("another") is None
    assert await sessions.use_link(token) is not None
    assert await sessions.use_link(token) is None
    clock.advance(13 * HOUR)
    await sessions.open_session("vera", Role.VIEWER, "digest")
    async with database.read() as tx:
        rows = await tx.rows("SELECT name, role, expires FROM session")
    assert [(row.name, row.role) for row in rows] == [("vera", "viewer")]  # the old one is forgotten
