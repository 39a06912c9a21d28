"""The facts reader on the two real services: what holds is kept at constant cost, and no change is ever missed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from schemas.facts import Preference, Suppressions
from schemas.quarantine import QUARANTINE_SPAN
from schemas.service_api import (
    PREFERENCE_CHANGES_PATH,
    PREFERENCE_FACTS_PATH,
    SUPPRESSION_CHANGES_PATH,
    SUPPRESSION_FACTS_PATH,
    PreferenceRequest,
)
from schemas.times import HOUR
from services.clients.address_hashes import AddressHasher
from services.clients.facts_endpoints import FactsInProcess
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.erasure.pseudonyms import Pseudonyms
from services.kit.bus.protocol import Partition
from services.kit.db.recent_changes import MAX_CHANGES, MAX_KEYS
from services.kit.errors import Permanent, Transient
from services.orchestrator.decisions.facts_reader import MAX_QUESTION, FactsReader
from services.orchestrator.policy.customer_facts import Facts, FactsPosition
from services.orchestrator.policy.match import Catalogue
from tests.support import preference_service, suppression_service
from tests.support.policy_builders import policy

pytestmark = pytest.mark.wired

ADDRESS_KEY = suppression_service.ADDRESS_KEY.encode()
NAMES = [f"c-{number:03}" for number in range(600)]
CHANGES = {PREFERENCE_CHANGES_PATH, SUPPRESSION_CHANGES_PATH}
CATALOGUE = Catalogue({}, policy(), frozenset({"email"}))
EMAIL = {"channel": "email", "address": "ada@example.org", "verified": True}


class Wire(httpx.AsyncBaseTransport):
    """What lies between the reader and a service: counts questions, and can be that of an earlier version."""

    def __init__(self, service: httpx.AsyncClient, asked: Counter[str]) -> None:
        self._service = service
        self._asked = asked
        self.is_old = self.is_down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self._asked[path] += 1
        body = await request.aread()
        if self.is_down:
            raise httpx.ConnectError("down")
        if self.is_old and path in CHANGES:
            return httpx.Response(404, json={"code": "not_found"})
        if self.is_old:
            question = msgspec.msgpack.decode(body)
            question.pop("with_position", None)
            body = msgspec.msgpack.encode(question)
        headers = {name: request.headers[name] for name in ("content-type", "authorization")}
        answer = await self._service.post(path, content=body, headers=headers)
        content = answer.content
        if self.is_old and path == SUPPRESSION_FACTS_PATH:
            told = msgspec.msgpack.decode(content)
            del told["position"]
            content = msgspec.msgpack.encode(told)
        return httpx.Response(answer.status_code, content=content)


@dataclass
class Shop:
    """Both services, and a reader that asks them."""

    preference: preference_service.Running
    suppression: suppression_service.Running
    wires: Sequence[Wire]
    reader: FactsReader
    asked: Counter[str]

    async def read(self, known: dict[str, Facts] | None = None, catalogue: Catalogue = CATALOGUE) -> dict[str, Facts]:
        return await self.reader.read_facts(NAMES, catalogue, {}, known or {})

    async def patch(self, customer: str, **fields: object) -> None:
        answer = await self.preference.http.patch(f"/v1/preferences/{customer}", json=fields)
        assert answer.is_success, answer.text

    async def post(self, path: str, **document: object) -> str:
        answer = await self.suppression.http.post(path, json=document)
        assert answer.is_success, answer.text
        return str(answer.json().get("id"))


@pytest.fixture
async def shop(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    is_sqlite = database_url.startswith("sqlite")
    other_url = (
        f"sqlite+aiosqlite:///{tmp_path}/other.db"
        if is_sqlite
        else request.getfixturevalue("postgres_server").database()
    )
    (tmp_path / "p").mkdir()
    (tmp_path / "s").mkdir()
    async with (
        preference_service.running(other_url, tmp_path / "p") as preference,
        suppression_service.running(database_url, tmp_path / "s") as suppression,
    ):
        asked = Counter[str]()
        wires = Wire(preference.http, asked), Wire(suppression.http, asked)
        async with (
            httpx.AsyncClient(transport=wires[0], base_url="http://preference") as to_preference,
            httpx.AsyncClient(transport=wires[1], base_url="http://suppression") as to_suppression,
        ):
            reader = FactsReader(
                PreferenceClient(to_preference, preference_service.SERVICE_KEY),
                SuppressionClient(to_suppression, suppression_service.SERVICE, ADDRESS_KEY),
                AddressHasher(ADDRESS_KEY, None),
                ["customer.events"],
            )
            yield Shop(preference, suppression, wires, reader, asked)


async def read_twice(shop: Shop, catalogue: Catalogue = CATALOGUE) -> tuple[dict[str, Facts], dict[str, Facts]]:
    """Facts, and the facts once more at the cost of one question to each service.

    Several tries: while any transaction on the server is open, what was seen before counts as changed.
    """
    for _ in range(100):
        known = await shop.read()
        shop.asked.clear()
        again = await shop.read(known, catalogue)
        if shop.asked == dict.fromkeys(CHANGES, 1):
            return known, again
        await asyncio.sleep(0.05)
    raise AssertionError(shop.asked)


async def test_what_holds_is_kept_at_the_cost_of_one_question_to_each(shop: Shop) -> None:
    await shop.patch("c-001", addresses=[EMAIL])
    await shop.post("/v1/suppressions", address="ada@example.org", reason="manual", scope={"channel": "email"})
    known, again = await read_twice(shop)
    assert known["c-001"].suppressions.entries
    assert all(again[name] is known[name] for name in NAMES)


async def test_whoever_changes_a_preference_is_asked_about_again(shop: Shop) -> None:
    known = await shop.read()
    await shop.patch("c-007", opt_outs=[{"all": True}])
    again = await shop.read(known)
    assert again["c-007"].preference.opt_outs
    assert all(again[name] is known[name] for name in NAMES if name != "c-007")


async def test_of_many_customers_those_who_changed_are_asked_about(shop: Shop) -> None:
    """SQLite does not say who they are, so there all are asked about, in portions."""
    known = await shop.read()
    await shop.patch("c-007", locale="de")
    shop.asked.clear()
    again = await shop.read(known)
    assert again["c-007"].preference.locale == "de"
    portions = -(-len(NAMES) // MAX_QUESTION) if shop.suppression.database.dialect == "sqlite" else 1
    assert shop.asked == {
        **dict.fromkeys(CHANGES, 1),
        **dict.fromkeys((PREFERENCE_FACTS_PATH, SUPPRESSION_FACTS_PATH), portions),
    }


async def test_an_entry_of_an_address_is_found_at_whoever_has_it(shop: Shop) -> None:
    await shop.patch("c-001", addresses=[EMAIL])
    known = await shop.read()
    entry = await shop.post("/v1/suppressions", address="Ada@Example.org", reason="manual", scope={"channel": "email"})
    told = await shop.read(known)
    assert [each.address for each in told["c-001"].suppressions.entries] == [0]
    assert told["c-002"] is known["c-002"]
    await shop.suppression.remove(entry)
    assert (await shop.read(told))["c-001"].suppressions.entries == ()


async def test_an_address_that_comes_later_brings_its_entries(shop: Shop) -> None:
    await shop.post("/v1/suppressions", address="ada@example.org", reason="manual", scope={"channel": "email"})
    known = await shop.read()
    await shop.patch("c-001", addresses=[EMAIL])
    assert (await shop.read(known))["c-001"].suppressions.entries


@pytest.mark.parametrize("what", ["entry", "situation", "quarantine", "erasure", "blocked"])
async def test_whatever_is_said_against_a_customer_is_seen(shop: Shop, what: str) -> None:
    await shop.suppression.situations(suppression_service.COMPLAINT)
    known = await shop.read()
    event = suppression_service.event
    if what == "entry":
        await shop.post("/v1/suppressions", customer="c-003", reason="legal")
    elif what == "situation":
        await shop.suppression.events(event("shop.complaint.filed", {"case": 1}, customer="c-003"))
    elif what == "quarantine":
        record = suppression_service.record(event("tactful.unknown.type", customer="c-003"))
        await shop.suppression.settle(await shop.suppression.publish(record))
    elif what == "erasure":
        await shop.suppression.events(event("tactful.customer.erased", customer="c-003"))
    else:
        await shop.suppression.client.block_addresses(Pseudonyms(ADDRESS_KEY).of_customer("c-003"), [], {})
    again = await shop.read(known)
    assert all(again[name] is known[name] for name in NAMES if name != "c-003")
    found = again["c-003"].suppressions
    if what == "entry":
        assert found.entries
    elif what == "situation":
        assert found.situations
    elif what == "quarantine":
        assert found.quarantines[0].until - found.quarantines[0].start == QUARANTINE_SPAN
    else:
        assert [each.reason for each in found.entries] == ["erased"]


async def test_an_erasure_empties_the_preferences(shop: Shop) -> None:
    await shop.patch("c-003", locale="de")
    known = await shop.read()
    erased = preference_service.change("e-1", "c-003", kind="customer.erased")
    await shop.preference.facts(["c-003"], await shop.preference.publish(erased))
    assert (await shop.read(known))["c-003"].preference == Preference("c-003")


async def test_a_hold_on_everybody_is_seen_at_everybody_when_it_comes_and_when_it_ends(shop: Shop) -> None:
    known = await shop.read()
    await shop.post("/v1/holds", key="outage", mode="defer", scope={"channels": ["email"]}, reason="down")
    held = await shop.read(known)
    assert all(held[name].holds for name in NAMES)
    answer = await shop.suppression.http.post("/v1/holds/outage/lift", json={"reason": "up again"})
    assert answer.is_success, answer.text
    assert all(each.holds == () for each in (await shop.read(held)).values())


async def test_a_hold_that_begins_by_the_clock_is_among_the_facts_that_are_kept(shop: Shop) -> None:
    await shop.post(
        "/v1/holds",
        **{"key": "later", "mode": "defer", "scope": {}, "reason": "x", "from": "2026-03-02T11:00:00Z"},
    )
    known = await shop.read()
    shop.suppression.clock.set(suppression_service.NOW + 2 * HOUR)
    (hold,) = (await shop.read(known))["c-001"].holds
    assert hold.start == suppression_service.NOW + HOUR


async def test_another_policy_makes_new_facts_of_what_holds(shop: Shop) -> None:
    other = Catalogue({}, policy(zone="Europe/Vienna"), frozenset({"email"}))
    known, again = await read_twice(shop, other)
    assert again["c-001"].policy is other.policy and again["c-001"].preference is known["c-001"].preference


@pytest.mark.parametrize("old", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("when", ["before", "between", "after"])
async def test_services_of_an_earlier_version_are_asked_as_before(shop: Shop, old: Sequence[int], when: str) -> None:
    """During an upgrade replicas of both versions answer: for the first question, for the second one, or for both."""
    for number in old:
        shop.wires[number].is_old = when != "after"
    known = await shop.read()
    for number in old:
        shop.wires[number].is_old = when != "between"
    await shop.patch("c-007", opt_outs=[{"all": True}])
    await shop.post("/v1/suppressions", customer="c-008", reason="legal")
    again = await shop.read(known)
    assert again["c-007"].preference.opt_outs and again["c-008"].suppressions.entries
    assert again["c-009"] is known["c-009"]


@pytest.mark.parametrize("down", [0, 1])
async def test_while_one_of_them_does_not_answer_nothing_counts_as_unchanged(shop: Shop, down: int) -> None:
    known = await shop.read()
    shop.wires[down].is_down = True
    with pytest.raises(Transient):
        await shop.read(known)


async def test_changes_are_told_once_the_log_is_applied(shop: Shop) -> None:
    known = await shop.read()
    events = [preference_service.change(f"e-{n}", "c-007", at=preference_service.NOW + n, locale="de") for n in (1, 2)]
    positions = await shop.preference.publish(*events)
    client = shop.preference.doors
    position = known["c-001"].position
    assert position is not None
    changed = await client.find_changed_keys(positions, position.preference)
    assert changed is None or changed
    assert (await shop.read(known))["c-007"].preference.locale == "de"


async def test_in_one_process_the_services_are_asked_without_a_connection(shop: Shop) -> None:
    shop.wires[0].is_down = shop.wires[1].is_down = True
    async with httpx.AsyncClient(transport=shop.wires[0], base_url="http://nobody") as nobody:
        suppression = shop.suppression.service.components.facts
        reader = FactsReader(
            PreferenceClient(nobody, "", shop.preference.service.facts),
            SuppressionClient(nobody, "", ADDRESS_KEY, suppression),
            AddressHasher(ADDRESS_KEY, None),
            ["customer.events"],
        )
        await shop.patch("c-001", addresses=[EMAIL], locale="de")
        known = await reader.read_facts(NAMES, CATALOGUE, {})
        assert known["c-001"].preference.locale == "de" and known["c-002"].preference == Preference("c-002")
        await shop.post("/v1/suppressions", address="ada@example.org", reason="manual", scope={"channel": "email"})
        await shop.patch("c-002", locale="fr")
        again = await reader.read_facts(NAMES, CATALOGUE, {}, known)
        assert again["c-001"].suppressions.entries and again["c-002"].preference.locale == "fr"
        assert again["c-003"] is known["c-003"]
        with pytest.raises(Transient):
            await reader.read_facts(NAMES, CATALOGUE, {Partition("customer.events", 0): 1_000_000})
    assert not shop.asked


async def test_a_fault_of_a_service_in_this_process_does_not_end_who_asks(shop: Shop) -> None:
    faulty = FactsInProcess(shop.preference.service.facts)
    with pytest.raises(Permanent):
        await faulty.answer_facts(PreferenceRequest(("c-1", "c-2"), {}, (0,)))  # fewer versions than customers


class ManyChanges:
    """A service that names the most changes that one answer may have, none of them of our customers."""

    keys = frozenset(number.to_bytes(8, "big") for number in range(MAX_KEYS * MAX_CHANGES))

    async def find_changed_keys(self, *_: object) -> frozenset[bytes]:
        """All of them."""
        return self.keys


async def test_many_changes_of_others_are_compared_once_and_not_for_each_customer() -> None:
    services: Any = ManyChanges()
    reader = FactsReader(services, services, AddressHasher(ADDRESS_KEY, None), [])
    position = FactsPosition((1, 1), (1, 1))
    known = {
        name: Facts(Preference(name), Suppressions(name), (), CATALOGUE.policy, CATALOGUE.configured_channels, position)
        for name in NAMES
    }
    began = time.process_time()
    assert await reader.read_facts(NAMES, CATALOGUE, {}, known) == known
    assert time.process_time() - began < 1.0
