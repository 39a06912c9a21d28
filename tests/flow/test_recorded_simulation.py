"""What-if on recorded traffic: the product records, a process of its own simulates, the difference comes over HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.times import DAY, HOUR, MINUTE, format_instant
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

WEEKLY = {"id": "one-a-week", "scope": {"classes": ["marketing"]}, "limit": 1, "window": {"rolling": "7d"},
          "on_exceed": "drop"}  # fmt: skip
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "closes": [{"event": "shop.resolved"}],
             "lapses": "30d"}  # fmt: skip
NO_ASK = {"id": "no-ask", "scope": {"intents": ["advertise"]}, "on_match": "drop",
          "never": {"after": {"situation": "complaint"}, "within": "1h", "while_open": True}}  # fmt: skip
SPAN = {"from": format_instant(MONDAY - DAY), "to": format_instant(MONDAY + 3 * DAY)}


async def ended(product: Live, id: str) -> dict[str, Any]:
    """The simulation once it has ended."""
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = await product.ask("GET", f"/v1/simulations/{id}")
            if found["state"] in ("done", "failed"):
                return found
            await asyncio.sleep(0.1)


async def simulated(product: Live, **asked: Any) -> dict[str, Any]:
    made = await product.ask("POST", "/v1/simulations", {**SPAN, **asked})
    assert made["state"] == "queued"
    found = await ended(product, made["id"])
    assert found["state"] == "done", found["error"]
    assert found["progress"] == 1.0
    return found


@pytest.fixture
async def product(tmp_path: Path) -> Any:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy(situations=[COMPLAINT]))
        await running.campaign(campaign())
        for name in ("c-1", "c-2"):
            await running.customer(customer(name))
        yield running


async def offers(product: Live, *hours: int, subject: str = "c-1") -> None:
    for hour in hours:
        await product.at(MONDAY + hour * HOUR)
        await product.send(event("shop.offer", f"e-{subject}-{hour}", product.clock.now(), subject))


async def test_a_stricter_policy_loses_customers_who_are_named_with_their_traces(product: Live) -> None:
    await offers(product, 0, 2, 24)
    await offers(product, 25, subject="c-2")
    await product.at(MONDAY + 3 * DAY)
    found = await simulated(product, policy=policy(frequency_caps=[WEEKLY]))
    difference = found["result"]["difference"]
    assert difference["here"]["policy"] == "as given" and difference["against"]["policy"] == "version 1"
    assert difference["sends"] == {"here": 2, "against": 4, "gained": 0, "lost": 2, "moved": 0}
    assert [row for row in difference["by_reason"] if row["lost"]] == [
        {"reason": "frequency_cap", "here": 2, "against": 0, "gained": 0, "lost": 2}
    ]
    (lost,) = difference["customers"]["lost"]["most"]
    assert (lost["customer"], lost["here"], lost["against"]) == ("c-1", 1, 3)
    stopped = lost["messages"][0]["here"]
    assert stopped["verdicts"][0]["id"] == "one-a-week" and stopped["verdicts"][0]["evidence"]["counted"] == 1
    assert found["result"]["runs"]["here"]["events"] == 4
    assert "4 recorded events of 2 customers" in found["notes"][0]


async def test_stored_events_that_can_no_longer_be_read_are_counted_and_told(product: Live) -> None:
    """An earlier version may have taken what today's checks refuse."""
    await offers(product, 0, 2)
    await product.at(MONDAY + 3 * DAY)
    async with product.database.write() as tx:
        await tx.execute(
            "UPDATE decision SET event = :event WHERE event IS NOT NULL AND time > :first",
            event=b'{"specversion":"0.3"}',
            first=MONDAY + HOUR,
        )
    found = await simulated(product)
    assert [(run["events"], run["unreadable"]) for run in found["result"]["runs"].values()] == [(1, 1), (1, 1)]
    assert found["notes"][-1].startswith("Left out: 1 recorded event that an earlier version took")
    page = (await product.editor.get(f"/v1/simulations/{found['id']}/picture")).text
    assert "1 recorded event can no longer be read" in page


async def test_what_was_recorded_is_decided_as_it_was(product: Live) -> None:
    """Facts and contacts as they were: an opt-out, a complaint, contacts made before the span."""
    await product.policy(policy(situations=[COMPLAINT], contact_history=[NO_ASK], frequency_caps=[WEEKLY]))
    await offers(product, 0)
    await product.at(MONDAY + HOUR)
    start = MONDAY + 8 * DAY
    await product.at(start)
    await product.send(event("shop.offer", "e-free", start))
    await product.send(event("shop.complaint", "e-bad", start, "c-2"))
    await product.send(event("shop.offer", "e-complained", start, "c-2"))
    await product.at(start + 8 * DAY)
    await product.send(event("shop.resolved", "e-good", start + 8 * DAY, "c-2"))
    await product.at(start + 9 * DAY)
    await product.ask("POST", "/v1/preferences/c-1/optout", {"channel": "email"})
    await product.at(start + 10 * DAY)
    for name in ("c-1", "c-2"):
        await product.send(event("shop.offer", f"e-last-{name}", start + 10 * DAY, name))
    await product.at(start + 11 * DAY)
    span = {"from": format_instant(MONDAY + MINUTE), "to": format_instant(start + 11 * DAY)}
    found = await simulated(product, **span)
    happened = await product.decisions(**{"from": span["from"]})
    counts: dict[str, int] = {}
    for line in happened:
        counts[line["reason"]] = counts.get(line["reason"], 0) + 1
    assert counts == {"eligible": 2, "contact_history": 1, "opted_out_channel": 1}
    assert found["result"]["runs"]["here"]["reasons"] == counts


async def test_contacts_from_before_the_span_count(product: Live) -> None:
    await product.policy(policy(frequency_caps=[WEEKLY]))
    await offers(product, 0, 24)
    await product.at(MONDAY + 2 * DAY)
    found = await simulated(product, **{"from": format_instant(MONDAY + HOUR), "to": format_instant(MONDAY + 2 * DAY)})
    assert found["result"]["runs"]["here"]["reasons"] == {"frequency_cap": 1}


async def test_a_part_of_the_customers_and_other_campaigns(product: Live) -> None:
    await offers(product, 0)
    await offers(product, 1, subject="c-2")
    await product.at(MONDAY + 3 * DAY)
    found = await simulated(product, customers=["c-2"], campaigns=[campaign(audience="event.data.total > 50")])
    assert found["result"]["difference"]["sends"] == {"here": 0, "against": 1, "gained": 0, "lost": 1, "moved": 0}
    none = await simulated(product, customers={"percent": 0.01})
    assert none["result"]["runs"]["here"]["events"] == 0


async def test_the_picture_is_a_page_of_its_own(product: Live) -> None:
    await offers(product, 0)
    await product.at(MONDAY + 3 * DAY)
    found = await simulated(product, campaigns=["offer"])
    answer = await product.editor.get(f"/v1/simulations/{found['id']}/picture")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert "<svg" in answer.text and "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_what_the_page_shows_can_be_asked(product: Live) -> None:
    page = (Path(__file__).parents[2] / "docs/simulate.md").read_text("utf-8")
    body = json.loads(page.partition("/v1/simulations -H")[2].partition("-d '")[2].partition("'")[0])
    await product.ask("PUT", "/v1/policy", policy(frequency_caps=[WEEKLY]))
    await offers(product, 0, 2)
    await product.at(MONDAY + 7 * DAY)
    found = await simulated(product, **body)
    assert found["result"]["difference"]["here"]["policy"] == f"version {body['policy']}"
    assert found["result"]["difference"]["sends"]["lost"] == 1
