"""Every conformance case through the live product: HTTP in, the log, three services, the gate, and the clock of
`tactful dev --clock`. Each event is followed to its end before the next is published."""

import json
from pathlib import Path

import pytest

from schemas.own_events import CUSTOMER_ERASED
from schemas.times import parse_instant
from services.kit.bus.protocol import Outgoing
from tests.support.live_product import CLOUD_EVENT, Live, live, read

pytestmark = pytest.mark.wired

EVENTS = "customer.events"
SIMULATED_ONLY = {"34-unusable-addresses", "37-fallback-that-is-never-confirmed"}
"""What no door of the live product takes: customers with addresses that are none. And what the sandbox does not do: it
confirms whatever it takes (test_fallback.py has providers that do not).
"""
CASES = sorted(
    path
    for path in (Path(__file__).parent.parent / "conformance").iterdir()
    if path.is_dir() and path.name not in SIMULATED_ONLY
)


async def send_or_publish(product: Live, line: str) -> None:
    """HTTP refuses an event with wrong parts; a producer of the broker can publish it all the same."""
    answer = await product.editor.post("/v1/events?wait=30s", content=line, headers=CLOUD_EVENT)
    if answer.status_code == 422:
        await product.together.bus.publish([Outgoing(EVENTS, json.loads(line)["subject"].encode(), line.encode())])
        await product.settle()
    elif answer.status_code != 409 or answer.json()["code"] != "customer_erased":
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
async def test_the_live_product_decides_what_the_case_says(case: Path, tmp_path: Path) -> None:
    events = (case / "events.jsonl").read_text().splitlines()
    first = min(parse_instant(json.loads(line)["time"]) for line in events)
    async with live(tmp_path, first) as product:
        await product.policy(read(case / "policy.yaml"))
        for campaign in sorted((case / "campaigns").glob("*.yaml")):
            await product.campaign(read(campaign))
        for line in (case / "suppressions.jsonl").read_text().splitlines():
            entry = json.loads(line)
            await product.ask("POST", "/v1/holds" if "mode" in entry else "/v1/suppressions", entry)
        for line in (case / "preferences.jsonl").read_text().splitlines():
            await product.customer(json.loads(line))
        for line in events:
            await product.at(parse_instant(json.loads(line)["time"]))
            await send_or_publish(product, line)
        await product.at(parse_instant((case / "until.txt").read_text().strip()))
        await product.settle()
        decided = await product.decisions()
        sent = {message["message_id"] for message in await product.inbox(limit="200")}
    expected = [json.loads(line) for line in (case / "expected.jsonl").read_text().splitlines()]
    # The running product keeps no decision on an erased customer; a simulation, which keeps nothing, shows it.
    erased = {event["subject"] for event in map(json.loads, events) if event["type"] == CUSTOMER_ERASED}
    expected = [line for line in expected if line["customer"] not in erased]
    decided = [line for line in decided if line["customer"] not in erased]
    assert [{name: line[name] for name in expected[0]} for line in decided] == expected
    assert sent == {line["message_id"] for line in expected if line["outcome"] == "send"}
