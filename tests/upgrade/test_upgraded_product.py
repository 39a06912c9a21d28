"""The product of today starts on what earlier versions have left, answers, decides and sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from schemas.roles import Role
from schemas.times import parse_instant
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from tests.support.command_line import product as product_process
from tests.support.fresh_databases import fill
from tests.support.live_product import Live, live
from tests.upgrade import dumps
from tests.upgrade.make_databases import KEYS

pytestmark = pytest.mark.wired

NOW = "2026-11-21T13:20:00Z"
"""After the versions were killed; a while before anything else is due."""
BEFORE = "2026-11-29"
"""The newest version that took campaigns and events which later ones refuse."""
PAGES = ("", "customers", "dead-letters", "decisions", "holds", "inbox", "why")
REFUSED_TODAY = {
    "misspelt": "/content/email/en/html",
    "newline": "/content/email/en/subject",
    "odd-locales": "/content/email/de-12",
    "odd-locales-draft": "/content/email/de-12",
}
"""Campaigns that the versions took, and what of them nobody could save today."""
NEXT_ACTIONS = {
    "draft": ["submit"],
    "submitted": ["approve"],
    "approved": ["shadow", "activate"],
    "paused": ["activate"],
}
LETTERS = {"orchestrator": 5, "preference": 4, "suppression": 0}


def load(request: pytest.FixtureRequest, tmp_path: Path, version: str, dialect: str) -> Mapping[str, str]:
    """Fresh databases, filled with what a version left in them."""
    urls = {
        service: f"sqlite+aiosqlite:///{tmp_path / service}.db"
        if dialect == "sqlite"
        else str(request.getfixturevalue("postgres_server").database())
        for service in dumps.SERVICES
    }
    for service, url in urls.items():
        dumps.load(url, version, service)
    fill(f"sqlite+aiosqlite:///{tmp_path / 'log.db'}", (dumps.FOLDER / version / "log.sqlite.sql").read_text())
    return urls


@asynccontextmanager
async def started(directory: Path, urls: Mapping[str, str]) -> AsyncIterator[Live]:
    """Today's product on these databases, and on the log beside them. Push has the adapter that it had then, with a
    provider that keeps all messages: another adapter would not know which of them it has had.
    """
    webhook = WebhookSettings(
        url="https://example.com/", secret=SecretStr("whsec_YS1zZWNyZXQtb2YtdGhlLXRlc3RzLW9mLXRvZGF5")
    )
    async with live(directory, parse_instant(NOW), urls, adapters={"push": "webhook"}, webhook=webhook) as product:
        adapters = product.together.orchestrator.components.adapters.by_name
        adapters["webhook"] = adapters["sandbox"]  # type: ignore[index]
        await product.settle()
        yield product


@pytest.fixture(params=[BEFORE])
async def product(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    """The product on SQLite files that a version left."""
    async with started(tmp_path, load(request, tmp_path, request.param, "sqlite")) as running:
        yield running


async def read_everything(product: Live) -> dict[str, Any]:
    """Every list and everything that is in it; each answer must succeed, and be as the API describes it."""
    lists = {
        "campaigns": ("key", "", "/versions", "/versions/1", "/findings"),
        "policy/versions": ("version", ""),
        "decisions": ("decision_id", "?replay=true"),
        "messages": ("message_id", ""),
        "holds?state=all": ("key", ""),
        "dead-letters": ("id", ""),
        **dict.fromkeys(("suppressions", "keys", "sandbox/messages", "violations", "simulations"), ("",)),
    }
    found = {}
    for path, (field, *parts) in lists.items():
        items = (await product.ask("GET", f"/v1/{path}{'&' if '?' in path else '?'}limit=200"))["items"]
        found[path] = items
        for part in parts:
            for item in items:
                await product.ask("GET", f"/v1/{path.partition('?')[0]}/{item[field]}{part}")
    return found


@asynccontextmanager
async def browsing(product: Live) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which an administrator has signed in."""
    transport = httpx.ASGITransport(product.together.app)
    headers = {"accept": "text/html"}
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful", headers=headers) as browser:
        token = await product.together.orchestrator.sign_in.issue_token("me", Role.ADMIN)
        await browser.post("/console/sign-in", data={"token": token}, headers={"origin": "http://tactful"})
        yield browser


