"""Addresses of a running preference service: one form, refused when saved, carried over from earlier versions."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.facts import Address, Preference
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Database
from services.preference import store
from services.preference.address_carry_over import AddressCarryOver
from services.preference.preference_state import is_read_in, unpack
from tests.support.preference_service import Running, change, eventually, running
from tests.upgrade import dumps

pytestmark = pytest.mark.wired

SPACED = {"channel": "sms", "address": "07700 900101", "verified": True}


def sms(text: str, canonical: str | None = None, problem: str | None = None) -> Address:
    return Address("sms", text, True, canonical, problem)


async def addresses(service: Running, customer: str = "c-1") -> tuple[Address, ...]:
    return (await service.doors.get_facts([customer], {}))[customer].addresses


async def test_what_was_given_is_shown_and_the_canonical_form_is_the_fact(at_work: Running) -> None:
    put = await at_work.http.put("/v1/preferences/c-1", json={"country": "GB", "addresses": [SPACED]})
    assert put.status_code == 201 and put.json()["addresses"] == [SPACED]
    assert (await at_work.http.get("/v1/preferences/c-1")).json()["addresses"] == [SPACED]
    assert await addresses(at_work) == (sms("07700 900101", "+447700900101"),)


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        (
            {"country": "DE", "addresses": [SPACED | {"address": "0171 555"}]},
            "/addresses/0/address",
            "not_a_phone_number",
        ),
        ({"addresses": [SPACED]}, "/addresses/0/address", "country_unknown"),
        (
            {"addresses": [{"channel": "email", "address": a} for a in ("ada@example.org", "ada@shop.local")]},
            "/addresses/1/address",
            "reserved_domain",
        ),
        ({"addresses": [{"channel": "push", "address": "a b"}]}, "/addresses/0/address", "bad_token"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_what_is_no_address_is_refused_at_its_place(
    at_work: Running, method: str, document: dict[str, Any], pointer: str, code: str
) -> None:
    refused = await at_work.http.request(method, "/v1/preferences/c-1", json=document)
    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]] == [(pointer, code)]
    assert document["addresses"][0]["address"] not in refused.text
    assert (await at_work.http.get("/v1/preferences/c-1")).status_code == 404


async def test_an_address_that_cannot_be_used_any_more_may_be_sent_again_with_the_rest(at_work: Running) -> None:
    await at_work.http.put("/v1/preferences/c-1", json={"country": "GB", "addresses": [SPACED]})
    assert (await at_work.http.patch("/v1/preferences/c-1", json={"country": "US"})).status_code == 200
    (kept,) = await addresses(at_work)
    assert kept.problem is not None and "US" in kept.problem
    document = (await at_work.http.get("/v1/preferences/c-1")).json()
    assert (await at_work.http.put("/v1/preferences/c-1", json=document | {"locale": "de"})).status_code == 200
    more = {"addresses": [SPACED, SPACED | {"address": "0171 555"}]}
    assert (await at_work.http.patch("/v1/preferences/c-1", json=more)).json()["errors"][0]["pointer"] == (
        "/addresses/1/address"
    )


async def test_of_an_event_all_addresses_are_kept_and_those_without_a_form_say_why(at_work: Running) -> None:
    given = [
        SPACED,
        {"channel": "email", "address": "ada@shop.local"},
        {"channel": "email", "address": "ada@example.org"},
    ]
    positions = await at_work.publish(change("e-1", kind="customer.identified", addresses=given))
    assert [each.problem is None for each in (await at_work.facts(["c-1"], positions))["c-1"].addresses] == [
        *(False, False, True)
    ]
    positions = await at_work.publish(change("e-2", kind="customer.identified", country="GB"))
    found = (await at_work.facts(["c-1"], positions))["c-1"].addresses
    assert found[0] == sms("07700 900101", "+447700900101") and found[1].problem is not None


async def test_the_organisations_country_reads_the_numbers_of_customers_without_one(
    database_url: str, tmp_path: Path
) -> None:
    async with running(database_url, tmp_path, region="GB") as service:
        assert (await service.http.put("/v1/preferences/c-1", json={"addresses": [SPACED]})).status_code == 201
        assert await addresses(service) == (sms("07700 900101", "+447700900101"),)
        before = await service.doors.get_facts_at("c-1", version=1)
        assert before.addresses == (sms("07700 900101", "+447700900101"),)


class OldState(msgspec.Struct, array_like=True):
    """A packed state as versions before canonical forms wrote it."""

    preference: list[Any]
    times: dict[str, int]
    trait_times: dict[str, int]
    address_times: dict[str, list[int]]
    blocked_until: int | None


def packed_before(customer: str, *texts: str, merged: bool = False) -> bytes:
    fields = [customer, 3, None, "GB", None, b"{}", [["sms", text, True] for text in texts]]
    times = {f"sms\0{text.strip()}": [index, 0, index + 10] for index, text in enumerate(texts)} if merged else {}
    return b"\x01" + msgspec.msgpack.encode(OldState(fields, {}, {}, times, None))


async def write_old_states(url: str) -> None:
    """A database as the version before left it."""
    await dumps.load_empty(url, "2026-11-29", "preference")
    database = Database.open(url)
    rows = {
        "c-1": packed_before("c-1", "07700 900101"),
        "c-2": packed_before("c-2", "+44 7700 900102", "+447700900102", merged=True),
        "c-3": packed_before("c-3", "0171 555", "+447700900103"),
        "c-4": packed_before("c-4", "07700 900104", "+44 7700 900104"),
    }
    async with database.write() as tx:
        for customer, packed in rows.items():
            await tx.execute(
                "INSERT INTO preference_state (customer, version, state) VALUES (:customer, 3, :packed)",
                customer=customer,
                packed=packed,
            )
    await database.close()


EXPECTED = {
    "c-1": [("07700 900101", "+447700900101")],
    "c-2": [("+447700900102", "+447700900102")],  # one address, as it was last set
    "c-3": [("0171 555", None), ("+447700900103", "+447700900103")],
    "c-4": [("07700 900104", "+447700900104"), ("+44 7700 900104", "+447700900104")],  # a list, as a person gave it
}


def forms(preference: Preference) -> list[tuple[str, str | None]]:
    return [(each.address, None if each.problem else each.canonical_form) for each in preference.addresses]


async def test_states_of_the_version_before_are_read_right_before_they_are_carried_over(
    database_url: str, tmp_path: Path
) -> None:
    await write_old_states(database_url)
    async with running(database_url, tmp_path, reading=False) as service:
        found = await service.doors.get_facts(list(EXPECTED), {})
        assert {customer: forms(found[customer]) for customer in EXPECTED} == EXPECTED


async def test_states_of_the_version_before_are_carried_over_once(database_url: str, tmp_path: Path) -> None:
    await write_old_states(database_url)
    async with running(database_url, tmp_path) as service:

        async def carried_over() -> bool:
            async with service.database.read() as tx:
                return await store.get_settled(tx, "addresses") is not None

        await eventually(carried_over)
        async with service.database.read() as tx:
            packed = dict(await store.list_packed_states(tx, "", 10))
        assert packed and all(is_read_in(each, None) for each in packed.values())
        assert {customer: forms(unpack(each, None).preference) for customer, each in packed.items()} == EXPECTED
        assert {unpack(each, None).version for each in packed.values()} == {3}


async def test_another_region_carries_them_over_again(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, region="GB") as first:
        await first.http.put("/v1/preferences/c-1", json={"addresses": [SPACED]})
    async with running(database_url, tmp_path, region="US", reading=False) as second:
        assert (await addresses(second))[0].problem is not None
        await AddressCarryOver(second.database, "US", ErasedCustomers(b"key")).carry_over(asyncio.Event())
        async with second.database.read() as tx:
            ((_, packed),) = await store.list_packed_states(tx, "", 10)
        assert is_read_in(packed, "US") and not is_read_in(packed, "GB")
