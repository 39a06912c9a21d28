"""Imported past contacts and situations: they add once, send nothing, and the next decision obeys them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.roles import Role
from schemas.times import DAY, HOUR, format_instant
from services.development.all_services import SERVICE_NAMES
from services.orchestrator.access import api_keys
from services.orchestrator.contact_imports import contact_import
from services.orchestrator.decisions import store
from services.orchestrator.insight.audit.ledger_check import find_ledger_difference
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.import_jobs import IMPORT_CSV, json_lines, run_import
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

COMPLAINT = {
    "kind": "complaint",
    "opens": [{"event": "shop.complaint.filed"}],
    "closes": [{"event": "shop.complaint.resolved"}],
    "ref": "data.case",
    "lapses": "90d",
}
NO_ASK = {
    "id": "no-ask-after-complaint",
    "scope": {"intents": ["ask_review"]},
    "never": {"after": {"situation": "complaint"}, "within": "30d", "while_open": True},
    "on_match": "drop",
}
NO_OFFER = {
    "id": "no-offer-after-a-call",
    "scope": {"classes": ["marketing"]},
    "never": {"after": {"contacts": {"channels": ["phone"]}}, "within": "7d"},
    "on_match": "drop",
}
CONTACTS, SITUATIONS = "/v1/imports/contacts", "/v1/imports/situations"
MAIL = {"customer": "c-1", "at": format_instant(MONDAY - HOUR), "channel": "email", "class": "marketing"}
CASE = {"customer": "c-1", "kind": "complaint", "ref": "case-1", "opened": format_instant(MONDAY - 2 * DAY)}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
async def product(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    urls = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        urls = {name: server.database() for name in SERVICE_NAMES}
    async with live(tmp_path, MONDAY, urls) as running:
        await running.policy(policy(situations=[COMPLAINT], frequency_caps=[cap()], contact_history=[NO_ASK, NO_OFFER]))
        await running.campaign(campaign())
        await running.campaign(campaign("review", intent="ask_review"))
        await running.customer(customer())
        yield running


async def reasons(product: Live) -> list[tuple[str, str]]:
    return [(each["outcome"], each["reason"]) for each in await product.decisions()]


async def test_an_imported_contact_uses_up_a_cap_and_sends_nothing(product: Live) -> None:
    done = await run_import(product.editor, CONTACTS, json_lines(MAIL))
    assert done.outcomes == ["added"]
    await product.settle()
    assert (await product.decisions(), await product.inbox()) == ([], [])
    await product.send(event("shop.offer", "e-1"))
    assert await reasons(product) == [("suppress", "frequency_cap")]
    assert await product.inbox() == []


async def test_a_contact_on_a_channel_of_the_world_counts_in_contact_history(product: Live) -> None:
    call = {**MAIL, "channel": "Phone Call", "class": "service", "at": format_instant(MONDAY - 2 * DAY)}
    assert (await run_import(product.editor, CONTACTS, json_lines(call))).outcomes == ["added"]
    await product.send(event("shop.offer", "e-1"))
    assert await reasons(product) == [("suppress", "contact_history")]


async def test_an_imported_contact_is_what_the_event_reports(product: Live) -> None:
    said = {"channel": "email", "class": "marketing", "intent": "advertise", "topic": "news", "campaign": "spring"}
    await product.send(event("tactful.contact.reported", "r-1", subject="c-2") | {"data": said, "time": MAIL["at"]})
    await run_import(product.editor, CONTACTS, json_lines({**said, "customer": "c-3", "at": MAIL["at"]}))
    reported, imported = [
        {**each, "message_id": None}
        for name in ("c-2", "c-3")
        for each in (await product.ask("GET", f"/v1/contacts/{name}"))["contacts"]
    ]
    assert reported == imported
    assert imported["reported"]


async def test_an_open_complaint_that_was_imported_suppresses_an_ask(product: Live) -> None:
    rows = "customer;kind;ref;opened;closed;reason\nc-1;complaint;case-1;2026-02-28T10:00:00Z;;by phone\n"
    done = await run_import(product.editor, SITUATIONS, rows.encode(), IMPORT_CSV)
    assert done.outcomes == ["added"]
    await product.send(event("shop.review", "e-1"))
    assert await reasons(product) == [("suppress", "contact_history")]
    assert await product.inbox() == []
    await product.send(event("shop.complaint.resolved", "e-2", case="case-1"))
    await product.settle()  # the suppression service reads it in its own time
    known = await product.ask("GET", "/v1/situations/c-1")
    assert [(each["open"], each["closed"]) for each in known["situations"]] == [(False, format_instant(MONDAY))]
    assert (known["items"][1]["reason"], known["items"][1]["event"]["id"]) == ("by phone", "row-2")


async def test_the_same_file_again_adds_nothing(product: Live) -> None:
    contacts = json_lines(MAIL, {**MAIL, "id": "m-1"}, {**MAIL, "id": "m-2"}, MAIL)
    closed = {**CASE, "ref": "case-2", "closed": format_instant(MONDAY - DAY)}
    lapsed = {**CASE, "ref": "case-3", "opened": "2024-01-01T00:00:00Z", "closed": "2025-01-01T00:00:00Z"}
    situations = json_lines(CASE, closed, lapsed, CASE)
    assert (await run_import(product.editor, CONTACTS, contacts)).outcomes == ["added", "added", "added", "exists"]
    assert (await run_import(product.editor, SITUATIONS, situations)).outcomes == ["added", "added", "added", "exists"]
    before = await everything(product)
    assert len(before[0]["contacts"]) == 3
    assert (await run_import(product.editor, CONTACTS, contacts)).outcomes == ["exists"] * 4
    assert (await run_import(product.editor, SITUATIONS, situations)).outcomes == ["exists"] * 4
    assert await everything(product) == before


async def everything(product: Live) -> list[Any]:
    return [await product.ask("GET", f"/v1/{name}/c-1") for name in ("contacts", "situations")]


async def test_contacts_are_refused_by_place_and_reason(product: Live) -> None:
    late = {**MAIL, "at": format_instant(MONDAY + HOUR)}
    rows = (
        {**MAIL, "channel": "emial"},
        {**MAIL, "class": "marketting"},
        {**MAIL, "intent": "sell"},
        late,
        {**MAIL, "at": "1999-12-31T23:59:59Z"},
        {name: value for name, value in MAIL.items() if name != "at"},
        {**MAIL, "at": "yesterday"},
        {**MAIL, "chanel": "email"},
        {name: value for name, value in MAIL.items() if name != "customer"},
        {**MAIL, "id": "m-1"},
        {**MAIL, "id": "m-1", "topic": "news"},
        {**MAIL, "id": 7},
    )
    done = await run_import(product.editor, CONTACTS, json_lines(*rows))
    assert [each[1:] for each in done.results] == [
        ("refused", "unknown_channel", "/channel"),
        ("refused", "unknown_class", "/class"),
        ("refused", "unknown_intent", "/intent"),
        ("refused", "bad_time", "/at"),
        ("refused", "bad_time", "/at"),
        ("refused", "missing", "/at"),
        ("refused", "bad_time", "/at"),
        ("refused", "unknown_field", ""),
        ("refused", "missing", "/customer"),
        ("added", None, None),
        ("refused", "id_reused", "/id"),
        ("refused", "string_type", "/id"),
    ]
    assert "email" in str(done.details[0])
    assert not any("emial" in str(detail) or "yesterday" in str(detail) for detail in done.details)


async def test_a_contact_that_no_rule_looks_at_is_in_the_history_and_known_again(product: Live) -> None:
    many = [{**MAIL, "at": format_instant(MONDAY - number * DAY)} for number in range(200, 100, -1)]
    await run_import(product.editor, CONTACTS, json_lines(*many))
    await product.send(event("shop.offer", "e-1"))  # the ledger is trimmed
    shown = await product.ask("GET", "/v1/contacts/c-1")
    assert (len(shown["contacts"]), shown["complete_from"] is None) == (1, False)
    older = {**MAIL, "at": format_instant(MONDAY - 300 * DAY)}
    assert (await run_import(product.editor, CONTACTS, json_lines(older, *many))).outcomes == ["added"] + [
        "exists"
    ] * 100
    async with product.database.read() as tx:
        ledger = (await store.load_ledgers(tx, ["c-1"]))["c-1"].ledger
        history = await store.load_contact_history(tx, "c-1")
        assert find_ledger_difference(ledger, history, {}) is None
        assert len(list(await store.rebuild_ledger(tx, "c-1", 0))) == 102


async def test_a_customer_has_no_more_contacts_than_a_ledger_may_have(
    product: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_import, "MAX_CONTACTS", 2)
    rows = json_lines(*({**MAIL, "id": f"m-{number}"} for number in range(3)))
    done = await run_import(product.editor, CONTACTS, rows)
    assert done.results[-1] == (3, "refused", "too_many", "")


async def test_rows_of_an_erased_customer_are_refused(product: Live) -> None:
    await product.send(event("tactful.customer.erased", "e-1"))
    await product.settle()
    for path, row in ((CONTACTS, MAIL), (SITUATIONS, CASE)):
        done = await run_import(product.editor, path, json_lines(row))
        assert done.results == [(1, "refused", "customer_erased", "/customer")]
    async with product.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM ledger WHERE customer = 'c-1'") == []


async def test_a_dry_run_says_the_same_and_changes_nothing(product: Live) -> None:
    for path, rows in (
        (CONTACTS, [MAIL, MAIL, {**MAIL, "class": "x"}]),
        (SITUATIONS, [CASE, CASE, {**CASE, "kind": "x"}]),
    ):
        before = await everything(product)
        dry = await run_import(product.editor, path, json_lines(*rows), dry_run=True)
        assert dry.outcomes == ["added", "exists", "refused"]
        assert await everything(product) == before
        assert (await run_import(product.editor, path, json_lines(*rows))).results == dry.results


@pytest.mark.parametrize("path", [CONTACTS, SITUATIONS])
@pytest.mark.parametrize("role", [each for each in Role if each not in (Role.ADMIN, Role.PRIVACY)])
async def test_only_privacy_and_admins_import(product: Live, path: str, role: Role) -> None:
    _, key = await api_keys.create_key(product.database, f"the-{role}", role, "tests", MONDAY)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    answers: list[httpx.Response] = [
        await product.editor.post(path, content=json_lines(MAIL), headers=headers),
        await product.editor.get(path, headers=headers),
    ]
    assert [each.status_code for each in answers] == [403, 403]


async def test_imports_are_in_the_audit_log(product: Live) -> None:
    await run_import(product.editor, CONTACTS, json_lines(MAIL))
    entries = (await product.ask("GET", "/v1/audit-log", params={"limit": "50"}))["items"]
    assert any("/v1/imports/contacts" in str(each) for each in entries)
