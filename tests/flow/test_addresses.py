"""Addresses of a customer, from the new one to the message that verifies it and to where the next messages go."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from schemas.roles import Role
from schemas.times import DAY, HOUR, MINUTE
from services.erasure.erased_customers import ErasedCustomers
from services.kit.observability.metrics import Registry
from services.orchestrator.access import api_keys
from services.preference.addresses.hygiene_job import AddressHygiene, HygieneMetrics
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

C = "/v1/preferences/c-1/addresses"
OLD, NEW = "c-1@example.org", "ada@new.example"
LINK = re.compile(r"http[^\s\"'<>]*/a/[\w-]+")
CODE = re.compile(r"code (\d{6})\b")
HTML = "Your code {{ links.verification_code }}, or <a href='{{ links.verify_address }}'>press here</a>"
ASKING = campaign(
    "verify",
    **{"class": "transactional", "intent": "inform", "topic": "account"},
    trigger={"event": "tactful.address.verification_requested"},
    content={
        "email": {"en": {"subject": "Is this your address?", "html": HTML}},
        "sms": {"en": {"text": "Your code {{ links.verification_code }}"}},
    },
    channels=["email", "sms"],
)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, centre={"code_channels": "email,sms"}) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.campaign(ASKING)
        await running.customer(customer())
        yield running


async def add(product: Live, address: str = NEW, **more: Any) -> dict[str, Any]:
    added: dict[str, Any] = await product.ask("POST", C, {"channel": "email", "address": address, **more})
    return added


async def ask(product: Live, id: str) -> dict[str, Any]:
    """The newest message of the campaign that asks to verify, once the address of this id was to be verified."""
    await product.ask("POST", f"{C}/{id}/verification")
    await product.settle()
    asking = [each for each in await product.inbox() if each["campaign"] == "verify"]
    return max(asking, key=lambda each: each["at"])


async def visit(product: Live, method: str, path: str) -> httpx.Response:
    """What somebody without a key gets."""
    transport = httpx.ASGITransport(product.together.app, client=("198.51.100.77", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as nobody:
        return await nobody.request(method, path)


def code_in(message: dict[str, Any]) -> str:
    (code,) = set(CODE.findall(json.dumps(message["content"])))
    return str(code)


async def recipients(product: Live, id: str) -> list[str]:
    """Where the offer goes that the customer gets upon this event."""
    await product.send(event("shop.offer", id))
    await product.settle()
    return [each["to"] for each in await product.inbox() if each["campaign"] == "offer"]


async def test_add_verify_and_the_next_message_goes_to_the_new_address(product: Live) -> None:
    added = await add(product)
    assert (added["state"], added["main"]) == ("unverified", False)
    message = await ask(product, added["id"])
    assert message["to"] == NEW
    verified = await product.ask("POST", f"{C}/{added['id']}/verification/code", {"code": code_in(message)})
    assert verified["state"] == "verified" and verified["main"]
    assert await recipients(product, "e-1") == [NEW]
    items = (await product.ask("GET", C))["items"]
    assert [(each["address"], each["state"]) for each in items] == [(NEW, "verified"), (OLD, "former")]
    assert items[1]["former"] == "2026-03-02T10:00:00Z"


async def test_the_link_in_the_message_verifies_once_and_following_it_changes_nothing(product: Live) -> None:
    message = await ask(product, (await add(product))["id"])
    (url,) = set(LINK.findall(json.dumps(message["content"])))
    path = urlsplit(url).path
    assert "Is this address yours?" in (await visit(product, "GET", path)).text
    assert await recipients(product, "e-1") == [OLD]
    done = (await visit(product, "POST", path)).text
    assert "The address is confirmed" in done and "From now on our messages go there" in done and NEW not in done
    assert await recipients(product, "e-2") == [OLD, NEW]
    assert "confirmed already" in (await visit(product, "POST", path)).text
    for wrong in (path[:-1] + ("A" if path[-1] != "A" else "B"), "/a/nonsense"):
        assert "This link does not work" in (await visit(product, "POST", wrong)).text


async def test_five_wrong_codes_end_a_code_and_a_new_message_begins_anew(product: Live) -> None:
    id = (await add(product))["id"]
    code = code_in(await ask(product, id))
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    path = f"{C}/{id}/verification/code"
    found = [(await product.editor.post(path, json={"code": wrong})).json()["code"] for _ in range(6)]
    assert found == ["wrong_code"] * 4 + ["too_many_codes"] * 2
    assert (await product.editor.post(path, json={"code": code})).json()["code"] == "too_many_codes"
    await product.at(MONDAY + 2 * MINUTE)
    newer = code_in(await ask(product, id))
    assert newer != code
    assert (await product.ask("POST", path, {"code": newer}))["state"] == "verified"
    assert (await product.editor.post(path, json={"code": newer})).json()["code"] == "already_verified"


async def test_tries_at_once_are_counted_one_after_the_other(product: Live) -> None:
    id = (await add(product))["id"]
    code = code_in(await ask(product, id))
    guesses = [f"{(int(code) + step) % 10**6:06d}" for step in range(1, 21)]
    path = f"{C}/{id}/verification/code"
    answers = await asyncio.gather(*(product.editor.post(path, json={"code": guess}) for guess in guesses))
    assert sorted(each.json()["code"] for each in answers) == ["too_many_codes"] * 16 + ["wrong_code"] * 4


async def test_a_code_is_too_old_after_a_day_and_a_newer_message_ends_it(product: Live) -> None:
    id = (await add(product))["id"]
    path = f"{C}/{id}/verification/code"
    first = code_in(await ask(product, id))
    await product.at(MONDAY + HOUR)
    second = code_in(await ask(product, id))
    assert (await product.editor.post(path, json={"code": first})).json()["code"] == "wrong_code"
    await product.at(MONDAY + HOUR + DAY)
    assert (await product.editor.post(path, json={"code": second})).json()["code"] == "code_expired"
    assert [each["state"] for each in (await product.ask("GET", C))["items"]] == ["verified", "unverified"]


async def test_neither_log_nor_tables_nor_event_hold_the_address_or_the_code(product: Live, tmp_path: Path) -> None:
    message = await ask(product, (await add(product))["id"])
    code, (url,) = code_in(message).encode(), set(LINK.findall(json.dumps(message["content"])))
    published = (tmp_path / "log.db").read_bytes() + (tmp_path / "log.db-wal").read_bytes()
    assert b"tactful.address.verification_requested" in published
    assert NEW.encode() not in published and url.rsplit("/", 1)[1].encode() not in published
    async with product.together.databases["preference"].read() as tx:
        (row,) = await tx.tuples("SELECT * FROM address_verification")
    assert not [each for each in row if NEW in str(each) or code.decode() in str(each)]


async def test_the_company_may_vouch_choose_and_remove(product: Live) -> None:
    added = await add(product, verified=True)
    assert (added["state"], added["main"]) == ("verified", True)
    assert await recipients(product, "e-1") == [NEW]
    old = next(each for each in (await product.ask("GET", C))["items"] if each["address"] == OLD)
    assert (old["state"], old["main"]) == ("former", False)
    again = await product.ask("PUT", f"{C}/{old['id']}/main")
    assert (again["state"], again["main"]) == ("verified", True)
    assert await recipients(product, "e-2") == [NEW, OLD]
    await product.ask("DELETE", f"{C}/{old['id']}")
    assert await recipients(product, "e-3") == [NEW, OLD, NEW]
    assert (await product.editor.delete(f"{C}/{old['id']}")).status_code == 404


async def test_an_unverified_address_is_no_main_one_beside_a_verified_one(product: Live) -> None:
    id = (await add(product))["id"]
    refused = await product.editor.put(f"{C}/{id}/main")
    assert (refused.status_code, refused.json()["code"]) == (422, "not_verified")
    assert (await product.editor.post(C, json={"channel": "email", "address": "nonsense"})).status_code == 422
    assert (await add(product, f" {NEW.upper()} "))["id"] == id  # another spelling is the same address


async def test_a_customer_cannot_have_messages_sent_without_end(product: Live) -> None:
    ids = [(await add(product, f"a{number}@example.org"))["id"] for number in range(11)]
    statuses = [(await product.editor.post(f"{C}/{id}/verification")).status_code for id in ids]
    assert statuses == [201] * 10 + [429]
    twice = await product.editor.post(f"{C}/{ids[0]}/verification")
    assert twice.status_code == 200  # within a minute it is the same request


async def test_a_second_telephone_stays_beside_the_first(product: Live) -> None:
    first, second = [
        await product.ask("POST", C, {"channel": "sms", "address": number, "verified": True})
        for number in ("+4915112345678", "+4915112345679")
    ]
    assert (first["main"], second["main"], second["state"]) == (True, False, "verified")
    third = await product.ask("POST", C, {"channel": "sms", "address": "+4915112345670"})
    message = await ask(product, third["id"])
    assert (message["to"], message["channel"]) == ("+4915112345670", "sms")


class CentrePage:
    """The customer's page, used without script."""

    def __init__(self, product: Live, path: str) -> None:
        self._product, self.path = product, path

    @classmethod
    async def open(cls, product: Live) -> CentrePage:
        links = await product.ask("POST", "/v1/preferences/c-1/links")
        return cls(product, urlsplit(links["preferences"]).path)

    async def show(self, language: str = "en") -> str:
        return (await visit(self._product, "GET", f"{self.path}?lang={language}")).text

    async def submit(self, **fields: str) -> httpx.Response:
        transport = httpx.ASGITransport(self._product.together.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as nobody:
            return await nobody.post(f"{self.path}/addresses", data=fields)

    async def id_of(self, masked: str) -> str:
        """The id that the form of an address has."""
        part = (await self.show()).split(f">{masked}</bdi>", 1)[1]
        return str(re.findall(r'name="address" value="(\w+)"', part)[0])


async def test_on_the_page_a_customer_adds_verifies_chooses_and_removes(product: Live) -> None:
    page = await CentrePage.open(product)
    told = await page.submit(action="add", channel="email", text=NEW)
    assert told.status_code == 200 and "We are sending a message with a code to" in told.text
    assert NEW not in told.text and "Code from our message" in told.text
    await product.settle()
    (message,) = [each for each in await product.inbox() if each["campaign"] == "verify"]
    assert message["to"] == NEW
    code, id = code_in(message), await page.id_of("a…\u2060@new.example")
    wrong = await page.submit(action="code", address=id, code="12")
    assert wrong.status_code == 422 and "You can try 4 more times." in wrong.text
    arabic = "".join(chr(0x0660 + int(digit)) for digit in code)
    done = await page.submit(action="code", address=id, code=f" {arabic[:3]} {arabic[3:]}")
    assert "The address is confirmed" in done.text and "We do not use the address before it any more" in done.text
    assert await recipients(product, "e-1") == [NEW]
    former = await page.id_of("c…\u2060@example.org")
    chosen = await page.submit(action="main", address=former)
    assert "From now on messages by e-mail go to" in chosen.text
    assert await recipients(product, "e-2") == [NEW, OLD]
    removed = await page.submit(action="remove", address=id)
    assert "We have removed" in removed.text and 'value="undo"' in removed.text
    assert "Nothing has been changed" in (await page.submit(action="remove", address=id)).text
    history = (await product.ask("GET", "/v1/preferences/c-1/history"))["items"]
    sources = [each["source"] for each in history if each["field"] == "addresses"]
    assert sources[:4] == ["centre", "centre", "confirmation", "centre"]


async def test_the_page_refuses_what_it_does_not_offer(product: Live) -> None:
    page = await CentrePage.open(product)
    for channel, text in (("push", "token"), ("email", "nonsense"), ("sms", "12"), ("whatsapp", "+4915112345678")):
        refused = await page.submit(action="add", channel=channel, text=text)
        assert refused.status_code == 422, (channel, text)
    assert f'value="{"12"}"' in (await page.submit(action="add", channel="sms", text="12")).text
    for fields in ({"action": "become"}, {"action": "add", "channel": "email", "text": "a" * 401}, {}):
        assert "cannot read" in (await page.submit(**fields)).text
    assert len((await product.ask("GET", C))["items"]) == 1
    unknown = CentrePage(product, "/p/nonsense")
    assert "This link does not work" in (await unknown.submit(action="remove", address="x")).text


async def test_without_a_campaign_that_sends_codes_the_page_offers_none(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy())
        unverified = {"channel": "email", "address": NEW}
        await running.customer(customer(addresses=[*customer()["addresses"], unverified]))
        page = await CentrePage.open(running)
        text = await page.show()
        assert 'value="remove"' in text and 'value="add"' not in text and 'value="send"' not in text
        assert (await page.submit(action="send", address=await page.id_of("a…\u2060@new.example"))).status_code == 422


NUMBER = "+4915112345678"


async def with_a_shared_number(product: Live) -> None:
    number = {"channel": "sms", "address": NUMBER, "verified": True}
    for key in ("c-1", "c-2", "c-3"):
        await product.customer(customer(key, addresses=[*customer(key)["addresses"], number]))


async def test_a_shared_number_is_told_and_a_stop_to_it_stops_all(product: Live) -> None:
    await with_a_shared_number(product)
    mailbox, number = (await product.ask("GET", C))["items"]
    assert (mailbox["shared_with"], number["shared_with"]) == (0, 2)
    page = await (await CentrePage.open(product)).show()
    assert "2 other customers have it too" in page and "c-2" not in page
    await product.ask("POST", "/v1/suppressions", {"address": NUMBER, "reason": "stop_keyword", "scope": {}})
    hello = {"sms": {"en": {"text": "Hello"}}}
    fields = {"class": "service", "topic": "account", "channels": ["sms"], "content": hello}
    await product.campaign(campaign("hello", **fields))
    for key in ("c-1", "c-2", "c-3"):
        await product.send(event("shop.hello", f"h-{key}", subject=key))
    await product.settle()
    assert [each for each in await product.inbox() if each["campaign"] == "hello"] == []


async def test_whoever_adds_an_address_does_not_learn_whether_somebody_has_it(product: Live) -> None:
    page = await CentrePage.open(product)
    await product.customer(customer("c-2", addresses=[{"channel": "sms", "address": NUMBER, "verified": True}]))
    assert "other customer" not in (await page.submit(action="add", channel="sms", text=NUMBER)).text


async def make_report(product: Live) -> Registry:
    """Makes the report as the job does; returns its metrics."""
    registry, database = Registry(), product.together.databases["preference"]
    erased = ErasedCustomers(b"address-key-of-the-tests")
    hygiene = AddressHygiene(database, product.clock, None, erased, HygieneMetrics(registry))
    await hygiene.make()
    await hygiene.make_if_due()
    return registry


def parts(report: dict[str, Any], channel: str, field: str) -> dict[str, Any]:
    (found,) = [each["findings"] for each in report["channels"] if each["channel"] == channel]
    return {each["finding"]: each[field] for each in found}


async def test_the_report_counts_and_names_some_to_whoever_may_see_them(product: Live) -> None:
    await with_a_shared_number(product)
    former = {"channel": "email", "address": "old@example.org", "verified": True, "former": "2026-01-01T00:00:00Z"}
    await product.customer(customer("c-4", addresses=[{"channel": "email", "address": "d@example.org"}]))
    await product.customer(customer("c-5", addresses=[former]))
    registry = await make_report(product)
    assert registry.get_sample_value("tactful_address_findings", {"channel": "sms", "finding": "shared"}) == 3
    found = await product.ask("GET", "/v1/reports/addresses")
    assert parts(found, "email", "customers") == {"unreachable": 1, "unverified": 1, "stale": 0, "shared": 0}
    assert parts(found, "sms", "customers") == {"unreachable": 0, "unverified": 0, "stale": 0, "shared": 3}
    assert parts(found, "email", "examples")["unreachable"] == ["c-5"]
    assert parts(found, "sms", "examples")["shared"] == ["c-1", "c-2", "c-3"]
    _, key = await api_keys.create_key(product.database, "ops", Role.OPERATOR, "tests", MONDAY)
    operator = await product.editor.get("/v1/reports/addresses", headers={"authorization": f"Bearer {key}"})
    assert set(parts(operator.json(), "sms", "examples").values()) == {None}


async def test_an_address_that_nobody_has_given_for_two_years_is_stale(product: Live) -> None:
    await product.at(MONDAY + 731 * DAY)
    await make_report(product)
    found = await product.ask("GET", "/v1/reports/addresses")
    assert parts(found, "email", "examples")["stale"] == ["c-1"]


async def test_an_erased_customer_is_no_example(product: Live) -> None:
    await with_a_shared_number(product)
    await make_report(product)
    await product.send(event("tactful.customer.erased", "gone", subject="c-2"))
    await product.settle()
    async with asyncio.timeout(30):
        while "c-2" in str(await product.ask("GET", "/v1/reports/addresses")):
            await asyncio.sleep(0.05)


async def test_a_shop_that_repeats_the_old_mailbox_does_not_bring_it_back(product: Live) -> None:
    added = await add(product)
    code = code_in(await ask(product, added["id"]))
    await product.ask("POST", f"{C}/{added['id']}/verification/code", {"code": code})
    repeated = [{"channel": "email", "address": OLD, "verified": True}]
    await product.at(MONDAY + HOUR)
    await product.send(event("tactful.customer.identified", "login", MONDAY + HOUR, addresses=repeated))
    assert await recipients(product, "e-1") == [NEW]
    newer = [{"channel": "email", "address": "third@example.org", "verified": True}]
    await product.send(event("tactful.customer.identified", "moved", MONDAY + HOUR, addresses=newer))
    assert await recipients(product, "e-2") == [NEW, "third@example.org"]
