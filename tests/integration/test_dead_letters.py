"""Dead letters on real Kafka and PostgreSQL: refused, listed, tried, and applied once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.delivery_evidence import receipts
from tests.support.early_events import PATH, finish_job, letters_of, send_early, start_redrive, wait_for_letters
from tests.support.installation import Installation
from tests.support.seed_documents import NEWS, TRACKED

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

REST = 120.0


async def test_a_refused_event_is_redriven_and_sent_once(installation: Installation) -> None:
    async with installation.shop() as shop:
        (name,) = await installation.customers(shop, 1, "early")
        await installation.evidence.rest(REST)
        stop = {"opt_outs": [{"topic": "news"}]}
        events: list[tuple[str, str, str, dict[str, Any]]] = [
            (TRACKED, "early-order", name, {"n": 1}),
            ("tactful.preference.changed", "early-stop", name, stop),
            (NEWS, "early-news", name, {"n": 2}),
        ]
        valid = await send_early(shop, events)
        letters = await wait_for_letters(installation, [name], 3)
        assert {each["service"] for each in letters} == {"orchestrator", "preference"}
        order = next(each["id"] for each in letters if each["event"]["id"] == "early-order")
        refused = installation.api().call("GET", f"{PATH}/{order}").json()
        assert refused["dry_run"]["effect"] == "rejected"
        await asyncio.sleep(max(0.0, valid - time.monotonic()))
        tried = installation.api().call("GET", f"{PATH}/{order}").json()
        assert tried["dry_run"]["effect"] == "applied"
        assert await decided(installation, name) == {}
        job = await finish_job(installation, await start_redrive(installation, [each["id"] for each in letters], 50))
        assert (job["state"], job["results"]["redriven"]) == ("done", 3)
        # A second redrive finds the letter closed.
        again = await finish_job(installation, await start_redrive(installation, [order], 50))
        assert again["results"]["closed_before"] == 1
        await installation.evidence.rest(REST)
    assert await decided(installation, name) == {"early-order": ["send"], "early-news": ["suppress"]}
    got = [each.campaign for each in receipts(installation.cluster.receipts) if each.customer == name]
    assert got == ["order-shipped"]
    assert {each["state"] for each in await letters_of(installation, [name])} == {"redriven"}


async def decided(world: Installation, customer: str) -> dict[str, list[str]]:
    """Event -> the outcomes of its decisions."""
    found: dict[str, list[str]] = {}
    sql = "SELECT event_id, outcome FROM decision WHERE customer = $1 ORDER BY decision_id"
    for row in await world.evidence.query(sql, customer):
        found.setdefault(row["event_id"], []).append(row["outcome"])
    return found
