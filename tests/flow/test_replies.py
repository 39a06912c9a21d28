"""What customers answer by SMS: STOP forbids before the answer, START takes back what STOP made, the rest is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from schemas.message import HandoverResult, Message
from schemas.service_api import AddressLift, ProviderEntry
from schemas.times import MINUTE
from services.clients.opt_out_barrier import OptOutBarrier
from services.development.all_services import SERVICE_NAMES
from services.kit.errors import Transient
from services.orchestrator.decisions.store import ERASED_SOURCE, lock_ledgers
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.twilio.declaration import TwilioSettings
from services.orchestrator.delivery.open_attempts import OpenAttemptsReader
from services.orchestrator.delivery.receipts import intake, store
from tests.flow.test_delivery import Provider
from tests.flow.test_receipts import entries, shown
from tests.orchestrator.delivery.adapters.test_twilio_receipts import NUMBER, TOKEN, URL, inbound, signed, status
from tests.support.api_contract import ContractTransport
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

SETTINGS = TwilioSettings(key=SecretStr(TOKEN), receipts_url=URL, account_sid="AC" + "0" * 32, sender="+4915199999999")
OTHER_NUMBER = "+4915187654321"
GRANTED = {"channel": "sms", "topic": "news", "status": "granted", "at": "2026-01-01T00:00:00Z", "source": "shop"}


def by_sms(key: str = "offer", **changes: Any) -> dict[str, Any]:
    return campaign(key, channels=["sms"], content={"sms": {"en": {"text": "Hi {{ customer.id }}"}}}, **changes)


def texter(key: str = "c-1", number: str = NUMBER) -> dict[str, Any]:
    address = {"channel": "sms", "address": number, "verified": True}
    return customer(key, addresses=[address], consent=[{**GRANTED, "wording": "texts-1"}])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """The databases of the three services, once of each dialect."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {service: server.database() for service in SERVICE_NAMES}


@pytest.fixture
async def product(tmp_path: Path, urls: dict[str, str] | None) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, urls, adapters={"sms": "twilio"}, twilio=SETTINGS) as running:
        await running.policy(policy())
        await running.campaign(by_sms())
        await running.customer(texter())
        yield running


async def sent(product: Live, name: str = "e-1", provider: Provider | None = None, subject: str = "c-1") -> str:
    """A text that the provider has taken; returns the message's id."""
    product.together.orchestrator.components.adapters.by_name["twilio"] = provider or Provider()  # type: ignore[index]
    decision, *_ = (await product.send(event("shop.offer", name, subject=subject)))["decisions"]  # a refusal adds one
    await product.settle()
    return str(decision["message_id"])


async def post(product: Live, form: dict[str, str], query: str = "") -> httpx.Response:
    """Post it as Twilio does, which has no key of ours."""
    request = signed(form, query)
    transport = ContractTransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as twilio:
        headers = {**request.headers, "content-type": "application/x-www-form-urlencoded"}
        path = "/v1/receipts/twilio" + (f"?{query}" if query else "")
        return await twilio.post(path, content=request.body, headers=headers)


async def reply(product: Live, text: str, number: str = NUMBER, sid: str = "1") -> httpx.Response:
    """The customer writes this."""
    return await post(product, inbound(text, From=number, MessageSid=f"SM{sid:0>32}"))


async def outcome_of_the_next(product: Live, name: str = "e-2", **fields: Any) -> str:
    (decision,) = (await product.send(event("shop.offer", name, **fields)))["decisions"]
    return str(decision["outcome"])


async def decided(product: Live, key: str) -> list[dict[str, Any]]:
    """The decisions of a campaign that listens, once there are some."""
    async with asyncio.timeout(30):
        while not (found := await product.decisions(campaign=key)):
            await asyncio.sleep(0.02)
            await product.settle()
    return found


def listening(kind: str, text: str) -> dict[str, Any]:
    """A campaign that puts what it hears into the app."""
    heard = {**campaign("heard"), "trigger": {"event": f"tactful.message.{kind}"}, "class": "service"}
    heard |= {"channels": ["in_app"], "content": {"in_app": {"en": {"title": "Heard", "body": text}}}}
    return {name: value for name, value in heard.items() if name != "topic"}


@pytest.mark.parametrize("text", ["STOP", " stop!\n", "Abmelden", "ARRÊT", "baja"])
async def test_stop_forbids_the_next_text_before_the_answer(product: Live, text: str) -> None:
    message_id = await sent(product)
    answer = await reply(product, text)
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert answer.headers["content-type"].startswith("text/xml")
    (entry,) = await entries(product)
    assert (entry["reason"], entry["source"], entry["scope"]) == (
        "stop_keyword",
        "twilio: unsubscribed",
        {"channel": "sms"},
    )
    assert "customer" not in entry
    assert entry["address_masked"] == "***78"
    assert await outcome_of_the_next(product) == "suppress"
    assert [each["kind"] for each in (await shown(product, message_id))["receipts"]] == ["unsubscribed"]


