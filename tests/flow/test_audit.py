"""The auditor over the whole product: honest traffic breaks no promise, what was done behind its back does."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from schemas.times import DAY, HOUR, MINUTE, SECOND
from services.development.all_services import SERVICE_NAMES
from services.kit.db.database import Tx
from services.kit.observability.metrics import Registry
from services.orchestrator.decisions import store
from services.orchestrator.insight.audit.audit_series import AuditMetrics
from services.orchestrator.insight.audit.auditor import Auditor
from tests.flow import test_replay as a_shop
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.handovers import claim
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

NIGHT = {"id": "night", "scope": {"classes": ["marketing"]}, "from": "21:00", "to": "08:00"}
CHANNELS = ("email", "push")
GAP = {"id": "rest", "scope": {"classes": ["marketing"]}, "gap": "1h"}
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "30d"}
NO_ASK = {"id": "no-ask", "scope": {"intents": ["advertise"]}, "on_match": "drop",
          "never": {"after": {"situation": "complaint"}, "within": "1h", "while_open": True}}  # fmt: skip


def auditor(product: Live) -> Auditor:
    """One that waits for nothing and compares every ledger."""
    parts = product.together.orchestrator.components
    series = AuditMetrics(parts.registry)
    return Auditor(product.database, parts.recorder, product.clock, series, delay=0, ledger_check_interval=1)


async def audit(product: Live) -> list[dict[str, Any]]:
    """Audit everything; what was found, oldest first."""
    at_work = auditor(product)
    while await at_work.audit_page():
        pass
    items: list[dict[str, Any]] = (await product.ask("GET", "/v1/violations?limit=200"))["items"]
    return items[::-1]


def told(found: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(each["invariant"], each["rule"], each["rule_id"]) for each in found]


async def counted(product: Live) -> dict[str, float]:
    """The metric, without what is 0."""
    text = (await product.editor.get("/metrics")).text
    families = {each.name: each for each in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    samples = families["tactful_invariant_violations"].samples
    return {s.labels["invariant"]: s.value for s in samples if s.name.endswith("_total") and s.value}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


async def offer(product: Live, id: str, **data: Any) -> None:
    await product.send(event("shop.offer", id, product.clock.now(), **data))
    await product.at(product.clock.now() + MINUTE)


async def set_mark(tx: Tx, at: int, place: int = 0) -> None:
    """Pretend that a handover was made at another time, everywhere it is written."""
    row = (await tx.rows("SELECT message_id, customer, claimed_at FROM tracked_message ORDER BY claimed_at"))[place]
    found, was = {"id": row.message_id, "at": at}, row.claimed_at
    await tx.execute(
        "UPDATE handover SET claimed_at = :at, closed_at = :at "
        "WHERE handover_id = (SELECT handover_id FROM message WHERE message_id = :id)",
        **found,
    )
    await tx.execute(
        "UPDATE contact_history SET at = :at, recorded = :at WHERE message_id = :id AND at = :was", **found, was=was
    )
    held = (await store.lock_and_load_ledgers(tx, [row.customer]))[row.customer].ledger
    contact = held.find_contact(row.message_id)
    assert contact is not None
    await store.save_ledgers(tx, {row.customer: held.put_contact(contact._replace(at=at))})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """Files, or a PostgreSQL database for each service."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {name: server.database() for name in SERVICE_NAMES}


@pytest.mark.timeout(300)
async def test_a_day_of_honest_traffic_breaks_no_promise(tmp_path: Path, urls: dict[str, str] | None) -> None:
    async with live(tmp_path, MONDAY, urls) as product:
        await product.policy(a_shop.POLICY)
        for document in a_shop.campaigns():
            await product.campaign(document)
        for name in a_shop.CUSTOMERS:
            everywhere = [{"channel": kind, "address": f"{name}@example.org", "verified": True} for kind in CHANNELS]
            consent = [{**customer()["consent"][0], "channel": kind, "topic": "*"} for kind in CHANNELS]
            await product.customer(customer(name, addresses=everywhere, consent=consent))
        await a_shop.a_day(product, random.Random(2))
        async with product.database.read() as tx:
            row = await tx.row("SELECT count(*) AS handed FROM tracked_message WHERE state = 'accepted'")
        assert row is not None and row.handed >= 10
        assert told(await audit(product)) == []
        assert await counted(product) == {}


