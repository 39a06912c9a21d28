"""A channel with several adapters: who gets what, what happens when one fails, and what is never sent twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.message import HandoverResult
from schemas.times import HOUR
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.decisions.message_store import OUTBOX_GROWN
from services.orchestrator.delivery.adapter_health import FIRST_PAUSE
from services.orchestrator.delivery.adapter_pace import take_places
from tests.support.worker_crew import LIMITS, Crew, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {"zone": "Etc/UTC", "topics": [{"key": "news", "name": "News"}]}
BOTH = '[{"adapter": "first"}, {"adapter": "second"}]'
CUSTOMERS = 60


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics know the adapters of the settings: two accounts of one kind."""
    accounts = '{"first": {"adapter": "null"}, "second": {"adapter": "null"}}'
    monkeypatch.setenv("TACTFUL_ACCOUNTS", accounts)


@asynccontextmanager
async def product(database_url: str, tmp_path: Path, routes: str, **options: Any) -> AsyncIterator[Crew]:
    await upgrade_schema(database_url, "services.orchestrator")
    async with crew(database_url, tmp_path, FREE, size=1, routes=routes, **options) as made:
        yield made


@asynccontextmanager
async def dispatching(us: Crew) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(us.workers[0].dispatcher.run_until_stopped(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def until(found: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not found():
            await asyncio.sleep(0.02)


async def decide(us: Crew, count: int = CUSTOMERS, start: int = 0) -> None:
    names = [f"customer-{number}" for number in range(start, start + count)]
    await us.workers[0].decide(*(record(name, f"of-{name}", "low", us.clock.now()) for name in names))


def had(us: Crew) -> dict[str, int]:
    """How many messages each provider has."""
    return {
        name: sum(len(times) for taken in provider.taken.values() for times in taken.values())
        for name, provider in us.providers.items()
    }


async def rows(us: Crew, sql: str) -> list[tuple[Any, ...]]:
    async with us.database.read() as tx:
        return [tuple(row) for row in await tx.rows(sql)]


async def states(us: Crew) -> Counter[tuple[Any, ...]]:
    return Counter(await rows(us, "SELECT adapter, state FROM tracked_message"))


async def test_each_adapter_gets_its_share_from_the_outbox(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, BOTH) as us, dispatching(us):
        await decide(us)
        await until(lambda: sum(had(us).values()) == CUSTOMERS)
        await until_recorded(us)
        assert min(had(us).values()) > CUSTOMERS // 5
        assert await states(us) == {(name, "accepted"): count for name, count in had(us).items()}


async def until_empty(us: Crew) -> None:
    """Wait until nothing lies in the outbox and nothing is being handed over."""
    async with asyncio.timeout(FIRST_PAUSE):
        while await rows(us, "SELECT seq FROM outbox"):
            await asyncio.sleep(0.02)
    await until_recorded(us)


async def until_recorded(us: Crew) -> None:
    async with asyncio.timeout(30):
        while await rows(us, "SELECT 1 FROM handover WHERE closed_at IS NULL"):
            await asyncio.sleep(0.02)


async def test_each_adapter_gets_its_share_at_once(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, BOTH) as us:
        worker, names = us.workers[0], [f"customer-{number}" for number in range(CUSTOMERS)]
        prepared = await worker.decide_and_mark(*(record(name, f"of-{name}", "low", us.clock.now()) for name in names))
        await worker.go(prepared)
        assert sum(had(us).values()) == CUSTOMERS
        assert min(had(us).values()) > CUSTOMERS // 5
        assert await rows(us, "SELECT seq FROM outbox") == []
        assert await states(us) == {(name, "accepted"): count for name, count in had(us).items()}


async def test_the_messages_of_a_dead_adapter_go_to_the_other_one(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, BOTH) as us, dispatching(us):
        us.providers["first"].odds = {"retry": 1.0}  # nothing was written: the connection was refused
        await decide(us)
        await until_empty(us)
        assert not us.workers[0].dispatcher._delivery.health["first"].is_usable
        before = await states(us)
        assert before["first", "retry"] + before["second", "accepted"] == CUSTOMERS
        await decide(us, start=CUSTOMERS)
        await until_empty(us)  # well before the first one is tried again
        assert had(us) == {"first": 0, "second": before["second", "accepted"] + CUSTOMERS}
        assert await states(us) == {**before, ("second", "accepted"): had(us)["second"]}


async def test_a_message_that_may_have_arrived_stays_with_its_adapter(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, BOTH) as us, dispatching(us):
        us.providers["first"].odds = us.providers["second"].odds = {"unknown": 1.0}
        await decide(us, 5)
        await until(lambda: sum(had(us).values()) == 5)
        await until_recorded(us)
        before = had(us)
        assert await states(us) == {(name, "retry"): count for name, count in before.items() if count}
        us.providers["first"].odds = us.providers["second"].odds = {"accepted": 1.0}
        async with us.database.write() as tx:
            await tx.execute("DELETE FROM timer")
            await tx.execute("UPDATE message SET state = 'pending'")
            await tx.execute(
                "INSERT INTO outbox (shard, channel, message_id, customer) "
                "SELECT 0, 'push', message_id, customer FROM message"
            )
            await tx.notify(OUTBOX_GROWN)
        await until(lambda: sum(had(us).values()) == 10)
        assert had(us) == {name: 2 * count for name, count in before.items()}  # known ones are recognised there


async def test_where_its_adapter_is_gone_it_ends_as_unknown_and_is_not_sent(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, "first") as us:
        await decide(us, 1)
        async with us.database.write() as tx:
            await tx.execute("UPDATE message SET maybe_sent = 1, adapter = 'third', attempts = 1")
        assert await us.workers[0].hand_over() == 1
        assert await rows(us, "SELECT state, detail FROM tracked_message") == [("unknown", None)]
        assert await rows(us, "SELECT 1 FROM handover WHERE closed_at IS NULL") == []
        assert had(us) == {"first": 0}


@pytest.mark.parametrize(("hours", "state"), [(21, "accepted"), (22, "unknown")])
async def test_what_a_provider_no_longer_recognises_is_not_sent_again(
    hours: int, state: str, database_url: str, tmp_path: Path
) -> None:
    async with product(database_url, tmp_path, "first", memories={"first": 24 * 3600.0}) as us:
        us.provider.odds = {"unknown": 1.0}
        await decide(us, 1)
        assert await us.workers[0].hand_over() == 1
        us.provider.odds = {"accepted": 1.0}
        us.clock.advance(hours * HOUR)
        await us.workers[0].scheduler.tick(us.clock.now())
        assert await us.workers[0].hand_over() == 1
        assert await rows(us, "SELECT state FROM tracked_message") == [(state,)]
        assert had(us) == {"first": 2 if state == "accepted" else 1}


@pytest.mark.parametrize(("most", "times", "state"), [(0, 1, "unknown"), (1, 2, "unknown")])
async def test_a_provider_that_recognises_nothing_gets_a_transactional_message_once_more_if_that_is_allowed(
    most: int, times: int, state: str, database_url: str, tmp_path: Path
) -> None:
    limits = replace(LIMITS, max_duplicates=most)
    async with product(database_url, tmp_path, "first", limits=limits) as us:
        us.provider.idempotent, us.provider.odds = False, {"unknown": 1.0}
        await decide(us, 1)
        async with us.database.write() as tx:
            await tx.execute("UPDATE message SET cls = 'transactional'")
        for _ in range(4):
            await us.workers[0].hand_over()
            us.clock.advance(HOUR)
            await us.workers[0].scheduler.tick(us.clock.now())
        assert had(us) == {"first": times}
        assert await rows(us, "SELECT state FROM tracked_message") == [(state,)]


@pytest.mark.parametrize("routes", ["second", '[{"adapter": "second"}, {"adapter": "first", "weight": 0}]'])
async def test_what_waits_for_an_adapter_that_is_no_longer_used_goes_to_the_others(
    routes: str, database_url: str, tmp_path: Path
) -> None:
    async with product(database_url, tmp_path, routes) as us:
        await decide(us, 3)
        async with us.database.write() as tx:
            await tx.execute("UPDATE outbox SET adapter = 'removed'")
            await tx.execute("UPDATE shard_lease SET owner = '', expires = 0")
        us.workers[0].dispatcher._epochs = {}
        async with dispatching(us):
            await until(lambda: had(us)["second"] == 3)


async def test_a_dead_adapter_alone_keeps_its_messages_until_it_is_back(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, "first") as us:
        health = us.workers[0].dispatcher._delivery.health["first"]
        us.provider.odds = {"retry": 1.0}
        async with dispatching(us):
            await decide(us, 30)
            await until(lambda: not health.is_usable)
            await until_recorded(us)
            await decide(us, 30, start=30)
            await asyncio.sleep(0.5)
            assert len(await rows(us, "SELECT seq FROM outbox")) == 30  # not tried, not lost
            us.provider.odds = {"accepted": 1.0}
            await until(lambda: had(us)["first"] == 30)
            assert health.report().circuit == "closed"


async def test_an_adapter_with_a_rate_gets_no_more_than_that(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, BOTH, rates={"first": 10.0}) as us, dispatching(us):
        started = asyncio.get_running_loop().time()
        await decide(us)
        await until(lambda: sum(had(us).values()) == CUSTOMERS)
        seconds = asyncio.get_running_loop().time() - started
        assert had(us)["first"] <= 10 * (seconds + 1)
        assert had(us)["first"] > 15


async def test_a_rate_takes_no_more_places_than_there_are_messages(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, "first", rates={"first": 10.0}) as us:
        dispatcher = us.workers[0].dispatcher
        await decide(us, 1)
        assert await dispatcher._hand_over_places(dispatcher.lines[0]) == (1, None)
        now = await us.database.now()
        async with us.database.write() as tx:
            assert (await take_places(tx, "first", 10.0, 500, now)).taken >= 8  # left for other processes


@pytest.mark.parametrize("case", ["a rate", "a failure"])
async def test_what_must_not_go_at_once_waits_in_the_outbox(case: str, database_url: str, tmp_path: Path) -> None:
    rates = {"first": 1000.0} if case == "a rate" else {}
    async with product(database_url, tmp_path, "first", rates=rates) as us:
        worker = us.workers[0]
        if case == "a failure":
            health = worker.dispatcher._delivery.health["first"]
            health.start(1)
            health.finish([HandoverResult("m", "retry", fault="account")], 0.1)
        await worker.go(await worker.decide_and_mark(record("a", "e-1", "low", us.clock.now())))
        assert had(us) == {"first": 0}
        assert len(await rows(us, "SELECT seq FROM outbox")) == 1


async def test_a_handover_of_a_dead_process_is_judged_by_its_own_adapter(database_url: str, tmp_path: Path) -> None:
    async with product(database_url, tmp_path, BOTH) as us:
        us.providers["second"].idempotent = False
        names = [f"customer-{number}" for number in range(20)]
        await us.workers[0].decide_and_mark(*(record(name, f"of-{name}", "low", us.clock.now()) for name in names))
        of = Counter(await rows(us, "SELECT h.adapter FROM message m JOIN handover h USING (handover_id)"))
        assert set(of) == {("first",), ("second",)}
        await us.workers[0].recovery.close_all_open()
        assert await states(us) == {("first", "retry"): of["first",], ("second", "unknown"): of["second",]}