async def test_stop_covers_every_class(product: Live) -> None:
    await product.campaign({**by_sms("account"), "class": "transactional", "intent": "inform", "topic": "account"})
    await sent(product)
    await reply(product, "STOP")
    (decision,) = (await product.send(event("shop.account", "e-3")))["decisions"]
    assert (decision["outcome"], decision["reason"]) == ("suppress", "suppression_list")


async def test_stop_from_a_number_that_nothing_went_to_counts_all_the_same(product: Live) -> None:
    assert (await reply(product, "STOP", number=OTHER_NUMBER)).status_code == 200
    assert [each["reason"] for each in await entries(product)] == ["stop_keyword"]
    await product.customer(texter("c-2", OTHER_NUMBER))
    assert await outcome_of_the_next(product, subject="c-2") == "suppress"
    async with product.database.read() as tx:
        (row,) = await tx.rows("SELECT address, text, published, suppresses FROM receipt")
    assert tuple(row) == (None, None, 1, None)


async def test_start_takes_back_what_stop_made(product: Live) -> None:
    await sent(product)
    await reply(product, "STOP", sid="1")
    assert (await reply(product, "START", sid="2")).status_code == 200
    assert await entries(product) == []
    assert await outcome_of_the_next(product) == "send"
    await reply(product, "STOP", sid="1")  # Twilio repeats it: it was taken before
    assert await entries(product) == []
    await reply(product, "STOP", sid="3")
    assert len(await entries(product)) == 1


@pytest.mark.parametrize(
    "made",
    [
        {"reason": "stop_keyword", "scope": {"channel": "sms"}},
        {"reason": "hard_bounce", "scope": {"channel": "sms"}},
        {"reason": "legal"},
    ],
)
async def test_start_takes_back_nothing_else(product: Live, made: dict[str, Any]) -> None:
    await sent(product)
    await product.ask("POST", "/v1/suppressions", {"address": NUMBER, **made})
    before = await entries(product)
    await reply(product, "STOP", sid="1")
    await reply(product, "START", sid="2")
    assert await entries(product) == before
    assert await outcome_of_the_next(product) == "suppress"


async def test_start_concerns_one_number_alone(product: Live) -> None:
    await reply(product, "STOP", number=OTHER_NUMBER, sid="1")
    await reply(product, "START", sid="2")
    assert len(await entries(product)) == 1


async def test_start_does_not_wake_the_dead(product: Live) -> None:
    message_id = await sent(product)
    await post(product, status("undelivered", "30005"), f"tactful_message={message_id}")
    await reply(product, "START")
    assert [each["reason"] for each in await entries(product)] == ["hard_bounce"]


@pytest.mark.parametrize(
    ("text", "asked"), [("See you at 8, größte Freude 😀", None), ("please stop", "maybe_stop"), ("HELP", "help")]
)
async def test_other_replies_are_published_once(product: Live, text: str, asked: str | None) -> None:
    await product.campaign(listening("replied", "{{ event.data.text }} {{ event.data.detail | default: 'none' }}"))
    message_id = await sent(product)
    await reply(product, text)
    await reply(product, text)
    (decision,) = await decided(product, "heard")
    assert decision["customer"] == "c-1"
    await product.settle()
    (shown_in_app,) = await product.inbox(channel="in_app")
    assert shown_in_app["content"]["body"] == f"{text} {asked or 'none'}"
    held = ["undecided_reply"] if asked == "maybe_stop" else []
    assert [entry["reason"] for entry in await entries(product)] == held
    (receipt,) = (await shown(product, message_id))["receipts"]
    assert (receipt["kind"], receipt["detail"]) == ("replied", asked)
    async with product.database.read() as tx:
        (row,) = await tx.rows("SELECT text FROM receipt WHERE published = 1")
    assert row.text is None


async def test_characters_that_no_database_keeps_are_left_out(product: Live) -> None:
    await product.campaign(listening("replied", "{{ event.data.text }}"))
    await sent(product)
    assert (await reply(product, "odd\x00 \x1btext\n2")).status_code == 200
    await decided(product, "heard")
    await product.settle()
    (heard,) = await product.inbox(channel="in_app")
    assert heard["content"]["body"] == "odd text\n2"


async def test_a_reply_belongs_to_the_last_text_that_went_there(product: Live) -> None:
    first = await sent(product, "e-1")
    await product.at(MONDAY + MINUTE)
    last = await sent(product, "e-2")
    await reply(product, "Thanks")
    assert (await shown(product, first))["receipts"] == []
    assert [each["kind"] for each in (await shown(product, last))["receipts"]] == ["replied"]