async def test_a_handover_over_a_cap_is_found_once(product: Live) -> None:
    await product.policy(policy())
    await offer(product, "e-1")
    await offer(product, "e-2")
    await product.policy(policy(frequency_caps=[cap()]))
    await product.at(MONDAY + 2 * DAY)
    await offer(product, "e-3")
    await product.at(MONDAY + 4 * DAY)
    await product.policy(policy())
    await product.at(MONDAY + 4 * DAY + MINUTE)
    await offer(product, "e-4")
    assert told(await audit(product)) == []
    async with product.database.write() as tx:
        await tx.execute("UPDATE audit_cursor SET seq = 0")
        await set_mark(tx, MONDAY + 2 * DAY + HOUR, place=3)
    found = await audit(product)
    assert told(found) == [("over_cap", "frequency_cap", "one-a-day")]
    assert (found[0]["policy_version"], found[0]["customer"], found[0]["about"]) == (2, "c-1", "message")
    assert await counted(product) == {"over_cap": 1.0}
    async with product.database.write() as tx:
        await tx.execute("UPDATE audit_cursor SET seq = 0")
    assert len(await audit(product)) == 1 and await counted(product) == {"over_cap": 1.0}


RULES: list[tuple[dict[str, Any], int, tuple[str, str, str | None]]] = [
    ({"quiet_hours": [NIGHT]}, MONDAY + 13 * HOUR, ("in_quiet_hours", "quiet_hours", "night")),
    ({"min_gaps": [GAP]}, MONDAY + 10 * MINUTE, ("over_cap", "min_gap", "rest")),
]


@pytest.mark.parametrize(("rules", "at", "expected"), RULES)
async def test_the_rules_of_the_time_are_those_that_count(
    product: Live, rules: dict[str, Any], at: int, expected: tuple[str, str, str | None]
) -> None:
    await product.policy(policy(**rules))
    await product.at(MONDAY + MINUTE)
    await offer(product, "e-1")
    await product.at(MONDAY + 2 * HOUR)
    await offer(product, "e-2")
    assert told(await audit(product)) == []
    async with product.database.write() as tx:
        await tx.execute("UPDATE audit_cursor SET seq = 0")
        await set_mark(tx, at, place=1)
    assert told(await audit(product)) == [expected]


async def behind_its_back(product: Live, what: str) -> None:
    """Something that speaks against speaking, recorded a minute before the handover of `e-1`."""
    match what:
        case "opt_out":
            await product.ask("POST", "/v1/preferences/c-1/optout", {"channel": "email"})
        case "suppression":
            await product.ask("POST", "/v1/suppressions", {"customer": "c-1", "reason": "legal"})
        case "address":
            await product.ask("POST", "/v1/suppressions", {"address": "c-1@example.org", "reason": "hard_bounce"})
        case "situation":
            await product.send(event("shop.complaint", "e-bad", product.clock.now()))
        case "hold":
            hold = {"key": "outage", "mode": "drop", "reason": "INC-1", "from": "2026-03-01T00:00:00Z"}
            await product.ask("POST", "/v1/holds", hold)


FACTS = [
    ("opt_out", ("suppressed_sent", "opt_out", None)),
    ("suppression", ("suppressed_sent", "suppression", None)),
    ("address", ("suppressed_sent", "suppression", None)),
    ("situation", ("suppressed_sent", "contact_history", "no-ask")),
    ("hold", ("held_sent", "hold", "outage")),
]


@pytest.mark.parametrize(("what", "expected"), FACTS)
async def test_a_handover_against_what_was_known_is_found(
    product: Live, what: str, expected: tuple[str, str, str | None]
) -> None:
    await product.policy(policy(situations=[COMPLAINT], contact_history=[NO_ASK]))
    await product.at(MONDAY + MINUTE)
    await offer(product, "e-1")
    await product.at(MONDAY + HOUR)
    await behind_its_back(product, what)
    assert told(await audit(product)) == []
    async with product.database.write() as tx:
        await tx.execute("UPDATE audit_cursor SET seq = 0")
        await set_mark(tx, MONDAY + HOUR + MINUTE)
    assert told(await audit(product)) == [expected]
    assert await counted(product) == {expected[0]: 1.0}


