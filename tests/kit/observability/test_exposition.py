"""What `/metrics` costs is bounded, whoever asks and however often."""

from __future__ import annotations

import asyncio
import time

import httpx

from services.kit.observability.exposition import MOST_SAVED, SHARE, MetricsPage
from services.kit.observability.metrics import Registry, counter
from tests.support.http_apps import app_of

SERIES = 20_000
"""Four times as many as the three services have together when each route has been asked."""
PLAIN, OPEN = "text/plain", "application/openmetrics-text"


def registry_of(series: int) -> Registry:
    """A registry with so many series."""
    made = Registry()
    labels = tuple(map(str, range(series)))
    count = counter(made, "test_things_total", "Things", {"thing": labels})
    for label in labels:
        count(label).inc()
    return made


class SlowPage(MetricsPage):
    """A page whose every text takes `cost` seconds of a clock that only these move, and `now`."""

    now = 0.0

    def __init__(self, registry: Registry, cost: float) -> None:
        super().__init__(registry, lambda: self.now)
        self._cost = cost

    def _write(self, is_plain: bool) -> tuple[bytes, str]:
        self.now += self._cost
        return super()._write(is_plain)


async def test_who_asks_now_and_then_gets_a_new_text_each_time() -> None:
    made = Registry()
    count, page = counter(made, "test_asked_total", "Asked", {"kind": ("a",)}), SlowPage(made, cost=0.3)
    for asked in range(1, 60):
        count("a").inc()
        text, _ = await page.render(OPEN)
        assert f'test_asked_total{{kind="a"}} {asked}.0' in text.decode()
        page.now += 5


async def test_a_flood_gets_the_last_text_again() -> None:
    made = Registry()
    count, page = counter(made, "test_asked_total", "Asked", {"kind": ("a",)}), SlowPage(made, cost=0.3)
    texts = set()
    for _ in range(600):
        count("a").inc()
        texts.add((await page.render(OPEN))[0])
        page.now += 0.1
    assert len(texts) * 0.3 <= MOST_SAVED + SHARE * page.now + 0.3


async def test_both_forms_are_told_apart_in_a_flood() -> None:
    page = MetricsPage(registry_of(1), monotonic=lambda: 0.0)
    for _ in range(50):
        assert (await page.render(PLAIN))[1].startswith(PLAIN)
        assert (await page.render(OPEN))[1].startswith(OPEN)


async def test_many_series_and_many_who_ask_do_not_hold_up_liveness() -> None:
    app = app_of([], registry=registry_of(SERIES))
    slowest = 0.0
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tactful") as http:
        asking = [asyncio.create_task(http.get("/metrics")) for _ in range(300)]
        began_at = time.process_time()
        while not all(task.done() for task in asking):
            began = time.monotonic()
            assert (await http.get("/livez")).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.01)
        spent = time.process_time() - began_at
        assert {task.result().status_code for task in asking} == {200}
        assert all(len(task.result().content) > 500_000 for task in asking)
    assert slowest < 0.5, slowest
    assert spent < 15, spent  # 300 texts of this size would take minutes
