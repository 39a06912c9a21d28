"""A version in shadow beside the live product: it decides and renders on live events, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row

from schemas.times import HOUR
from schemas.topics import EVENTS
from services.development.all_services import SERVICE_NAMES
from services.kit.bus.protocol import Outgoing
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.live_product import CLOUD_EVENT, Live, live

pytestmark = pytest.mark.wired

OURS = ("shadow_count", "shadow_sample")
CATALOGUE = ("catalogue_log", "catalogue_state", "campaign", "campaign_version", "policy_version", "api_key", "person")
AUDIT = ("audit_entry", "audit_chain", "audit_head")
"""What people have asked for, which is more where they make a shadow."""
KITS = (
    "idempotency",
    "schema_version",
    "partition_lease",
    "sqlite_sequence",
    "session",
    "sign_in_link",
    "sign_in_attempt",
)


async def approved(product: Live, path: str, document: dict[str, Any], at: str = "") -> str:
    """Lead a document to its approval; the path of its version's actions."""
    version = (await product.ask("PUT", path, document))["version"]
    place = f"{path}{at}".format(version=version)
    await product.ask("POST", f"{place}/submit")
    assert (await product.reviewer.post(f"{place}/approve")).status_code == 200
    return place


async def shadow_policy(product: Live, document: dict[str, Any]) -> str:
    place = await approved(product, "/v1/policy", document, "/versions/{version}")
    assert (await product.ask("POST", f"{place}/shadow"))["status"] == "shadow"
    return place


async def shadow_campaign(product: Live, document: dict[str, Any]) -> str:
    place = await approved(product, f"/v1/campaigns/{document['key']}", document)
    assert (await product.ask("POST", f"{place}/shadow"))["status"] == "shadow"
    return place


async def shop(product: Live) -> None:
    await product.policy(policy())
    await product.campaign(campaign())
    await product.customer(customer())


