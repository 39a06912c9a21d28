"""Live inboxes over two processes on PostgreSQL: woken by what a third one commits, and continued in the other."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from schemas.times import HOUR
from services.kit.db.database import Database
from services.kit.runtime.clock import SystemClock
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import sign_customer_token
from services.orchestrator.delivery.adapters.app_inbox.store import insert_messages
from tests.orchestrator.delivery.adapters.test_app_inbox import note
from tests.support.fresh_databases import migrate
from tests.support.servers import free_port
from tests.support.service_processes import Process

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SECRET = "the-secret-of-the-shop-0123456789"
QUICK = 1.0
"""Seconds; without a notification it would take two."""


class Event(NamedTuple):
    """An event of a stream, and when it came."""

    id: str
    kind: str
    data: Any
    at: float


class LiveReader:
    """A browser that reads a stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id = ""

    async def next(self) -> Event | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                self.last_id = fields.get("id", self.last_id)
                return Event(self.last_id, fields["event"], json.loads(fields["data"]), time.monotonic())
            else:
                fields = {}
        return None


def headers(customer: str, **others: str) -> dict[str, str]:
    token = sign_customer_token(SECRET, customer, SystemClock().now() + HOUR)
    return {"authorization": f"Bearer {token}", **others}


@contextlib.asynccontextmanager
async def reading(process: Process, customer: str, last_id: str = "") -> AsyncIterator[LiveReader]:
    with_id = {"last-event-id": last_id} if last_id else {}
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        async with client.stream("GET", "/v1/inbox/stream", headers=headers(customer, **with_id)) as answer:
            assert answer.status_code == 200
            yield LiveReader(answer.aiter_lines())


@pytest.fixture
def processes(pg_url: str, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    migrate(pg_url, "services.orchestrator")
    made = []
    for name in ("first", "second"):
        port = free_port()
        command = (sys.executable, "-m", "tests.support.app_inbox_process", pg_url, str(port), SECRET)
        made.append(Process(name, command, port, {}, tmp_path / f"{name}.log", "/readyz"))
    for each in made:
        each.start()
    try:
        for each in made:
            each.wait_ready()
        yield made[0], made[1]
    finally:
        for each in made:
            if each.running is not None:
                each.running.kill()
                each.running.wait(10)


@pytest.fixture
async def database(pg_url: str) -> AsyncIterator[Database]:
    opened = Database.open(pg_url, pool=2)
    yield opened
    await opened.close()


async def hand_over(database: Database, *ids: str, customer: str = "c-1") -> float:
    """As a dispatcher of a third process does."""
    async with database.write() as tx:
        await insert_messages(tx, [note(id, customer) for id in ids], SystemClock().now())
    return time.monotonic()


async def test_a_stream_goes_on_in_another_process_where_it_ended_in_the_first(
    processes: tuple[Process, Process], database: Database
) -> None:
    first, second = processes
    delays = []
    async with reading(first, "c-1") as reader, reading(second, "c-2") as other:
        for each in (reader, other):
            begun = await each.next()
            assert begun is not None
            assert (begun.kind, begun.data) == ("unread", {"unread": 0})
        for number in range(5):
            committed = await hand_over(database, f"msg_{number}")
            shown = await reader.next()
            assert shown is not None
            assert (shown.kind, shown.data["message"]["id"], shown.data["unread"]) == (
                "message",
                f"msg_{number}",
                number + 1,
            )
            delays.append(shown.at - committed)
        assert min(delays) < QUICK
        last_id = reader.last_id
        assert first.running is not None
        first.send(signal.SIGTERM)
        began = time.monotonic()
        assert await reader.next() is None, "the stream ends"
        assert first.running.wait(10) == 0
        assert time.monotonic() - began < 4, "and does not hold up the end of its process"
        await hand_over(database, "msg_foreign", customer="c-2")
        foreign = await other.next()
        assert foreign is not None
        assert foreign.data["message"]["id"] == "msg_foreign", "of c-1 it has heard nothing"
    await hand_over(database, "msg_5", "msg_6")
    async with httpx.AsyncClient(base_url=second.url) as client:
        assert (await client.post("/v1/inbox/messages/msg_0/read", headers=headers("c-1"))).status_code == 200
    async with reading(second, "c-1", last_id) as reader:
        missed = [await reader.next() for _ in range(3)]
        assert [each and each.data["message"]["id"] for each in missed] == ["msg_5", "msg_6", "msg_0"]
        assert missed[2] is not None
        assert (missed[2].data["message"]["read"], missed[2].data["unread"]) == (True, 6)
        await hand_over(database, "msg_7")
        shown = await reader.next()
        assert shown is not None
        assert shown.data["message"]["id"] == "msg_7", "nothing comes twice"


async def test_marks_that_one_device_makes_reach_the_others(
    processes: tuple[Process, Process], database: Database
) -> None:
    """Read-all gives many messages one version: a reader continues behind all of them, or before."""
    first, second = processes
    await hand_over(database, "msg_a", "msg_b", "msg_c")
    async with reading(first, "c-1") as reader:
        begun = await reader.next()
        assert begun is not None
        assert begun.data == {"unread": 3}
        async with httpx.AsyncClient(base_url=second.url) as client:
            assert (await client.post("/v1/inbox/read-all", headers=headers("c-1"))).json() == {"unread": 0}
        changed = [await reader.next() for _ in range(3)]
        assert {each.data["message"]["id"] for each in changed if each} == {"msg_a", "msg_b", "msg_c"}
        assert all(each and each.data["message"]["read"] and each.data["unread"] == 0 for each in changed)
        ids = [each.id for each in changed if each]
        assert ids[0] == ids[1] == begun.id
        assert int(ids[2]) > int(begun.id)
