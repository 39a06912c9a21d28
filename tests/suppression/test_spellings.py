"""Entries that earlier versions hashed as they were spelt are found, and kept under the canonical form as well."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from schemas.facts import Address, SuppressionEntry
from schemas.times import DAY
from schemas.vocabulary import CHANNELS
from services.clients.address_hashes import AddressHasher
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.suppression.store import entry_store
from tests.support.suppression_service import ADDRESS_KEY, NOW, Running, running
from tests.upgrade import dumps

pytestmark = pytest.mark.wired

HASHER = AddressHasher(ADDRESS_KEY.encode(), "GB")


def hash_before(channel: str, text: str) -> str:
    """The hash that versions before canonical forms made."""
    plain = text.strip().lower() if channel == "email" else text.strip()
    return hmac.new(ADDRESS_KEY.encode(), f"{channel}\0{plain}".encode(), "sha256").hexdigest()


async def load_old_database(url: str) -> None:
    """A database as the version before canonical forms left it."""
    await dumps.load_empty(url, "2026-11-29", "suppression")
    database = Database.open(url)
    async with database.write() as tx:
        await tx.execute(
            "INSERT INTO settled (name, value) VALUES ('address_key', :value)",
            value=hashlib.sha256(b"tactful address key\0" + ADDRESS_KEY.encode()).hexdigest()[:16],
        )
    await database.close()


async def insert_old_entry(
    url: str, id: str, channel: str | None, text: str, masked: str, *, at: int = NOW, expires: int | None = None
) -> None:
    """An entry as the version before wrote it."""
    values: dict[str, Any] = {"id": id, "channel": channel, "masked": masked, "at": at, "expires": expires}
    database = Database.open(url)
    async with database.write() as tx:
        await tx.execute(
            "INSERT INTO suppression_entry (id, masked, channel, reason, at, expires, added_by, added_at) "
            "VALUES (:id, :masked, :channel, 'legal', :at, :expires, 'admin', :at)",
            **values,
        )
        del values["masked"]
        for hashed_for in CHANNELS if channel is None else [channel]:
            await tx.execute(
                "INSERT INTO address_entry (hash, id, channel, reason, at, expires) "
                "VALUES (:hash, :id, :channel, 'legal', :at, :expires)",
                hash=hash_before(hashed_for, text),
                **values,
            )
    await database.close()


async def found(service: Running, *addresses: Address, with_spellings: bool = True) -> tuple[SuppressionEntry, ...]:
    query = HASHER.query("c-1", addresses, with_spellings=with_spellings)
    return (await service.client.get_facts([query], {})).customers[0].entries


def sms(text: str, canonical: str = "+447700900101") -> Address:
    return Address("sms", text, True, None if text == canonical else canonical)


@pytest.mark.parametrize("stored", ["+447700900101", "+44 7700 900101", "07700900101", "00447700900101"])
@pytest.mark.parametrize("given", ["+447700900101", "+44 (0) 7700-900101"])
async def test_an_entry_in_any_usual_spelling_covers_the_number(
    database_url: str, tmp_path: Path, stored: str, given: str
) -> None:
    await load_old_database(database_url)
    await insert_old_entry(database_url, "sup_1", "sms", stored, "***01")
    await upgrade_schema(database_url, "services.suppression")
    async with running(database_url, tmp_path) as service:
        assert [entry.address for entry in await found(service, sms(given))] == [0]


async def test_the_spelling_that_a_customer_has_covers_all_who_have_the_number(
    database_url: str, tmp_path: Path
) -> None:
    odd = "+44/7700/900101"
    await load_old_database(database_url)
    await insert_old_entry(database_url, "sup_1", "sms", odd, "***01")
    await upgrade_schema(database_url, "services.suppression")
    async with running(database_url, tmp_path) as service:
        assert await found(service, sms("+447700900101")) == ()  # nobody can know: only the hash is stored
        assert len(await found(service, sms(odd), sms("+447700900101"))) == 1
        assert [entry.address for entry in await found(service, sms("+447700900101"), sms(odd))] == [0, 1]
        assert len(await found(service, sms("+447700900101"), with_spellings=False)) == 1
        looked_up = await service.http.post(
            "/v1/suppressions/lookup", json={"address": "+44 7700 900101", "channel": "sms"}
        )
        assert [item["id"] for item in looked_up.json()["items"]] == ["sup_1"]
        await service.remove("sup_1")
        assert await found(service, sms(odd), sms("+447700900101")) == ()


async def test_of_two_entries_that_become_one_the_stricter_holds(database_url: str, tmp_path: Path) -> None:
    await load_old_database(database_url)
    await insert_old_entry(database_url, "sup_1", "sms", "+447700900101", "***01", at=NOW, expires=NOW + DAY)
    await insert_old_entry(database_url, "sup_2", "sms", "+44 7700 900101", "***01", at=NOW - DAY)
    await upgrade_schema(database_url, "services.suppression")
    async with running(database_url, tmp_path) as service:
        entries = await found(service, sms("+447700900101"))
        assert {(entry.at, entry.expires) for entry in entries} == {(NOW, NOW + DAY), (NOW - DAY, None)}


async def test_a_number_in_national_form_stays_one_in_each_country(database_url: str, tmp_path: Path) -> None:
    await load_old_database(database_url)
    await insert_old_entry(database_url, "sup_1", "sms", "0171 5551234", "***34")
    await upgrade_schema(database_url, "services.suppression")
    async with running(database_url, tmp_path) as service:
        for canonical in ("+491715551234", "+441715551234"):
            assert len(await found(service, sms("0171 5551234", canonical))) == 1


async def test_an_internationalised_domain_covers_its_ascii_form(database_url: str, tmp_path: Path) -> None:
    await load_old_database(database_url)
    await insert_old_entry(database_url, "sup_1", "email", "Ada@bücher.example", "A***@bücher.example")
    await upgrade_schema(database_url, "services.suppression")
    async with running(database_url, tmp_path) as service:
        assert len(await found(service, Address("email", "ada@xn--bcher-kva.example", True))) == 1


async def test_other_spellings_are_asked_for_only_while_there_may_be_such_entries(
    database_url: str, tmp_path: Path
) -> None:
    await load_old_database(database_url)
    await insert_old_entry(database_url, "sup_1", "email", "ada@example.org", "a***@example.org")
    await insert_old_entry(database_url, "sup_2", "push", "token", "***en")
    await insert_old_entry(database_url, "sup_3", None, "+447700900101", "***01")
    await upgrade_schema(database_url, "services.suppression")
    async with running(database_url, tmp_path) as service:

        async def needs_spellings(*addresses: Address) -> bool:
            query = HASHER.query("c-1", addresses, with_spellings=True)
            return (await service.client.get_facts([query], {})).needs_spellings

        assert await needs_spellings()
        await service.http.post("/v1/suppressions", json={"address": "+44 7700 900102", "reason": "legal"})
        await needs_spellings(sms("+447700900101"))  # now it is known to be a canonical form
        assert not await needs_spellings()
        async with service.database.read() as tx:
            assert not await entry_store.has_spellings(tx)
