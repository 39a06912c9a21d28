"""The processes of a redrive are killed in the middle of it: each letter is applied once, and none is lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.delivery_evidence import receipts
from tests.support.early_events import (
    finish_job,
    letters_of,
    read_job,
    send_early,
    start_redrive,
    wait_for_letters,
)
from tests.support.installation import Installation
from tests.support.seed_documents import TRACKED

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore::ResourceWarning")]

CUSTOMERS = 30
RATE = 8
"""Letters a second: slow enough to be killed on the way."""
REST = 120.0


async def test_a_redrive_survives_the_death_of_whoever_works_on_it(installed: Installation) -> None:
    cluster = installed.cluster
    async with installed.shop() as shop:
        names = await installed.customers(shop, CUSTOMERS, "dead")
        await installed.evidence.rest(REST)
        events = [(TRACKED, f"order-{name}", name, {"n": 1}) for name in names]
        choices = [("tactful.preference.changed", f"choice-{name}", name, {"locale": "de"}) for name in names]
        valid = await send_early(shop, [*events, *choices])
        letters = await wait_for_letters(installed, names, 2 * CUSTOMERS)
        await asyncio.sleep(max(0.0, valid - time.monotonic()))
        job = await start_redrive(installed, [each["id"] for each in letters], RATE)
        # `preference` dies between the effects and the answer, or before both; `schedule` is the process of the job.
        for victim, after in (("preference", 6), ("schedule", 20), ("schedule", 40)):
            async with asyncio.timeout(60):
                while (await read_job(installed, job))["done"] < after:
                    await asyncio.sleep(0.05)
            cluster[victim].kill()
            cluster[victim].start()
            await asyncio.to_thread(cluster[victim].wait_ready)
        ended = await finish_job(installed, job, timeout=120)
        await installed.evidence.rest(REST)
    assert ended["results"] == {"redriven": 2 * CUSTOMERS, "still_dead": 0, "closed_before": 0, "not_found": 0}
    closed = await letters_of(installed, names)
    assert {(each["state"], each["job"], each["redrives"]) for each in closed} == {("redriven", job, 1)}
    sql = "SELECT event_id, outcome FROM decision WHERE customer = ANY($1) AND event_id LIKE 'order-%'"
    decisions = await installed.evidence.query(sql, names)
    assert sorted(row["event_id"] for row in decisions) == sorted(f"order-{name}" for name in names)
    got = [each.customer for each in receipts(cluster.receipts) if each.customer in names]
    assert sorted(got) == sorted(names)
    for name in names:
        preferences = await asyncio.to_thread(installed.api("preference").call, "GET", f"/v1/preferences/{name}")
        assert preferences.json()["locale"] == "de"
