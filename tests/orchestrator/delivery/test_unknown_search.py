"""Messages of which nobody knows whether they arrived: their provider is asked, and what it proves settles them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.adapter_registry import ProviderSearch
from schemas.receipt import Receipt, ReceiptKind
from schemas.times import SECOND
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.store import ERASED_SOURCE
from services.orchestrator.delivery.adapters.definition import SearchAnswer, SearchedMessage, SearchFinding
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.delivery import HandoverLimits
from services.orchestrator.delivery.receipts.store import NewReceipt, insert_receipts
from services.orchestrator.delivery.recovery import AttemptRecovery
from services.orchestrator.delivery.results import KNOWN_BY_RECEIPT, KNOWN_BY_SEARCH, NOT_AT_PROVIDER
from services.orchestrator.delivery.unknown_search import PAUSE, UnknownSearch
from tests.support.worker_crew import Crew, Provider, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {"zone": "Etc/UTC", "topics": [{"key": "news", "name": "News"}]}
SEARCH = ProviderSearch(86_400.0, 1800.0)


class SearchedProvider:
    """A provider that can be asked, and answers `finding` about everything. `asked`: about what, in each question."""

    idempotent = False

    def __init__(self, provider: Provider) -> None:
        self.name, self._provider = provider.name, provider
        self.finding: SearchFinding = "absent"
        self.asked: list[list[str]] = []
        self.waits = False

    async def send_batch(self, *arguments: Any) -> Any:
        """As any other."""
        return await self._provider.send_batch(*arguments)

    async def close(self) -> None:
        """Nothing to give back."""

    async def find_handed_over(self, messages: Sequence[SearchedMessage]) -> list[SearchAnswer]:
        """The same about each."""
        self.asked.append([each.id for each in messages])
        if self.waits:
            await asyncio.Event().wait()
        return [SearchAnswer(each.id, self.finding, "p-1" if self.finding == "found" else None) for each in messages]


@dataclasses.dataclass
class Searched:
    """One worker whose handover has ended as unknown."""

    us: Crew
    provider: SearchedProvider
    adapters: Adapters

    def search(self) -> UnknownSearch:
        return UnknownSearch(self.us.database, self.adapters, self.us.clock)

    async def after(self, seconds: float, search: UnknownSearch | None = None) -> tuple[Any, ...]:
        """Let time pass and search; returns the state of the message."""
        self.us.clock.advance(int(seconds * SECOND))
        await (search or self.search()).search_due()
        return await self.seen()

    async def seen(self) -> tuple[Any, ...]:
        async with self.us.database.read() as tx:
            row = await tx.row("SELECT state, detail, provider_id, maybe_sent FROM tracked_message")
        assert row is not None
        return tuple(row)

    async def contact(self) -> str | None:
        """The state of the only contact in the ledger."""
        async with self.us.database.write() as tx:
            [message] = await tx.rows("SELECT message_id, customer FROM message")
            [locked] = (await ledger_store.lock_and_load_ledgers(tx, [message.customer])).values()
        found = locked.ledger.find_contact(message.message_id)
        return None if found is None else found.state

    async def fail_again(self) -> None:
        """The claim of a dispatcher that dies."""
        recovery = AttemptRecovery(self.us.database, self.adapters, self.us.clock, HandoverLimits(20.0, 5.0))
        await recovery.close_all_open()


@pytest.fixture
async def searched(tmp_path: Path) -> AsyncIterator[Searched]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'search.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as us:
        provider = SearchedProvider(us.provider)
        adapters = dataclasses.replace(Adapters.one_each({"push": provider}), searches={provider.name: SEARCH})
        made = Searched(us, provider, adapters)
        await us.workers[0].decide_and_mark(record("a", "e-1", "low", us.clock.now()))
        await made.fail_again()
        assert (await made.seen())[0] == "unknown"
        yield made


async def test_what_is_found_counts_as_accepted_and_is_not_asked_for_again(searched: Searched) -> None:
    searched.provider.finding = "found"
    assert await searched.after(60) == ("accepted", KNOWN_BY_SEARCH, "p-1", 0)
    await searched.after(3600)
    assert len(searched.provider.asked) == 1 and await searched.contact() == "made"


async def test_an_absence_proves_nothing_before_the_message_must_have_appeared(searched: Searched) -> None:
    for seconds in (60, 60, 120, 240, 480):
        assert (await searched.after(seconds))[0] == "unknown"
    assert len(searched.provider.asked) == 5 and await searched.contact() == "unknown"
    assert (await searched.after(841))[:2] == ("retry", NOT_AT_PROVIDER)
    assert await searched.contact() == "planned"


async def test_a_message_that_is_not_there_goes_once_more_by_all_rules(searched: Searched) -> None:
    await searched.after(1800)
    searched.us.clock.advance(10 * SECOND)
    worker = searched.us.workers[0]
    await worker.scheduler.tick(searched.us.clock.now())
    assert await worker.hand_over() == 1
    assert (await searched.seen())[0] == "accepted"


@pytest.mark.parametrize(("kind", "is_sent_again"), [("delivered", False), ("replied", True)])
async def test_what_a_receipt_shows_before_it_is_tried_again_is_not_sent_again(
    searched: Searched, kind: ReceiptKind, is_sent_again: bool
) -> None:
    """The provider has shown the message too late, and its receipt comes before the next attempt. A reply is kept with
    the last message to an address, whichever it answers.
    """
    assert (await searched.after(1800))[0] == "retry"
    worker, now = searched.us.workers[0], searched.us.clock.now()
    async with searched.us.database.write() as tx:
        [row] = await tx.rows("SELECT message_id FROM message")
        new = NewReceipt(Receipt("r-1", row.message_id, kind, now), "a", None)
        assert await insert_receipts(tx, "webhook", [new], now)
    searched.us.clock.advance(10 * SECOND)
    await worker.scheduler.tick(searched.us.clock.now())
    assert await worker.hand_over() == 1
    assert bool(searched.us.provider.taken) == is_sent_again
    state, detail, *_ = await searched.seen()
    assert state == "accepted" and (detail == KNOWN_BY_RECEIPT) != is_sent_again
    assert await searched.contact() == "made"


async def test_a_message_whose_time_to_live_is_over_is_not_sent_after_all(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'search.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as us:
        provider, worker = SearchedProvider(us.provider), us.workers[0]
        search = ProviderSearch(30 * 86_400.0, 11 * 86_400.0)  # the campaign's time to live is ten days
        adapters = dataclasses.replace(Adapters.one_each({"push": provider}), searches={provider.name: search})
        made = Searched(us, provider, adapters)
        await worker.decide_and_mark(record("a", "e-1", "low", us.clock.now()))
        await made.fail_again()
        assert (await made.after(11 * 86_400))[0] == "retry"
        us.clock.advance(10 * SECOND)
        await worker.scheduler.tick(us.clock.now())
        await worker.hand_over()
        assert (await made.seen())[0] == "suppressed" and us.provider.taken == {}


async def test_before_its_first_time_nothing_is_asked(searched: Searched) -> None:
    await searched.after(59)
    assert searched.provider.asked == []


@pytest.mark.parametrize("finding", ["unclear", "failed"])
async def test_a_search_that_proves_nothing_leaves_it_unknown(searched: Searched, finding: SearchFinding) -> None:
    searched.provider.finding = finding
    assert (await searched.after(1800))[0] == "unknown"
    assert len(searched.provider.asked) == 1


async def test_after_a_failure_the_provider_has_a_rest(searched: Searched) -> None:
    searched.provider.finding, search = "failed", searched.search()
    await searched.after(60, search)
    await searched.us.workers[0].decide_and_mark(record("b", "e-2", "low", searched.us.clock.now() - 60 * SECOND))
    await searched.fail_again()
    async with searched.us.database.write() as tx:
        await tx.execute("UPDATE message SET until = 0 WHERE state = 'unknown'")
    await searched.after(1, search)
    assert len(searched.provider.asked) == 1
    await searched.after(PAUSE / SECOND, search)
    assert len(searched.provider.asked) == 2


async def test_a_provider_that_does_not_answer_holds_up_nothing_for_long(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.delivery.unknown_search.SEARCH_TIMEOUT", 0.05)
    searched.provider.waits = True
    assert (await searched.after(1800))[0] == "unknown"


async def test_two_processes_ask_once(searched: Searched) -> None:
    searched.provider.finding = "unclear"
    await searched.after(60)
    await searched.search().search_due()
    assert len(searched.provider.asked) == 1


async def test_no_provider_is_asked_about_an_erased_customer(searched: Searched) -> None:
    async with searched.us.database.write() as tx:
        await tx.execute("UPDATE message SET event_source = :erased", erased=ERASED_SOURCE)
    await searched.after(1800)
    assert searched.provider.asked == []


async def test_a_message_that_another_attempt_may_have_delivered_is_left_alone(tmp_path: Path) -> None:
    """Another provider may have had it, so this one's search would prove nothing."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'search.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1) as us:
        provider = SearchedProvider(us.provider)
        adapters = dataclasses.replace(Adapters.one_each({"push": provider}), searches={provider.name: SEARCH})
        made = Searched(us, provider, adapters)
        await us.workers[0].decide_and_mark(record("a", "e-1", "low", us.clock.now()))
        async with us.database.write() as tx:
            await tx.execute("UPDATE message SET maybe_sent = 1")
        await made.fail_again()
        assert (await made.after(1800))[0] == "unknown"
        assert provider.asked == []


