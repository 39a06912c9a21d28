"""What becomes of clicks and opens when the database is away, when there are too many, and at a stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from schemas.receipt import Statement
from schemas.times import DAY
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.kit.errors import Transient
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.links import visit_recorder
from services.orchestrator.delivery.links.sealed_links import LinkSealer, SealedLink
from services.orchestrator.delivery.links.tracked_link_routes import link_routes
from services.orchestrator.delivery.links.visit_metrics import VisitEnd, VisitMetrics
from services.orchestrator.delivery.links.visit_recorder import LinkVisit, VisitRecorder
from services.orchestrator.link_settings import LinkSettings
from tests.support.http_apps import app_of, client_of

pytestmark = pytest.mark.wired

NOW = 20_000 * DAY
SETTINGS = LinkSettings.model_validate(
    {"base_url": "https://links.example", "key": "a-key-of-the-tests-0123456789-abc"}
)
AWAY = "postgresql+asyncpg://nobody:nothing@127.0.0.1:9/none"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"}


class Intake:
    """Keeps receipts, or cannot for the first `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[Statement] = []

    async def take(self, adapter: str, statements: Sequence[Statement]) -> object:
        assert adapter == "links"
        if self.failures:
            self.failures -= 1
            raise Transient("away")
        self.taken += statements
        return None

    @property
    def keys(self) -> list[str]:
        return [each.key for each in self.taken]


class Counted:
    """A recorder with its metrics."""

    def __init__(self, database: Database, intake: Intake) -> None:
        self.registry = Registry()
        self.recorder = VisitRecorder(database, intake.take, VisitMetrics(self.registry), machine_seconds=10)

    def count(self, end: VisitEnd, link: str = "click") -> float | None:
        return self.registry.get_sample_value("tactful_link_visits_total", {"link": link, "end": end})


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await upgrade_schema(database_url, "services.orchestrator")
    opened = Database.open(database_url, pool=2)
    yield opened
    await opened.close()


def click(message: str = "msg_1") -> LinkVisit:
    return LinkVisit("l", message, 1, NOW, by_machine=False)


async def stopped(recorder: VisitRecorder) -> None:
    """Run a recorder that is told to stop at once: it keeps what waits."""
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(20):
        await recorder.run_until_stopped(stop)


async def test_a_link_leads_where_it_should_while_no_database_answers(caplog: pytest.LogCaptureFixture) -> None:
    away = Database.open(AWAY, pool=1)
    counted = Counted(away, Intake())
    token = LinkSealer(SETTINGS.keys).seal("l", "marketing", SealedLink("msg_1", 20_100, 1, "https://shop.example/a"))
    app = app_of(link_routes(SETTINGS, counted.recorder, ManualClock(NOW)))
    stop = asyncio.Event()
    running = asyncio.create_task(counted.recorder.run_until_stopped(stop))
    async with client_of(app) as client:
        started = time.monotonic()
        answer = await client.get(f"/l/{token}", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/a")
        assert time.monotonic() - started < 1
    await asyncio.sleep(0.2)
    assert counted.recorder.waiting == 1
    stop.set()
    async with asyncio.timeout(20):
        await running
    assert (counted.count("lost"), counted.count("kept")) == (1, 0)
    assert "shop.example" not in caplog.text
    await away.close()


async def test_what_waits_is_kept_once_the_database_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_recorder, "_RETRY_SECONDS", 0.01)
    intake = Intake(failures=3)
    counted = Counted(database, intake)
    stop = asyncio.Event()
    running = asyncio.create_task(counted.recorder.run_until_stopped(stop))
    for visit in (click(), click("msg_2"), click()):
        counted.recorder.keep_soon(visit)
    async with asyncio.timeout(20):
        while counted.recorder.waiting:
            await asyncio.sleep(0.01)
    assert sorted(intake.keys) == ["links:msg_1:clicked", "links:msg_2:clicked"]
    assert counted.count("kept") == 3
    counted.recorder.keep_soon(click())
    assert (counted.recorder.waiting, counted.count("repeated")) == (0, 1)
    stop.set()
    await running


async def test_a_machine_that_comes_after_somebody_is_kept_once_beside_them(database: Database) -> None:
    """Whichever came first, and whichever process was asked."""
    intake = Intake()
    counted, stopping = Counted(database, intake), asyncio.Event()
    running = asyncio.create_task(counted.recorder.run_until_stopped(stopping))
    for visit in (click(), click()._replace(by_machine=True), click()._replace(by_machine=True), click()):
        counted.recorder.keep_soon(visit)
        async with asyncio.timeout(5):
            while counted.recorder.waiting:
                await asyncio.sleep(0.01)
    stopping.set()
    await running
    assert intake.keys == ["links:msg_1:clicked", "links:msg_1:clicked:machine"]
    assert (counted.count("kept"), counted.count("repeated")) == (2, 2)


async def test_what_waits_at_a_stop_is_kept(database: Database) -> None:
    intake = Intake()
    counted = Counted(database, intake)
    counted.recorder.keep_soon(click())
    await stopped(counted.recorder)
    assert intake.keys == ["links:msg_1:clicked"]


async def test_of_one_message_only_so_many_are_counted_and_of_all_only_so_many_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_recorder, "MAX_WAITING", 30)
    counted = Counted(database, Intake())
    for _ in range(50):
        counted.recorder.keep_soon(click())
    assert (counted.recorder.waiting, counted.count("not_counted")) == (20, 30)
    for number in range(2, 50):
        counted.recorder.keep_soon(click(f"msg_{number}"))
    assert (counted.recorder.waiting, counted.count("lost")) == (30, 38)