def table(shown: dict[str, Any]) -> set[tuple[str, str, str | None, str | None, int]]:
    return {tuple(row[name] for name in ("campaign", "outcome", "reason", "live", "count")) for row in shown["table"]}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """The databases of the three services, once of each dialect."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {service: server.database() for service in SERVICE_NAMES}


async def test_a_policy_in_shadow_disagrees_while_the_live_one_sends(
    tmp_path: Path, urls: dict[str, str] | None
) -> None:
    async with live(tmp_path, MONDAY, urls) as product:
        await shop(product)
        place = await shadow_policy(product, policy(frequency_caps=[cap()]))
        for number in range(3):
            await product.send(event("shop.offer", f"e-{number}"))
        await product.settle()
        shown = await product.ask("GET", f"{place}/shadow")
        inbox, decisions = await product.inbox(), await product.decisions()
    assert len(inbox) == 3 and {line["outcome"] for line in decisions} == {"send"}
    assert {line["policy_version"] for line in decisions} == {1}
    assert (shown["status"], shown["decisions"], shown["compared"], shown["agreed"]) == ("shadow", 3, 3, 1)
    assert shown["agreement"] == 0.333333 and (shown["from"], shown["until"]) == ("2026-03-02T10:00:00Z", None)
    assert table(shown) == {
        ("offer", "send", "eligible", "send", 1),
        ("offer", "suppress", "frequency_cap", "send", 2),
    }
    newest = shown["items"][0]
    live_line = next(line for line in decisions if line["event"]["id"] == "e-2")
    assert newest["live"] == {"outcome": "send", "reason": "eligible", "decision_id": live_line["decision_id"]}
    assert (newest["agrees"], newest["shadow"]["policy_version"], newest["shadow"]["rule_id"]) == (
        False,
        2,
        "one-a-day",
    )
    assert len(newest["shadow"]["verdicts"]) > 10, "the whole trace"


async def test_a_new_campaign_in_shadow_sends_nothing_and_has_nothing_to_agree_with(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy())
        await product.customer(customer())
        place = await shadow_campaign(product, campaign())
        await product.send(event("shop.offer", "e-1"))
        await product.send(event("shop.offer", "e-2", subject="c-2"))
        await product.settle()
        shown = await product.ask("GET", f"{place}/shadow")
        assert await product.inbox() == [] and await product.decisions() == []
        assert (await product.ask("GET", "/v1/messages"))["items"] == []
        assert (await product.ask("GET", "/v1/contacts/c-1"))["contacts"] == []
    assert (shown["compared"], shown["agreement"]) == (0, None)
    assert table(shown) == {("offer", "send", "eligible", None, 1), ("offer", "suppress", "no_address", None, 1)}
    assert {item["customer"]: item["agrees"] for item in shown["items"]} == {"c-1": None, "c-2": None}


async def test_a_campaign_in_shadow_is_compared_with_its_active_version_and_rendered(tmp_path: Path) -> None:
    email = {**campaign()["content"]["email"]["en"], "subject": "{{ customer.traits.nick }}"}
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        place = await shadow_campaign(product, campaign(content={"email": {"en": email}}))
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        shown = await product.ask("GET", f"{place}/shadow")
        assert len(await product.inbox()) == 1
        assert (await product.ask("GET", "/v1/campaigns/offer"))["active_status"] == "active"
    assert table(shown) == {("offer", "fail", "render_error", "send", 1)}
    assert shown["items"][0]["shadow"]["rule_id"] == "undefined"


async def test_a_trigger_that_fires_on_one_side_alone_is_a_disagreement(tmp_path: Path) -> None:
    strict = {"event": "shop.offer", "when": "event.data.total >= 50.0"}
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        place = await shadow_campaign(product, campaign(trigger=strict))
        await product.send(event("shop.offer", "e-1", total=20.0))
        await product.send(event("shop.offer", "e-2", total=80.0))
        shown = await product.ask("GET", f"{place}/shadow", params={"agrees": "no"})
    assert table(shown) == {("offer", "none", None, "send", 1), ("offer", "send", "eligible", "send", 1)}
    [missed] = shown["items"]
    assert (missed["shadow"], missed["live"]["outcome"], shown["agreement"]) == (None, "send", 0.5)


async def test_both_in_shadow_are_judged_together_without_a_comparison(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        await shadow_campaign(product, campaign(priority=90))
        place = await shadow_policy(product, policy(quiet_hours=[{"id": "day", "from": "08:00", "to": "12:00"}]))
        await product.send(event("shop.offer", "e-1"))
        shown = await product.ask("GET", f"{place}/shadow")
        own = await product.ask("GET", "/v1/campaigns/offer/shadow")
    assert table(shown) == {("offer", "defer", "quiet_hours", "send", 1), ("offer", "defer", "quiet_hours", None, 1)}
    assert (shown["compared"], own["agreement"]) == (1, 1.0)


async def test_what_ended_its_shadow_is_judged_no_more_and_can_still_be_read(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        place = await shadow_policy(product, policy(frequency_caps=[cap()]))
        await product.send(event("shop.offer", "e-1"))
        await product.at(MONDAY + HOUR)
        await product.ask("POST", f"{place}/activate")
        await product.send(event("shop.offer", "e-2", MONDAY + HOUR))
        shown = await product.ask("GET", f"{place}/shadow")
        lines = await product.decisions()
    assert (shown["status"], shown["decisions"], shown["until"]) == ("active", 1, "2026-03-02T11:00:00Z")
    assert lines[-1]["reason"] == "frequency_cap"


async def test_an_event_that_was_judged_before_is_not_judged_again(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await shop(product)
        place = await shadow_campaign(product, campaign(priority=90))
        headers = (("content-type", b"application/cloudevents+json"),)
        for number in (1, 1, 2):
            value = json.dumps(event("shop.offer", f"e-{number}")).encode()
            await product.together.bus.publish([Outgoing(EVENTS.name, b"c-1", value, headers)])
            await product.settle()
        assert (await product.ask("GET", f"{place}/shadow"))["decisions"] == 2


async def rows(product: Live) -> dict[str, list[Any]]:
    """What all tables of the orchestrator hold, but for those of shadows, of the catalogue and of the kit."""
    found = {}
    async with product.database.read() as tx:
        names = [row.name for row in await tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert set(OURS) <= set(names)
        for name in names:
            if name not in (*OURS, *CATALOGUE, *AUDIT, *KITS):
                found[name] = [_here(row) for row in await tx.rows(f'SELECT * FROM "{name}"')]
    return found


def _here(row: Row[Any]) -> tuple[Any, ...]:
    """The row without what differs from run to run: which process marked it, and when by the real clock."""
    return tuple(value for name, value in row._mapping.items() if name not in ("owner", "opened"))


async def played(directory: Path, watched: bool) -> tuple[dict[str, list[Any]], int]:
    async with live(directory, MONDAY) as product:
        await shop(product)
        if watched:
            await shadow_policy(product, policy(quiet_hours=[{"id": "day", "from": "08:00", "to": "12:00"}]))
            await shadow_campaign(product, campaign("news", trigger={"event": "shop.news"}, reentry="once"))
            await shadow_campaign(product, campaign(priority=90, reentry="once"))
        for number in range(3):
            await product.send(event("shop.offer", f"e-{number}"))
        await product.ask("POST", "/v1/events", event("shop.news", "n-1"), headers=CLOUD_EVENT)
        await product.at(MONDAY + HOUR)
        async with product.database.read() as tx:
            counted = await tx.row("SELECT COALESCE(sum(number), 0) AS n FROM shadow_count")
        assert counted is not None
        return await rows(product), counted.n


async def test_no_table_but_those_of_shadows_learns_of_a_shadow(tmp_path: Path) -> None:
    with_shadows, counted = await played(tmp_path / "with", True)
    without, nothing = await played(tmp_path / "without", False)
    assert counted > 0 and nothing == 0
    assert {"ledger", "message", "outbox", "timer", "decision", "attempt"} <= with_shadows.keys()
    assert {name: len(found) for name, found in with_shadows.items()} == {n: len(found) for n, found in without.items()}
    for name in ("ledger", "message", "timer", "parked", "outbox", "inbox"):
        assert sorted(with_shadows[name]) == sorted(without[name]), name
    for name in ("contact_history", "decision"):
        assert {row[1:] for row in with_shadows[name]} == {row[1:] for row in without[name]}, name


async def test_a_shadow_that_cannot_be_kept_harms_nothing(tmp_path: Path, urls: dict[str, str] | None) -> None:
    async with live(tmp_path, MONDAY, urls) as product:
        await shop(product)
        place = await shadow_policy(product, policy(frequency_caps=[cap()]))
        async with product.database.write() as tx:
            await tx.execute("ALTER TABLE shadow_count RENAME TO elsewhere")
        await product.send(event("shop.offer", "e-1"))
        await product.settle()
        assert len(await product.inbox()) == 1
        async with product.database.write() as tx:
            await tx.execute("ALTER TABLE elsewhere RENAME TO shadow_count")
        assert (await product.ask("GET", f"{place}/shadow"))["decisions"] == 0
        text = (await product.editor.get("/metrics")).text
    assert 'tactful_shadow_skipped_total{cause="unkept"} 1.0' in text
