"""A provider that answers nothing holds up its own channel alone: neither the room of inline delivery nor the loop of a
dispatcher is shared with another adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.message import HandoverResult, Message
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.delivery import claims
from services.orchestrator.delivery.adapter_health import UNPROVEN_SIZE
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.attempts import PROVIDER_FAILS
from services.orchestrator.delivery.delivery import NO_ANSWER
from tests.support.worker_crew import Crew, crew, record

pytestmark = pytest.mark.wired

FREE: dict[str, Any] = {"zone": "Etc/UTC", "topics": [{"key": "news", "name": "News"}]}
ROOM = 5
"""Messages of an adapter that inline delivery may have under way at once."""
WITHIN = 10.0
"""Seconds within which a message of the living channel is handed over; the dead one is never answered meanwhile."""


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room, and metrics that know both adapters."""
    monkeypatch.setattr(claims, "MAX_IN_FLIGHT", ROOM)
    monkeypatch.setenv("TACTFUL_ACCOUNTS", '{"dead": {"adapter": "null"}, "living": {"adapter": "null"}}')


@asynccontextmanager
async def half_dead(database_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    """Push goes to a provider that hangs, e-mail to one that does not."""
    await upgrade_schema(database_url, "services.orchestrator")
    routes = {"push": "dead", "email": "living"}
    async with crew(database_url, tmp_path, FREE, size=1, chain=["email"], routes_of=routes) as us:
        us.providers["dead"].hangs = hangs = asyncio.Event()
        try:
            yield us
        finally:
            hangs.set()
            await us.workers[0].straight.wait_until_idle()


def events(us: Crew, campaign: str, count: int) -> list[Any]:
    names = [f"{campaign}-{number}" for number in range(count)]
    return [record(name, f"of-{name}", campaign, us.clock.now()) for name in names]


def handed_over(us: Crew) -> int:
    return len(us.providers["living"].taken)


async def rows(us: Crew, sql: str) -> list[tuple[Any, ...]]:
    async with us.database.read() as tx:
        return [tuple(row) for row in await tx.rows(sql)]


async def test_a_dead_provider_does_not_eat_the_room_of_inline_delivery(database_url: str, tmp_path: Path) -> None:
    async with half_dead(database_url, tmp_path) as us:
        worker = us.workers[0]
        await worker.by_itself.after_commit(await worker.decide_and_mark(*events(us, "low", ROOM + 3)))
        assert await rows(us, "SELECT channel, count(*) FROM outbox GROUP BY channel") == [("push", 3)]
        await worker.by_itself.after_commit(await worker.decide_and_mark(*events(us, "chain", ROOM)))
        async with asyncio.timeout(WITHIN):
            while handed_over(us) < ROOM:
                await asyncio.sleep(0.02)
        assert await rows(us, "SELECT channel, count(*) FROM outbox GROUP BY channel") == [("push", 3)]
        us.providers["dead"].hangs.set()  # type: ignore[union-attr]
        await worker.straight.wait_until_idle()


async def test_a_dead_provider_does_not_hold_up_what_others_have_in_the_outbox(
    database_url: str, tmp_path: Path
) -> None:
    async with half_dead(database_url, tmp_path) as us:
        worker, stop = us.workers[0], asyncio.Event()
        running = asyncio.create_task(worker.dispatcher.run_until_stopped(stop))
        await worker.decide(*events(us, "low", 20))
        async with asyncio.timeout(WITHIN):
            while not await rows(us, "SELECT 1 FROM tracked_message WHERE state = 'handing_over'"):
                await asyncio.sleep(0.02)
        await worker.decide(*events(us, "chain", 20))
        async with asyncio.timeout(WITHIN):
            while handed_over(us) < 20:
                await asyncio.sleep(0.02)
        assert us.providers["dead"].taken == {}
        us.providers["dead"].hangs.set()  # type: ignore[union-attr]
        stop.set()
        await running


async def test_of_a_batch_few_are_tried_with_a_provider_that_fails(database_url: str, tmp_path: Path) -> None:
    """Each attempt that fails costs more than a message that is sent, and others would pay for it."""
    async with half_dead(database_url, tmp_path) as us:
        us.providers["dead"].hangs, us.providers["dead"].odds = None, {"retry": 1.0}
        await us.workers[0].decide(*events(us, "low", UNPROVEN_SIZE + 20))
        assert await us.workers[0].hand_over() == UNPROVEN_SIZE + 20
        found = await rows(us, "SELECT detail, count(*) FROM attempt GROUP BY detail ORDER BY detail")
        assert found == [("dice", UNPROVEN_SIZE), (PROVIDER_FAILS, 20)]


async def test_of_a_batch_all_are_tried_with_a_provider_that_takes_them(database_url: str, tmp_path: Path) -> None:
    async with half_dead(database_url, tmp_path) as us:
        us.providers["dead"].hangs = None
        await us.workers[0].decide(*events(us, "low", UNPROVEN_SIZE + 20))
        assert await us.workers[0].hand_over() == UNPROVEN_SIZE + 20
        assert len(us.providers["dead"].taken) == UNPROVEN_SIZE + 20


@pytest.mark.parametrize("wrong", ["too few", "too many"])
async def test_nothing_is_sent_twice_or_left_out_by_an_adapter_that_answers_for_other_messages(
    database_url: str, tmp_path: Path, wrong: str
) -> None:
    """An adapter of somebody else's may leave an answer out, or give one more: its messages are counted by ours."""
    async with half_dead(database_url, tmp_path) as us:
        us.providers["dead"].hangs, send = None, us.providers["dead"].send_batch
        tried: list[str] = []

        async def answer_wrongly(messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
            tried.extend(each.id for each in messages)
            assert len(tried) <= UNPROVEN_SIZE + 20  # or it would go on for ever
            answers = await send(messages, first_byte)
            return answers[:-1] if wrong == "too few" else [*answers, HandoverResult("another", "accepted")]

        us.providers["dead"].send_batch = answer_wrongly  # type: ignore[method-assign]
        await us.workers[0].decide(*events(us, "low", UNPROVEN_SIZE + 20))
        await us.workers[0].hand_over()
        assert len(tried) == len(set(tried)) == UNPROVEN_SIZE + 20
        found = await rows(us, f"SELECT count(*) FROM attempt WHERE detail = '{NO_ANSWER}'")
        assert found == [(2 if wrong == "too few" else 0,)]
