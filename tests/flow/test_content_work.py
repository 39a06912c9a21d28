"""Content that takes long to check or to show is refused, and everything else goes on meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.kit.runtime.worker_process import WorkerPool
from services.orchestrator.delivery.channels import content_work
from tests.support.document_builders import MONDAY, campaign, customer, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

HEAVY = "{% for a in (1..90) %}{% for b in (1..90) %}{% if a == b %}{{ a }}{% endif %}{% endfor %}{% endfor %}"
MANY_LOCALES = [f"{first}{second}-{region}" for first in "de" for second in "ens" for region in range(100, 130)]


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        yield running


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that give up after a second, so that no test waits longer."""
    pool = WorkerPool(size=1, seconds=1.0)
    monkeypatch.setattr(content_work, "CONTENT_WORKERS", pool)
    yield
    pool.close()


def heavy() -> dict[str, Any]:
    fields = {"title": "x", "body": HEAVY}
    return campaign(content={"in_app": dict.fromkeys(("en", *MANY_LOCALES), fields)}, channels=["in_app"])


async def longest_pause(stop: asyncio.Event) -> float:
    """The longest time, in seconds, for which the event loop did nothing else."""
    longest = 0.0
    while not stop.is_set():
        began = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - began - 0.005)
    return longest


@pytest.mark.usefixtures("one_second")
@pytest.mark.parametrize("path", ["/v1/campaigns/offer", "/v1/preview"])
async def test_content_that_takes_long_is_refused_and_the_loop_goes_on(product: Live, path: str) -> None:
    await product.policy(policy())
    await product.customer(customer())
    stop = asyncio.Event()
    pause = asyncio.create_task(longest_pause(stop))
    if path == "/v1/preview":
        answer = await product.editor.post(path, json={"campaign": heavy(), "customer": "c-1"})
        pointer = "/campaign/content"
    else:
        answer, pointer = await product.editor.put(path, json=heavy()), "/content"
    stop.set()
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, "too_much_work")
    assert "longer than 1 s" in error["detail"]
    assert await pause < 0.3


async def test_more_contents_than_a_campaign_may_have_are_refused_at_once(product: Live) -> None:
    await product.policy(policy())
    fields = {"title": "x", "body": "y"}
    locales = {f"en-{number}": fields for number in range(100, 400)}
    answer = await product.editor.put(
        "/v1/campaigns/offer", json=campaign(content={"in_app": {"en": fields, **locales}}, channels=["in_app"])
    )
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["pointer"], error["code"]) == (422, "/content", "too_many")
