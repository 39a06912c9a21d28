"""The proof of an erasure: of each table what was removed or made anonymous, how many rows, when, and what remains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.times import parse_instant
from services.development.all_services import SERVICE_NAMES
from services.erasure.erased_stores import ErasedStore, check_declarations
from services.orchestrator.erasure import erased_stores as orchestrator
from services.preference import erased_stores as preference
from services.suppression import erased_stores as suppression
from tests.support.document_builders import MONDAY, campaign, policy
from tests.support.erased_person import (
    ADA,
    COMPLAINT,
    HTML,
    MAIL,
    PLANTED,
    REASON,
    erase,
    fill,
    fill_newest,
    found_in_log,
    person,
)
from tests.support.live_product import Live, live
from tests.support.plain_text_search import count_in_database, list_tables

pytestmark = pytest.mark.wired

DECLARED = {
    "orchestrator": (orchestrator.ERASED_STORES, orchestrator.IMPERSONAL),
    "preference": (preference.ERASED_STORES, preference.IMPERSONAL),
    "suppression": (suppression.ERASED_STORES, suppression.IMPERSONAL),
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
async def product(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    urls = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        urls = {service: server.database() for service in SERVICE_NAMES}
    async with live(tmp_path, MONDAY, urls, region="DE") as running:
        await running.policy(policy(situations=[COMPLAINT], frequency_caps=[]))
        words = {"subject": "{{ customer.traits.name }}", "html": HTML}
        await running.campaign(campaign(content={"email": {"en": words}}))
        await running.campaign(campaign("later", content={"email": {"en": words}}))
        yield running


def stores_of(shown: dict[str, Any], service: str) -> dict[str, dict[str, Any]]:
    return {each["store"]: each for each in shown["services"][service]["stores"]}


async def test_every_table_is_declared_or_holds_nothing_of_a_person(product: Live) -> None:
    for service, (stores, impersonal) in DECLARED.items():
        check_declarations(stores, impersonal)
        tables = await list_tables(product.together.databases[service])
        declared = {each.table for each in stores} | impersonal
        assert tables - declared == set(), f"{service}: say in `erased_stores` what an erasure does to them"
        assert declared - tables <= {"recent_change", "change_horizon"}, "these two are PostgreSQL's alone"


async def test_the_proof_counts_each_row_that_held_something_and_says_what_remains(
    tmp_path: Path, product: Live
) -> None:
    await fill(product)
    await fill_newest(product)
    before = {
        service: await count_in_database(database, PLANTED) for service, database in product.together.databases.items()
    }
    shown = await erase(product)
    for service, found in before.items():
        stores = stores_of(shown, service)
        for table, rows in found.items():
            said = stores[table]
            assert said["action"] != "kept", f"{service}.{table} held the person's texts"
            assert said["rows"] >= rows, f"{service}.{table}: {said['rows']} of {rows} rows"
        for said in stores.values():
            assert (said["rows"] is None) == (said["at"] is None) == (said["action"] == "kept"), said
            assert bool(said["remains"]) == (said["action"] != "removed"), said
        assert shown["services"][service]["rows"] == sum(each["rows"] or 0 for each in stores.values() if each["rows"])
    assert stores_of(shown, "preference")["preference_state"]["rows"] == 1, "removed at the event itself"
    assert stores_of(shown, "suppression")["customer_state"]["rows"] == 1
    finished = parse_instant(shown["services"]["orchestrator"]["finished"])
    assert all(
        parse_instant(each["at"]) <= finished for each in stores_of(shown, "orchestrator").values() if each["at"]
    )
    await told_of_the_log(tmp_path, product)


async def told_of_the_log(tmp_path: Path, product: Live) -> None:
    """The embedded log is erased last, by a job of its own, and the proof then says how many records."""
    assert await found_in_log(tmp_path) == set()
    async with asyncio.timeout(10):
        while "embedded_log" not in (places := await elsewhere(product)):
            await asyncio.sleep(0.05)
    assert "that were removed: " in places["embedded_log"] and "topics" not in places
    assert {"backups", "providers", "logs", "files"} <= places.keys()


async def elsewhere(product: Live) -> dict[str, str]:
    return {each["place"]: each["what"] for each in (await product.ask("GET", f"/v1/erasures/{ADA}"))["elsewhere"]}


async def test_entries_of_the_addresses_lose_what_people_see_and_typed_and_stay_in_force(product: Live) -> None:
    await product.customer(person())
    entry = {"address": MAIL, "reason": "legal", "note": f"{REASON} about {MAIL}", "source": REASON}
    listed = await product.ask("POST", "/v1/suppressions", entry)
    other = await product.ask("POST", "/v1/suppressions", {"address": "o@example.org", "reason": "legal", "note": "n"})
    shown = await erase(product)
    row = await product.ask("GET", f"/v1/suppressions/{listed['id']}")
    assert (row["address_masked"], row["note"], row["source"]) == ("(erased customer)", None, None)
    untouched = await product.ask("GET", f"/v1/suppressions/{other['id']}")
    assert (untouched["note"], "example.org" in untouched["address_masked"]) == ("n", True)
    found = (await product.ask("POST", "/v1/suppressions/lookup", {"address": MAIL}))["items"]
    assert sorted(each["reason"] for each in found) == ["erased", "legal"]
    assert stores_of(shown, "suppression")["suppression_entry"]["rows"] == 1


async def test_an_erasure_of_an_earlier_version_says_that_its_rows_were_not_recorded(product: Live) -> None:
    await product.customer(person())
    await erase(product)
    for database in product.together.databases.values():
        async with database.write() as tx:
            await tx.execute("DELETE FROM erased_rows")
    shown = await product.ask("GET", f"/v1/erasures/{ADA}")
    assert shown["finished"]
    assert {each["rows"] for service in SERVICE_NAMES for each in stores_of(shown, service).values()} == {None}


def test_a_declaration_says_each_table_once_and_what_remains() -> None:
    with pytest.raises(ValueError, match="declared twice: \\['a'\\]"):
        check_declarations((ErasedStore("a", "removed"),), frozenset({"a"}))
    with pytest.raises(ValueError, match="what remains: \\['b'\\]"):
        check_declarations((ErasedStore("b", "kept"),), frozenset())