async def open_pages(product: Live, customers: list[str]) -> None:
    """The pages of the console, as a browser sees them."""
    async with browsing(product) as browser:
        pages = [*PAGES, *(f"customers/{customer}" for customer in customers[::3]), "holds/incident-1"]
        for page in pages:
            answer = await browser.get(f"/console/{page}")
            assert answer.status_code == 200, (page, answer.status_code, answer.text[:500])


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        (dumps.VERSIONS[-1], "sqlite"),
        pytest.param(dumps.VERSIONS[0], "postgresql", marks=pytest.mark.integration),
    ],
)
async def test_everything_that_was_kept_is_answered_and_events_are_decided(
    request: pytest.FixtureRequest, tmp_path: Path, version: str, dialect: str
) -> None:
    urls = load(request, tmp_path, version, dialect)
    kept = {name: rows for url in urls.values() for name, rows in (await dumps.read_tables(url)).items()}
    async with started(tmp_path, urls) as product:
        found = await read_everything(product)
        assert len(found["campaigns"]) == len(kept["campaign"])
        assert len(found["messages"]) == len(kept["message"])
        assert len(found["holds?state=all"]) == len(kept["hold"])
        assert len(found["suppressions"]) == len(kept["suppression_entry"])
        customers = [row["customer"] for row in kept["preference_state"]]
        for customer in customers:
            await product.ask("GET", f"/v1/preferences/{customer}")
            await product.ask("GET", f"/v1/contacts/{customer}")
            await product.ask("GET", f"/v1/situations/{customer}")
            await product.ask("GET", f"/v1/customers/{customer}/timeline")
        for campaign in found["campaigns"]:
            await product.ask("GET", "/v1/why", params={"customer": "ada", "campaign": campaign["key"]})
        await open_pages(product, customers)
        decided = await send(product, "shop.order.delivered", "odd-locale")
        assert decided == {("referral-ask", "email", "send")}


async def send(product: Live, type: str, customer: str, id: str = "new") -> set[tuple[str, str, str]]:
    """What an event is decided to: campaign, channel and outcome."""
    event = {"specversion": "1.0", "id": f"{id}-{type}-{customer}", "source": "/shop", "type": type}
    item = await product.send({**event, "subject": customer, "time": NOW, "data": {"total": 80, "order": "A-2"}})
    return {(each["campaign"], each["channel"], each["outcome"]) for each in item["decisions"]}


@pytest.mark.parametrize("product", dumps.VERSIONS, indirect=True)
async def test_messages_that_were_under_way_go_on(product: Live) -> None:
    messages = (await product.ask("GET", "/v1/messages", params={"campaign": "parcel", "limit": "200"}))["items"]
    assert {each["customer"]: each["status"] for each in messages} == {
        "ada": "accepted",
        "rejected": "rejected",
        "retry": "retry",
        "retry-maybe": "retry",
        "unknown": "unknown",
        "failed": "failed",
        # These were under way, and the provider of the tests takes everything.
        **dict.fromkeys(("pending", "pending-maybe", "handing-over", "handing-over-maybe"), "accepted"),
    }
    await product.at(parse_instant("2026-11-23T00:00:00Z"))
    await product.ask("POST", "/v1/holds/incident-1/lift", {"reason": "over"})
    await product.at(parse_instant("2026-11-23T01:00:00Z"))
    states = {
        (each["customer"], each["campaign"]): each["status"]
        for each in (await product.ask("GET", "/v1/messages", params={"limit": "200"}))["items"]
    }
    assert states["retry", "parcel"] == states["retry-maybe", "parcel"] == "accepted"
    assert states["lee", "odd-locales"] == states["ada", "product-news"] == "accepted"
    assert states["bob", "product-news"] == "suppressed"  # the address that is usable is on the list
    assert (await product.ask("GET", "/v1/violations"))["items"] == []


