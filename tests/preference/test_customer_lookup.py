"""Customers found by name and by address: keys that follow the states, on both databases."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.service_api import FoundCustomers
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.preference import store
from services.preference.address_carry_over import AddressCarryOver
from services.preference.customer_lookup import address_values, fold_name, lookup_keys
from services.preference.customer_lookup_build import CustomerLookupBuild
from tests.preference.test_addresses import packed_before
from tests.support.fresh_databases import migrate
from tests.support.preference_service import Running, change, eventually, running

pytestmark = pytest.mark.wired


async def put(service: Running, customer: str, **document: Any) -> None:
    answer = await service.http.put(f"/v1/preferences/{customer}", json=document)
    assert answer.is_success, answer.text


async def find(service: Running, text: str, limit: int = 20) -> FoundCustomers:
    return await service.doors.find_customers(text, limit)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Zoë O'Brien-Müller", "zoe o brien muller"),
        ("  GROSSMANN  Ann ", "grossmann ann"),
        ("Weiß", "weiss"),
        ("نورا", "نورا"),
        ("😀", ""),
    ],
)
def test_names_are_folded(text: str, folded: str) -> None:
    assert fold_name(text) == folded


async def test_a_name_is_found_by_its_beginning_and_from_each_word_on(at_work: Running) -> None:
    await put(at_work, "c-1", traits={"name": "Zoë Maria Lovelace"})
    await put(at_work, "c-2", traits={"first_name": "Zora", "last_name": "Lovelace"})
    await put(at_work, "c-3", traits={"name": 7, "given_name": "Bob"})
    for text in ("zoe", "ZOË MARIA", "maria love", "lovelace zoe"):
        assert (await find(at_work, text)).by_name == ("c-1",), text
    assert sorted((await find(at_work, "lovelace")).by_name) == ["c-1", "c-2"]
    assert (await find(at_work, "lovelace", 1)).by_name == ("c-2",) or len(
        (await find(at_work, "love", 1)).by_name
    ) == 1
    assert (await find(at_work, "bob")).by_name == ("c-3",)
    for nothing in ("oe", "a", "z", "%", "_", "7", ""):
        assert (await find(at_work, nothing)).by_name == (), nothing


async def test_an_address_is_found_in_every_spelling_and_only_whole(at_work: Running) -> None:
    sms = {"channel": "sms", "address": "07700 900101"}
    await put(at_work, "c-1", country="GB", addresses=[sms, {"channel": "email", "address": "Ada@bücher.example"}])
    for text in ("+447700900101", "+44 7700 900101", "ada@bücher.example", "ADA@xn--bcher-kva.example"):
        assert (await find(at_work, text)).by_address == ("c-1",), text
    for text in ("+4477009001", "ada@", "07700 900101", "ada"):
        assert (await find(at_work, text)).by_address == (), text


async def test_keys_follow_the_state_whoever_changes_it(at_work: Running) -> None:
    await put(at_work, "c-1", traits={"name": "Ada"}, addresses=[{"channel": "email", "address": "ada@example.org"}])
    await put(at_work, "c-1", traits={"name": "Beda"}, addresses=[])
    assert (await find(at_work, "ada")).by_name == ()
    assert (await find(at_work, "ada@example.org")).by_address == ()
    assert (await find(at_work, "beda")).by_name == ("c-1",)
    positions = await at_work.publish(change("e-1", kind="customer.identified", traits={"name": "Cleo"}))
    await at_work.facts(["c-1"], positions)
    assert (await find(at_work, "cleo")).by_name == ("c-1",)
    assert (await find(at_work, "beda")).by_name == ()


async def test_states_of_the_version_before_get_their_keys_while_the_service_works(
    database_url: str, tmp_path: Path
) -> None:
    migrate(database_url, "services.preference")
    database = Database.open(database_url)
    async with database.write() as tx:
        rows = [(f"old-{n:03}", 1, packed_before(f"old-{n:03}", f"+4477009001{n:02}")) for n in range(99)]
        rows += [(f"old-{n:03}", 1, packed_before(f"old-{n:03}", "+447700900999")) for n in range(99, 230)]
        await tx.bulk_insert("preference_state", ("customer", "version", "state"), rows)
    await database.close()
    async with running(database_url, tmp_path) as service:

        async def is_complete() -> bool:
            return (await find(service, "x")).is_complete

        await eventually(is_complete)
        assert (await find(service, "+447700900142")).by_address == ("old-042",)
        assert len((await find(service, "+447700900999", 200)).by_address) == 131


async def test_a_job_that_is_stopped_before_its_end_does_not_say_that_it_is_done(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    migrate(database_url, "services.preference")
    database = Database.open(database_url)
    stopped = asyncio.Event()
    stopped.set()
    caplog.set_level("INFO", "tactful")
    try:
        for stopping, settled in ((stopped, None), (asyncio.Event(), "1 DE")):
            await CustomerLookupBuild(database, "DE", ErasedCustomers(b"key")).build(stopping)
            await AddressCarryOver(database, "DE", ErasedCustomers(b"key")).carry_over(stopping)
            async with database.read() as tx:
                assert [await store.get_settled(tx, name) for name in ("customer_lookup", "addresses")] == [settled] * 2
            said = [each for each in caplog.messages if each in ("customer_lookup_built", "addresses_carried_over")]
            assert len(said) == (2 if settled else 0)
    finally:
        await database.close()


def test_keys_hold_no_more_than_the_state_and_are_bounded() -> None:
    from schemas.facts import Preference

    long = Preference("c-1", traits=b'{"name": "' + b"word " * 500 + b'", "first_name": ["x"]}')
    keys = lookup_keys(long)
    assert 0 < len(keys) <= 6 and all(len(value) <= 200 for _, value in keys)
    assert lookup_keys(Preference("c-1", traits=b"[1]")) == frozenset()
    assert address_values("not an address at all", None) == []