async def test_what_a_receipt_has_settled_meanwhile_stays(searched: Searched) -> None:
    """The receipt comes while the provider is asked."""
    original = searched.provider.find_handed_over

    async def told_meanwhile(messages: Sequence[SearchedMessage]) -> list[SearchAnswer]:
        async with searched.us.database.write() as tx:
            await tx.execute("UPDATE message SET state = 'accepted'")
        return await original(messages)

    searched.provider.find_handed_over = told_meanwhile  # type: ignore[method-assign]
    assert (await searched.after(1800))[0] == "accepted"


async def fallen_back(us: Crew, minutes: int) -> tuple[SearchedProvider, list[tuple[str, str]]]:
    """A campaign that falls back after half an hour: its push has an unknown outcome. After so many minutes its
    provider says that it is not there. Returns what became of each channel.
    """
    provider = SearchedProvider(us.provider)
    search = ProviderSearch(86_400.0, minutes * 60.0)
    adapters = dataclasses.replace(Adapters.one_each({"push": provider}), searches={provider.name: search})
    made = Searched(us, provider, adapters)
    worker = us.workers[0]
    await worker.decide_and_mark(record("a", "e-1", "chain", us.clock.now()))
    await made.fail_again()
    for _ in range(minutes):
        us.clock.advance(60 * SECOND)
        await worker.scheduler.tick(us.clock.now())
        await worker.hand_over("email")
    await made.search().search_due()
    async with us.database.read() as tx:
        rows = await tx.rows("SELECT channel, state FROM tracked_message ORDER BY channel")
    return provider, [tuple(row) for row in rows]


