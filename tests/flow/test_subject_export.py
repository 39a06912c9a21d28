"""An export tells all that is known of a customer in any table of any service, or there is a reason why not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.times import DAY, HOUR
from services.clients.retention_settings import RetentionSettings
from services.development.all_services import SERVICE_NAMES
from services.kit.db.column_cipher import ColumnCipher
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.orchestrator.retention.retention_rules import list_kept_kinds
from services.orchestrator.subject_export import export_sections as orchestrator
from services.orchestrator.subject_export import store
from services.orchestrator.subject_export.export_runner import ExportRunner
from services.preference import export_sections as preference
from services.preference.consents.request_store import RequestProof
from services.retention.sweeper import RetentionMetrics, RetentionSweeper
from services.subject_export.sections import ROWS_AT_ONCE
from services.suppression import export_sections as suppression
from tests.support import decision_records
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import CLOUD_EVENT, Live, live

pytestmark = pytest.mark.wired
WHO = "c-1"
MAIL = "zqmail@example.org"
SECTIONS = {
    "orchestrator": {each.table for each in orchestrator.SECTIONS},
    "preference": {each.table for each in preference.list_sections(None, ColumnCipher())},
    "suppression": {each.table for each in suppression.SECTIONS},
}
UNTOLD = {"orchestrator": orchestrator.UNTOLD, "preference": preference.UNTOLD, "suppression": suppression.UNTOLD}
PACKED = {"preference_state", "customer_state"}
"""Filled by the product: their rows are packed."""


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, region="DE") as running:
        await running.policy(policy())
        await running.campaign(campaign())
        address = {"channel": "email", "address": MAIL, "verified": True}
        await running.customer(customer(WHO, traits={"name": "zq-preference_state"}, addresses=[address]))
        await running.customer(customer("c-2", traits={"name": "of-another"}))
        yield running


async def tables_of(database: Database) -> dict[str, list[Any]]:
    async with database.read() as tx:
        names = await tx.rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        return {each.name: list(await tx.rows(f"SELECT * FROM pragma_table_info('{each.name}')")) for each in names}


def marked_row(table: str, columns: list[Any], who: str, mark: str) -> dict[str, Any]:
    """A row whose texts and packed values are the mark."""
    row: dict[str, Any] = {}
    for each in columns:
        kind = each.type.upper()
        is_number = any(part in kind for part in ("INT", "NUM"))
        if each.pk and is_number:
            row[each.name] = 7_000 + len(who + mark)
        elif is_number:
            row[each.name] = None if not each.notnull else MONDAY
        elif each.name == "customer":
            row[each.name] = who
        elif "BLOB" in kind or "BINARY" in kind:
            row[each.name] = json.dumps({"value": mark}).encode()
        else:
            row[each.name] = mark
    if table in ("decision", "shadow_sample"):
        name = "body" if table == "decision" else "decision"
        row[name] = msgspec.msgpack.encode(decision_records.decision(decision_records.event(mark)))
    return row


async def plant(product: Live, who: str, prefix: str) -> dict[str, set[str]]:
    """Put a mark into every table of every service."""
    planted: dict[str, set[str]] = {}
    for service in SERVICE_NAMES:
        database = product.together.databases[service]
        planted[service] = set()
        for table, columns in (await tables_of(database)).items():
            planted[service].add(table)
            if table in PACKED or table in UNTOLD[service]:
                continue
            row = marked_row(table, columns, who, f"{prefix}{service}-{table}")
            if table == "dead_letter":
                row |= {"state": "discarded", "problems": "[]"}
            elif table == "consent_request":
                row["body"] = msgspec.msgpack.encode(RequestProof(row["channel"], row["channel"]))
            elif table == "removal_request":
                row["entry_id"] = f"{prefix}suppression-suppression_entry"
            async with database.write() as tx:
                names = ", ".join(f'"{name}"' for name in row)
                await tx.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{n}' for n in row)})", **row)
    return planted


async def export(product: Live, who: str = WHO) -> dict[str, Any]:
    asked = await product.ask("POST", f"/v1/customers/{who}/exports")
    async with asyncio.timeout(20):
        while (shown := await product.ask("GET", f"/v1/customers/{who}/exports/{asked['id']}"))["finished"] is None:
            await asyncio.sleep(0.05)
    assert shown["state"] == "done", shown
    return dict(shown)


async def file(product: Live, shown: dict[str, Any], form: str) -> str:
    path = f"/v1/customers/{shown['customer']}/exports/{shown['id']}/file"
    answer = await product.editor.get(path, params={"form": form})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


async def test_every_table_is_told_or_has_a_reason(product: Live) -> None:
    tables = await plant(product, WHO, "zq-")
    await plant(product, "c-2", "of-another-")
    await product.ask(
        "POST", "/v1/suppressions", {"customer": WHO, "reason": "manual", "scope": {}, "source": "zq-own"}
    )
    await product.ask("POST", "/v1/suppressions", {"address": MAIL, "reason": "manual", "scope": {"channel": "email"}})
    shown = await export(product)
    text = await file(product, shown, "json")
    told = json.loads(text)
    page = await file(product, shown, "html")
    for service, names in tables.items():
        assert names == SECTIONS[service] | (UNTOLD[service].keys() - {"recent_change"}), service
        assert not SECTIONS[service] & UNTOLD[service].keys()
        for table in SECTIONS[service] - PACKED:
            assert f"zq-{service}-{table}" in text, (service, table)
            assert f"zq-{service}-{table}" in page, (service, table)
    assert "zq-preference_state" in page
    assert MAIL in page
    assert "of-another" not in text + page
    sections = {(each["service"], each["section"]): each["rows"] for each in told["sections"]}
    assert len(sections[("suppression", "suppression_entry")]) == 3, "of the customer twice, and of the address"
    assert sections[("suppression", "customer_state")]
    [decided] = sections[("orchestrator", "decision")]
    assert decided["in_words"]
    assert decided["decided"]["verdicts"] is not None
    counted = {(each["service"], each["section"]): each["rows"] for each in shown["sections"]}
    assert counted == {place: len(rows) for place, rows in sections.items()}


async def test_the_page_is_whole_and_shows_what_customers_write_as_text(product: Live) -> None:
    await product.customer(customer(WHO, traits={"name": "<script>alert(1)</script>"}))
    page = await file(product, await export(product), "html")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    open_tags: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Balance().feed(page)
    assert not open_tags


async def test_what_is_on_many_pages_is_told_once(product: Live) -> None:
    many = 2 * ROWS_AT_ONCE + 3
    async with product.database.write() as tx:
        for number in range(many):
            await tx.execute(
                "INSERT INTO inbox (customer, source, event_id, type, time, received, topic, partition, log_offset, "
                "event) VALUES (:who, :source, :id, 't', 1, 1, 't', 0, 1, :event)",
                who=WHO, source=f"s-{number % 3}", id=f"e-{number // 3}", event=b"x" * 30_000,
            )  # fmt: skip
    told = json.loads(await file(product, await export(product), "json"))
    sections = {(each["service"], each["section"]): each["rows"] for each in told["sections"]}
    rows = sections[("orchestrator", "inbox")]
    assert len({(row["source"], row["event_id"]) for row in rows}) == len(rows) == many


async def test_only_who_may_export_and_only_of_that_customer(product: Live) -> None:
    shown = await export(product)
    path = f"/v1/customers/{WHO}/exports/{shown['id']}"
    assert (await product.reviewer.post(f"/v1/customers/{WHO}/exports")).status_code == 403
    for place in (path, f"{path}/file"):
        assert (await product.reviewer.get(place)).status_code == 403
        assert (await product.editor.get(place.replace(WHO, "c-2"))).status_code == 404
        assert (await product.editor.get(place.replace(shown["id"], "export_77"))).status_code == 404


async def test_the_file_goes_after_a_time(product: Live) -> None:
    shown = await export(product)
    assert shown["deleted_after"].startswith("2026")
    kinds = [each for each in list_kept_kinds(RetentionSettings()) if each.name == "exports"]
    await product.at(MONDAY + 7 * DAY + HOUR)
    metrics = RetentionMetrics(Registry(), "orchestrator", kinds)
    await RetentionSweeper(product.database, product.clock, kinds, metrics).delete_expired()
    answer = await product.editor.get(f"/v1/customers/{WHO}/exports/{shown['id']}/file")
    assert answer.status_code == 404
    async with product.database.read() as tx:
        assert await tx.row("SELECT 1 FROM subject_export_part") is None


async def test_an_export_goes_with_the_customer_and_none_is_made_of_who_was_erased(product: Live) -> None:
    shown = await export(product)
    sent = event("tactful.customer.erased", "erase", subject=WHO)
    await product.editor.post("/v1/events?wait=30s", content=json.dumps(sent), headers=CLOUD_EVENT)
    async with asyncio.timeout(20):
        while not (await product.ask("GET", f"/v1/erasures/{WHO}"))["finished"]:
            await asyncio.sleep(0.05)
    assert (await product.editor.get(f"/v1/customers/{WHO}/exports/{shown['id']}")).status_code == 404
    async with product.database.read() as tx:
        assert await tx.row("SELECT 1 FROM subject_export_part") is None
    refused = await product.editor.post(f"/v1/customers/{WHO}/exports")
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_erased")


async def test_an_erasure_under_way_ends_an_export_at_its_next_page(product: Live) -> None:
    """The first page deletes the export, as an erasure does; nothing of it may be written after that."""
    pages: list[str] = []
    components = product.together.orchestrator.components
    services = components.exports._services

    async def erases(request: Any) -> Any:
        pages.append(request.customer)
        page = await services["preference"](request)
        async with product.database.write() as tx:
            await tx.execute("DELETE FROM subject_export")
        return page

    runner = ExportRunner(product.database, product.clock, {"preference": erases}, components._find_address_hashes)
    async with product.database.write() as tx:
        await store.insert_export(tx, "export_1", WHO, "ann", MONDAY)
        claimed = await store.claim_next(tx, runner._owner)
    assert claimed is not None
    assert not await runner._make(claimed)
    assert pages == [WHO]
    async with product.database.read() as tx:
        assert await tx.row("SELECT 1 FROM subject_export_part") is None


@pytest.mark.integration
async def test_an_export_of_postgresql_tells_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server")
    urls = {service: server.database() for service in SERVICE_NAMES}
    async with live(tmp_path, MONDAY, urls, region="DE") as product:
        await product.policy(policy())
        await product.campaign(campaign())
        address = {"channel": "email", "address": MAIL, "verified": True}
        await product.customer(customer(WHO, traits={"name": "zqtrait"}, addresses=[address]))
        for number in range(ROWS_AT_ONCE + 2):
            await product.send(event("shop.offer", f"e-{number}", subject=WHO))
        await product.settle()
        entry = {"address": MAIL, "reason": "manual", "scope": {"channel": "email"}}
        await product.ask("POST", "/v1/suppressions", entry)
        shown = await export(product)
        told = json.loads(await file(product, shown, "json"))
        sections = {(each["service"], each["section"]): each["rows"] for each in told["sections"]}
        assert {place[1] for place in sections} == set().union(*SECTIONS.values())
        decided = sections[("orchestrator", "decision")]
        assert len({each["decision_id"] for each in decided}) == len(decided) == ROWS_AT_ONCE + 2
        assert len(sections[("suppression", "suppression_entry")]) == 1
        assert "zqtrait" in await file(product, shown, "html")