async def test_campaigns_that_could_not_be_saved_today_decide_as_before_and_are_named(product: Live) -> None:
    errors = {}
    for campaign in (await product.ask("GET", "/v1/campaigns", params={"limit": "200"}))["items"]:
        found = await product.ask("GET", f"/v1/campaigns/{campaign['key']}/findings")
        assert found["usable"]
        pointers = {each["pointer"] for each in found["findings"] if each["severity"] == "error"}
        if pointers:
            errors[campaign["key"]] = pointers
    assert errors == {key: {pointer} for key, pointer in REFUSED_TODAY.items()}
    assert await send(product, "shop.sale", "odd-locale") == {("odd-locales", "email", "send")}
    await product.at(parse_instant("2026-11-23T00:00:00Z"))  # the cap has room again
    assert ("fallback-active", "email", "send") in await send(product, "shop.alert", "odd-locale")
    span = {"from": "2026-11-20T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
    simulation = await product.ask("POST", "/v1/simulations", {**span, "against": {"policy": 2}})
    while simulation["state"] in ("queued", "running"):
        await asyncio.sleep(0.05)
        simulation = await product.ask("GET", f"/v1/simulations/{simulation['id']}")
    assert simulation["state"] == "done", simulation["error"]


async def test_a_stored_version_that_could_not_be_saved_today_comes_no_nearer_to_deciding(product: Live) -> None:
    for key, pointer in REFUSED_TODAY.items():
        path = f"/v1/campaigns/{key}"
        before = await product.ask("GET", path)
        if before["status"] == "active":
            await product.ask("POST", f"{path}/pause")
            before = await product.ask("GET", path)
        for action in NEXT_ACTIONS[before["status"]]:
            client = product.reviewer if action == "approve" else product.editor
            refused = await client.post(f"{path}/{action}")
            assert refused.status_code == 422, (key, action)
            assert f"version 1 of `{key}` could not be saved today" in refused.json()["detail"]
            assert {each["pointer"] for each in refused.json()["errors"]} == {pointer}
        assert await product.ask("GET", path) == before
    assert (await product.ask("POST", "/v1/campaigns/parcel/submit"))["status"] == "submitted"


async def test_dead_letters_are_open_and_can_be_closed(product: Live) -> None:
    listed = await product.ask("GET", "/v1/dead-letters", params={"state": "open", "limit": "200"})
    assert {each["service"]: each["open"] for each in listed["services"]} == LETTERS
    assert all(each["code"] for each in listed["items"])
    by_event = {each["event"]["id"]: each for each in listed["items"]}
    assert by_event["bad-zone"]["customer"] == "nia"
    for letter in listed["items"]:
        shown = await product.ask("GET", f"/v1/dead-letters/{letter['id']}")
        assert "None" not in shown["dry_run"]["detail"]
        await product.ask("POST", f"/v1/dead-letters/{letter['id']}/discard", {"reason": "of the version before"})
    left = await product.ask("GET", "/v1/dead-letters", params={"state": "open"})
    assert left["items"] == [] and {each["open"] for each in left["services"]} == {0}


async def test_a_quarantine_of_the_version_before_holds_to_its_end(product: Live) -> None:
    situations = await product.ask("GET", "/v1/situations/underscore")
    (quarantine,) = situations["quarantine"]
    assert quarantine == {"from": "2026-11-21T13:00:00Z", "until": "2026-11-22T13:00:00Z", "record": None}
    assert await send(product, "shop.visit", "underscore") == {("old-locale-form", "email", "suppress")}
    await product.at(parse_instant("2026-11-22T13:00:00Z"))
    assert await send(product, "shop.visit", "underscore", id="later") == {("old-locale-form", "email", "send")}


async def test_an_entry_in_any_spelling_covers_the_address_and_the_strictest_holds(product: Live) -> None:

    async def entries(channel: str, address: str) -> set[tuple[str | None, bool]]:
        found = await product.ask("POST", "/v1/suppressions/lookup", {"address": address, "channel": channel})
        return {(each["scope"].get("classes") and "marketing", bool(each["expires"])) for each in found["items"]}

    for spelling in ("+447700900101", "+44 7700 900101", "+44 (0)7700-900101"):
        assert entries_that_hold(await entries("sms", spelling)) == "all, for ever", spelling
    for spelling in ("bob@bücher.example", "BOB@xn--bcher-kva.example"):
        assert entries_that_hold(await entries("email", spelling)) == "all, for ever", spelling
    why = await product.ask("GET", "/v1/why", params={"customer": "ada", "campaign": "fallback-active"})
    reasons = {each["channel"]: each["reason"] for each in why["channels"]}
    assert reasons["sms"] == "suppression_list"


def entries_that_hold(entries: set[tuple[str | None, bool]]) -> str:
    return "all, for ever" if (None, False) in entries else repr(entries)


def test_the_command_line_names_campaigns_that_could_not_be_saved_today(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    load(request, tmp_path, BEFORE, "sqlite")
    (tmp_path / "keys.json").write_text(json.dumps(KEYS))
    with product_process(tmp_path, "--clock", NOW) as running:
        checks = {each["check"]: each for each in running.run("doctor", "-o", "json").data}
        assert checks["campaigns"]["state"] == "amber"
        assert checks["campaigns"]["detail"] == ("active, but could not be saved today: misspelt, odd-locales")
        assert checks["db orchestrator"]["state"] == checks["policy"]["state"] == "green"
        checked = running.run("campaigns", "check", "odd-locales")
        assert checked.code == 1
        assert "odd-locales /content/email/de-12: not a language tag (BCP 47)" in checked.err
        assert "error: version 1 of odd-locales could not be saved today; it decides as before" in checked.err
        assert running.run("campaigns", "check", "product-news").code == 0


@pytest.mark.parametrize("product", dumps.VERSIONS, indirect=True)
async def test_customers_are_carried_over_and_found(product: Live) -> None:
    async def settled() -> set[str]:
        async with product.together.databases["preference"].read() as tx:
            return {row.name for row in await tx.rows("SELECT name FROM settled")}

    async with asyncio.timeout(30):
        while await settled() < {"addresses", "customer_lookup"}:
            await asyncio.sleep(0.02)
    async with browsing(product) as browser:
        for text in ("Ada", "ada@example.org", "+447700900101", "bob@xn--bcher-kva.example"):
            answer = await browser.get("/console/find", params={"q": text})
            name = "bob" if text.startswith("bob") else "ada"
            assert f"/console/customers/{name}" in answer.headers.get("location", answer.text), text
