"""Events whose time is refused for some seconds, because it is more than a day ahead: letters that mend themselves."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from schemas.times import DAY, SECOND, format_instant
from tests.support.installation import Installation
from tests.support.kafka_event_producer import SOURCE, Record, Shop

PATH = "/v1/dead-letters"
REFUSED_FOR = 12.0
"""Seconds in which a service must have read and refused what `send_early` sends."""


def now() -> int:
    """This machine's time, in microseconds."""
    return time.time_ns() // 1000


async def send_early(shop: Shop, events: Sequence[tuple[str, str, str, dict[str, Any]]]) -> float:
    """Send events (type, id, customer, data) that are refused now; returns when (monotonic time) they are valid."""
    at = format_instant(now() + DAY + round(REFUSED_FOR * SECOND))
    valid = time.monotonic() + REFUSED_FOR + 1
    for kind, id, customer, data in events:
        document = {"specversion": "1.0", "id": id, "source": SOURCE, "type": kind, "subject": customer, "time": at}
        await shop.raw([Record(customer.encode(), json.dumps({**document, "data": data}).encode())])
    return valid


async def letters_of(world: Installation, customers: Sequence[str], **filters: Any) -> list[dict[str, Any]]:
    """The letters of these customers."""
    found: list[dict[str, Any]] = []
    for customer in customers:
        page = await asyncio.to_thread(world.api().call, "GET", PATH, params={"customer": customer, **filters})
        assert all(each["answers"] for each in page.json()["services"]), page.text
        found += page.json()["items"]
    return found


async def wait_for_letters(world: Installation, customers: Sequence[str], count: int) -> list[dict[str, Any]]:
    """The letters of these customers, once there are so many."""
    async with asyncio.timeout(REFUSED_FOR):
        while len(found := await letters_of(world, customers)) < count:
            await asyncio.sleep(0.2)
    assert len(found) == count
    return found


async def start_redrive(world: Installation, ids: Sequence[str], rate: int) -> str:
    """A job's id."""
    body = {"ids": list(ids), "rate": rate, "reason": "the clock of the shop is mended"}
    answer = await asyncio.to_thread(world.api().call, "POST", f"{PATH}/redrive", (202,), json=body)
    return str(answer.json()["id"])


async def read_job(world: Installation, id: str) -> dict[str, Any]:
    """How far a job is."""
    answer = await asyncio.to_thread(world.api().call, "GET", f"{PATH}/jobs/{id}")
    return dict(answer.json())


async def finish_job(world: Installation, id: str, timeout: float = 60.0) -> dict[str, Any]:
    """A job, once it has ended."""
    async with asyncio.timeout(timeout):
        while (job := await read_job(world, id))["state"] not in ("done", "cancelled"):
            await asyncio.sleep(0.2)
    return job