@pytest.mark.parametrize("what", [each for each, _ in FACTS])
async def test_what_changed_just_around_the_mark_accuses_nobody(product: Live, what: str) -> None:
    await product.policy(policy(situations=[COMPLAINT], contact_history=[NO_ASK]))
    await product.at(MONDAY + MINUTE)
    await offer(product, "e-1")
    await product.at(MONDAY + HOUR)
    await behind_its_back(product, what)
    async with product.database.write() as tx:
        await set_mark(tx, MONDAY + HOUR + 5 * SECOND)
    assert told(await audit(product)) == []


FORGED = [
    ("UPDATE decision SET outcome = 'defer'", ("unexplained_sent", "decision", None)),
    ("UPDATE campaign_version SET approved_by = editor", ("unapproved_sent", "approval", None)),
    ("DELETE FROM ledger", ("ledger_differs", "ledger", "history")),
    ("UPDATE message SET state = 'suppressed'", ("ledger_differs", "ledger", "message_state")),
]


@pytest.mark.parametrize(("sql", "expected"), FORGED)
async def test_what_was_forged_is_found(product: Live, sql: str, expected: tuple[str, str, str | None]) -> None:
    await product.policy(policy())
    await product.at(MONDAY + MINUTE)
    await offer(product, "e-1")
    async with product.database.write() as tx:
        await tx.execute(sql)
    assert told(await audit(product)) == [expected]


async def test_a_message_that_was_accepted_twice_is_found(product: Live) -> None:
    """Marked once more, though its first attempt had ended well."""
    await product.policy(policy())
    await product.at(MONDAY + MINUTE)
    await offer(product, "e-1")
    again = product.clock.now() + MINUTE
    async with product.database.write() as tx:
        held = await store.lock_and_load_ledgers(tx, ["c-1"])
        before, message = held["c-1"].ledger, next(iter(held["c-1"].ledger)).message_id
        after = before.claim_contact(message, again)
        await store.save_ledgers(tx, {"c-1": after})
        await store.insert_contact_history(tx, store.contact_history_rows("c-1", before, after, again))
        await claim(tx, message, channel="email", at=again)
        await tx.execute("UPDATE handover SET closed_at = :at", at=again)
    assert told(await audit(product)) == [("duplicate_sent", "attempt", None)]


async def test_what_nobody_knows_whether_it_was_sent_accuses_nobody(product: Live) -> None:
    """An attempt that was closed for a dispatcher that died may never have come to its gate."""
    await product.policy(policy())
    await product.at(MONDAY + MINUTE)
    await offer(product, "e-1")
    await product.ask("POST", "/v1/preferences/c-1/optout", {"channel": "email"})
    async with product.database.write() as tx:
        await set_mark(tx, product.clock.now() + MINUTE)
        await tx.execute(
            "INSERT INTO attempt (message_id, customer, number, owner, claimed_at, opened, outcome, detail, closed_at) "
            "SELECT message_id, customer, attempts, owner, claimed_at, opened, 'unknown', 'the dispatcher is gone', "
            "closed_at FROM tracked_message"
        )
    assert told(await audit(product)) == []


async def test_young_and_open_attempts_wait(product: Live) -> None:
    await product.policy(policy())
    await offer(product, "e-1")
    parts = product.together.orchestrator.components
    later = Auditor(product.database, parts.recorder, product.clock, AuditMetrics(Registry()))
    assert not await later.audit_page()
    async with product.database.write() as tx:
        await tx.execute("UPDATE handover SET closed_at = NULL")
    assert not await auditor(product).audit_page()
    async with product.database.write() as tx:
        await tx.execute("UPDATE handover SET closed_at = claimed_at")
    assert await auditor(product).audit_page()
    assert not await auditor(product).audit_page()