async def test_a_message_whose_end_was_noted_after_its_campaign_fell_back_is_not_sent_late(tmp_path: Path) -> None:
    """Its owner died, and no dispatcher closed the attempt before the next channel had gone."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'search.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1, chain=("push", "email")) as us:
        provider, worker = SearchedProvider(us.provider), us.workers[0]
        adapters = dataclasses.replace(Adapters.one_each({"push": provider}), searches={provider.name: SEARCH})
        made = Searched(us, provider, adapters)
        await worker.decide_and_mark(record("a", "e-1", "chain", us.clock.now()))
        us.clock.advance(1800 * SECOND)
        await worker.scheduler.tick(us.clock.now())
        assert await worker.hand_over("email") == 1
        us.clock.advance(SECOND)
        await made.fail_again()
        us.clock.advance(1800 * SECOND)
        await made.search().search_due()
        async with us.database.read() as tx:
            rows = await tx.rows("SELECT channel, state FROM tracked_message ORDER BY channel")
        assert len(provider.asked) == 1
        assert [tuple(row) for row in rows] == [("email", "accepted"), ("push", "unknown")]


async def test_a_search_and_somebody_who_locks_the_same_customers_do_not_wait_for_each_other(
    database_url: str, tmp_path: Path
) -> None:
    """What was found and what was absent is written together: all ledgers are locked at once, in one order."""
    await upgrade_schema(database_url, "services.orchestrator")
    async with crew(database_url, tmp_path, FREE, size=1) as us:
        provider, is_locked = SearchedProvider(us.provider), asyncio.Event()
        adapters = dataclasses.replace(Adapters.one_each({"push": provider}), searches={provider.name: SEARCH})
        made = Searched(us, provider, adapters)
        await us.workers[0].decide_and_mark(*(record(each, f"e-{each}", "low", us.clock.now()) for each in "ab"))
        await made.fail_again()
        others: list[asyncio.Task[None]] = []

        async def lock_both() -> None:
            async with us.database.write() as tx:
                await ledger_store.lock_ledgers(tx, ["a"])
                is_locked.set()
                await asyncio.sleep(0.5)  # until the search waits
                await ledger_store.lock_ledgers(tx, ["b"])

        async def find_b(messages: Sequence[SearchedMessage]) -> list[SearchAnswer]:
            async with us.database.read() as tx:
                owners = {row.message_id: row.customer for row in await tx.rows("SELECT * FROM message")}
            others.append(asyncio.create_task(lock_both()))
            await is_locked.wait()
            return [SearchAnswer(each.id, "found" if owners[each.id] == "b" else "absent") for each in messages]

        provider.find_handed_over = find_b  # type: ignore[method-assign]
        us.clock.advance(1800 * SECOND)
        await made.search().search_due()
        await asyncio.gather(*others)
        async with us.database.read() as tx:
            rows = await tx.rows("SELECT customer, state FROM tracked_message ORDER BY customer")
        assert [tuple(row) for row in rows] == [("a", "retry"), ("b", "accepted")]
        us.clock.advance(10 * SECOND)
        await us.workers[0].scheduler.tick(us.clock.now())
        assert await us.workers[0].hand_over() == 1 and list(us.provider.taken) == ["a"]


@pytest.mark.parametrize(
    ("minutes", "states"),
    [
        (20, [("email", "parked"), ("push", "retry")]),  # the next channel waits on
        (40, [("email", "accepted"), ("push", "unknown")]),  # it has gone: nobody hears the same twice
    ],
)
async def test_a_message_is_not_sent_late_where_its_campaign_has_fallen_back(
    tmp_path: Path, minutes: int, states: list[tuple[str, str]]
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'search.db'}"
    await upgrade_schema(url, "services.orchestrator")
    async with crew(url, tmp_path, FREE, size=1, chain=("push", "email")) as us:
        provider, found = await fallen_back(us, minutes)
    assert len(provider.asked) == 1 and found == states
