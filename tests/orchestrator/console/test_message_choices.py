"""One row a message choice, with its channels inside, on both databases."""

from collections.abc import AsyncIterator

import pytest

from schemas.decision import Decision
from schemas.times import HOUR, MINUTE, Instant
from services.kit.db.database import Database
from services.orchestrator.console import message_choices as subject
from services.orchestrator.console.message_choices import MessageChoice, list_newest_choices, load_choices
from services.orchestrator.console.store import DecisionListFilter, list_newest_decisions
from services.orchestrator.decisions.store import insert_decisions
from tests.support.decision_records import decision, event, keep
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


async def choice(database: Database, number: int, *outcomes: tuple[str, str, str], time: Instant) -> None:
    """The decisions about one event: channel, outcome and reason of each."""
    of = event(f"e-{number}", f"c-{number % 3}")
    async with database.write() as tx:
        found = [
            decision(of, channel=channel, outcome=outcome, reason=reason, time=time)
            for channel, outcome, reason in outcomes
        ]
        await keep(tx, of, *found, offset=number)


def seen(choices: list[MessageChoice]) -> list[tuple[str, str, list[str]]]:
    return [
        (item.lead.decision.event.id, item.outcome, sorted(each.decision.channel for each in item.decisions))
        for item in choices
    ]


SENT = ("email", "send", "eligible")
OTHER = ("push", "suppress", "other_channel")
REFUSED = (("email", "suppress", "contact_history"), ("push", "suppress", "no_address"))


async def test_a_choice_is_sent_if_one_channel_was(database: Database) -> None:
    await choice(database, 1, OTHER, SENT, time=NOON)
    await choice(database, 2, *REFUSED, time=NOON + MINUTE)
    async with database.read() as tx:
        everything = await list_newest_choices(tx, DecisionListFilter(), 0, None, 10)
        assert seen(everything.choices) == [("e-2", "suppress", ["email", "push"]), ("e-1", "send", ["email", "push"])]
        assert everything.next is None
        suppressed = await list_newest_choices(tx, DecisionListFilter(outcome="suppress"), 0, None, 10)
        assert seen(suppressed.choices) == [("e-2", "suppress", ["email", "push"])]
        by_reason = await list_newest_choices(tx, DecisionListFilter(reason="other_channel"), 0, None, 10)
        assert [item.lead.decision.channel for item in by_reason.choices] == ["push"]
        assert [item.lead.decision.channel for item in everything.choices] == ["email", "email"]


async def test_the_same_event_decided_again_is_another_row(database: Database) -> None:
    await choice(database, 1, ("email", "defer", "quiet_hours"), time=NOON)
    async with database.write() as tx:
        later = decision(event("e-1", "c-1"), outcome="send", reason="eligible", time=NOON + HOUR)
        await insert_decisions(tx, [later])
    async with database.read() as tx:
        found = await list_newest_choices(tx, DecisionListFilter(), 0, None, 10)
    assert [item.outcome for item in found.choices] == ["send", "defer"]


@pytest.mark.parametrize("limit", [1, 3, 4])
async def test_pages_have_every_choice_once_also_at_one_instant(database: Database, limit: int) -> None:
    for number in range(11):
        await choice(database, number, SENT, OTHER, ("sms", "suppress", "other_channel"), time=NOON)
    pages: list[str] = []
    before = None
    async with database.read() as tx:
        for _ in range(20):
            page = await list_newest_choices(tx, DecisionListFilter(), 0, before, limit)
            assert len(page.choices) <= limit
            pages += [item.lead.decision.event.id for item in page.choices]
            before = page.next
            if before is None:
                break
    assert sorted(pages) == sorted(f"e-{number}" for number in range(11))


async def test_a_list_in_which_little_matches_ends_its_search_and_says_where(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_SCAN_LENGTH", 4)
    monkeypatch.setattr(subject, "_MAX_SCANS", 2)
    for number in range(12):
        await choice(database, number, SENT, OTHER, time=NOON + number * MINUTE)
    async with database.read() as tx:
        found = await list_newest_choices(tx, DecisionListFilter(outcome="suppress"), 0, None, 10)
        assert found.choices == [] and found.next is not None


async def test_decisions_of_other_transactions_between_do_not_tear_a_choice(database: Database) -> None:
    """Ids of one choice may have ids of others between them."""
    rows: list[Decision] = []
    for number in range(3):
        rows += [decision(event(f"e-{number}", "c-1"), channel="email", time=NOON)]
    for number in range(3):
        rows += [decision(event(f"e-{number}", "c-1"), channel="push", time=NOON)]
    async with database.write() as tx:
        await insert_decisions(tx, rows)
    async with database.read() as tx:
        newest = await list_newest_decisions(tx, DecisionListFilter(channel="push"), 0, None, 10)
        choices = await load_choices(tx, newest)
        assert all(len(item.decisions) == 2 for item in choices.values()) and len(choices) == 3
        assert await load_choices(tx, []) == {}