async def test_the_text_that_a_reply_belongs_to_is_found_by_an_index(product: Live) -> None:
    async with product.database.write() as tx:
        if tx.dialect == "postgresql":
            await tx.execute("SET LOCAL enable_seqscan = off")
            await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        explain = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
        plan = await tx.rows(explain + store.LAST_MESSAGE.format(channel="sms"), address=NUMBER, erased=ERASED_SOURCE)
    assert "message_sms_address" in str(plan)


async def test_a_reply_from_a_stranger_changes_nothing(product: Live) -> None:
    await sent(product)
    assert (await reply(product, "Hello?", number=OTHER_NUMBER)).status_code == 200
    async with product.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM receipt") == []


async def test_what_is_forged_stops_nobody(product: Live) -> None:
    await sent(product)
    request = signed(inbound("STOP"), "", token="another-token-of-somebody")
    answer = await product.editor.post(
        "/v1/receipts/twilio",
        content=request.body,
        headers={**request.headers, "content-type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "receipt_refused")
    assert await entries(product) == []


async def test_no_log_holds_what_a_customer_writes(product: Live, capfd: pytest.CaptureFixture[str]) -> None:
    await product.campaign(listening("replied", "{{ event.data.text }}"))
    await sent(product)
    await reply(product, "canary-of-the-reply")
    await decided(product, "heard")
    written = "".join(capfd.readouterr())
    assert "canary-of-the-reply" not in written
    assert NUMBER not in written


_OF_A_REPLY: ContextVar[bool] = ContextVar("of_a_reply", default=False)


class UnreachableList:
    """The do-not-contact list while it cannot be asked; afterwards it is asked as ever. `only_replies`: the relay still
    cannot ask it.
    """

    def __init__(self, reached: Any) -> None:
        self.reached, self.is_down, self.only_replies = reached, True, False
        self.done: list[str] = []
        self.refused = 0

    async def add_entries(self, new: Sequence[ProviderEntry], added_by: str) -> None:
        await self._call("add", lambda: self.reached.add_entries(new, added_by))

    async def lift_entries(
        self, lifts: Sequence[AddressLift], reason: str, added_by: str, only_then: bool = False
    ) -> None:
        await self._call("lift", lambda: self.reached.lift_entries(lifts, reason, added_by, only_then))

    async def _call(self, what: str, ask: Callable[[], Any]) -> None:
        if self.is_down or (self.only_replies and not _OF_A_REPLY.get()):
            self.refused += 1
            raise Transient("suppression does not answer")
        self.done.append(what)
        await ask()


async def begun(product: Live) -> Provider:
    """A provider that has begun to take a second text, and does not come to an end."""
    await sent(product)
    provider = Provider()
    provider.hold.clear()
    product.together.orchestrator.components.adapters.by_name["twilio"] = provider  # type: ignore[index]
    await product.send(event("shop.offer", "e-2"))
    async with asyncio.timeout(30):
        while not provider.taken:
            await asyncio.sleep(0.02)
    return provider


@pytest.mark.parametrize("text", ["STOP", "please stop"])
async def test_the_answer_waits_for_a_handover_that_had_begun(product: Live, text: str) -> None:
    provider = await begun(product)
    answering = asyncio.create_task(reply(product, text))
    async with asyncio.timeout(30):
        while not await entries(product):
            await asyncio.sleep(0.02)
    done, _ = await asyncio.wait([answering], timeout=0.5)
    assert not done, "it is forbidden by now, but what had begun may still start"
    provider.hold.set()
    assert (await answering).status_code == 200


async def test_the_answer_does_not_wait_for_ever(product: Live, caplog: pytest.LogCaptureFixture) -> None:
    provider = await begun(product)
    attempts = OpenAttemptsReader(product.database)
    product.together.orchestrator.components.receipt_intake._barrier = OptOutBarrier(attempts, wait=0.1)
    assert (await reply(product, "STOP")).status_code == 200
    assert [entry["reason"] for entry in await entries(product)] == ["stop_keyword"]
    assert "receipt_not_enforced" in caplog.text
    provider.hold.set()


@pytest.mark.parametrize(("words", "left"), [(["STOP", "START"], 0), (["STOP", "START", "stop"], 1)])
async def test_what_could_not_be_done_at_once_is_done_in_order_though_twilio_does_not_repeat_it(
    product: Live, words: list[str], left: int
) -> None:
    await sent(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableList(components.suppression)
    components.receipt_intake._suppression = neighbour
    for number, word in enumerate(words):
        assert (await reply(product, word, sid=str(number))).status_code == 503
    neighbour.is_down = False
    async with asyncio.timeout(30):
        while await owed(product):
            await asyncio.sleep(0.05)
    assert len(await entries(product)) == left


async def test_start_takes_back_a_stop_that_could_not_be_kept_to_yet(product: Live) -> None:
    await sent(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableList(components.suppression)
    components.receipt_intake._suppression = neighbour
    assert (await reply(product, "STOP", sid="1")).status_code == 503
    async with asyncio.timeout(30):
        while neighbour.refused < 2:  # the relay has tried as well, and waits now
            await asyncio.sleep(0.02)
    # What the relay had begun could come after START, and the entry would stay: then silence is kept to.
    neighbour.is_down, neighbour.only_replies = False, True
    _OF_A_REPLY.set(True)
    assert (await reply(product, "START", sid="2")).status_code == 200
    assert neighbour.done == ["add", "lift"]
    neighbour.only_replies = False
    async with asyncio.timeout(30):
        while await owed(product):
            await asyncio.sleep(0.05)
    assert await entries(product) == []


async def test_start_takes_back_its_stop_however_much_else_is_owed(
    product: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "ENTRIES_AT_ONCE", 1)
    await reply(product, "STOP", sid="1")
    components = product.together.orchestrator.components
    components.receipt_intake._suppression = neighbour = UnreachableList(components.suppression)
    assert (await reply(product, "STOP", OTHER_NUMBER, sid="2")).status_code == 503
    neighbour.is_down, neighbour.only_replies = False, True
    _OF_A_REPLY.set(True)
    assert (await reply(product, "START", sid="3")).status_code == 200
    assert [entry["address_masked"] for entry in await entries(product)] == ["***21"]


async def test_a_reply_is_kept_under_the_lock_of_its_customer(product: Live) -> None:
    await sent(product)
    async with product.database.write() as tx:
        await lock_ledgers(tx, ["c-1"])
        taken = asyncio.create_task(reply(product, "Thanks"))
        _, waits = await asyncio.wait([taken], timeout=1)
        assert waits
    assert (await taken).status_code == 200


async def owed(product: Live) -> bool:
    async with product.database.read() as tx:
        return bool(await tx.rows("SELECT 1 FROM receipt WHERE suppresses IS NOT NULL"))


class OptedOut(Provider):
    """A provider to which the customer has sent STOP before."""

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        await super().send_batch(messages, first_byte)
        return [
            HandoverResult(each.id, "rejected", detail="status 400, 21610", fault="unsubscribed") for each in messages
        ]


async def test_a_number_that_the_provider_knows_to_be_opted_out_is_not_written_to_again(product: Live) -> None:
    message_id = await sent(product, provider=OptedOut())
    async with asyncio.timeout(30):
        while not (found := await entries(product)):
            await asyncio.sleep(0.02)
    assert [(each["reason"], each["scope"]) for each in found] == [("stop_keyword", {"channel": "sms"})]
    message = await shown(product, message_id)
    assert (message["status"], message["delivery"]) == ("rejected", None)
    assert [(each["kind"], each["permanent"]) for each in message["receipts"]] == [("unsubscribed", False)]
    assert await outcome_of_the_next(product) == "suppress"


async def test_a_status_of_a_dead_number_forbids_the_next_text(product: Live) -> None:
    message_id = await sent(product)
    answer = await post(product, status("undelivered", "30005"), f"tactful_message={message_id}")
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert (await shown(product, message_id))["delivery"] == "bounced"
    assert await outcome_of_the_next(product) == "suppress"


async def test_of_an_erased_customer_no_reply_is_kept(product: Live) -> None:
    message_id = await sent(product)
    await product.send(event("tactful.customer.erased", "erase"))
    async with asyncio.timeout(30):
        while (await shown(product, message_id))["customer"] == "c-1":
            await asyncio.sleep(0.05)
            await product.settle()
    await reply(product, "Who are you?")
    async with product.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM receipt") == []


async def test_a_preview_says_what_a_text_costs(tmp_path: Path) -> None:
    prices = {"currency": "EUR", "per_part": {"DE": 0.075, "*": 0.1}}
    async with live(tmp_path, MONDAY, region="FR", sms={"prices": json.dumps(prices)}) as product:
        await product.policy(policy())
        await product.customer(texter())
        asked = {"campaign": by_sms(), "customer": "c-1"}
        (item,) = (await product.ask("POST", "/v1/preview", asked))["items"]
        assert item["facts"] == {
            "encoding": "gsm-7",
            "parts": 1,
            "outside_gsm": "",
            "cost": "0.075 EUR",
            "cost_of": "1 part to DE",
        }
        (item,) = (await product.ask("POST", "/v1/preview", {**asked, "sample": {"traits": {}}}))["items"]
        assert (item["facts"]["cost"], item["facts"]["cost_of"]) == ("0.1 EUR", "1 part to FR")
