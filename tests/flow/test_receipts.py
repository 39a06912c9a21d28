"""Receipts: what a provider says later about a message moves the message, its address and the log, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from schemas.message import HandoverResult, Message
from schemas.service_api import AddressLift, ProviderEntry
from schemas.times import MINUTE, SECOND, format_instant
from services.development.all_services import SERVICE_NAMES
from services.kit.errors import Permanent, Transient
from services.orchestrator.decisions.store import lock_ledgers
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.standard_webhooks import sign, signing_key
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from services.orchestrator.delivery.receipts import store
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from tests.flow.test_delivery import Provider
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.servers import Postgres
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired

NO_HEADERS: Mapping[str, str] = {}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, webhook=WebhookSettings(secret=SECRET)) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


async def sent(product: Live, name: str = "e-1", provider: Provider | None = None) -> str:
    """A message that the provider has taken; returns its id."""
    product.together.orchestrator.components.adapters.by_name["sandbox"] = provider or Provider()  # type: ignore[index]
    (decision,) = (await product.send(event("shop.offer", name)))["decisions"]
    await product.settle()
    return str(decision["message_id"])


def statement(message_id: str, kind: str, minutes: int = 1, **fields: Any) -> dict[str, Any]:
    return {"message_id": message_id, "kind": kind, "at": format_instant(MONDAY + minutes * MINUTE), **fields}


async def say(
    product: Live, *statements: dict[str, Any], age: int = 0, headers: Mapping[str, str] = NO_HEADERS
) -> httpx.Response:
    """Post these as the company's sender does. `age`: of its clock, in seconds."""
    body = json.dumps({"receipts": statements}).encode()
    seconds = product.clock.now() // SECOND - age
    signed = {
        "webhook-id": "rcp_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": sign(signing_key(SECRET), "rcp_1", seconds, body),
    }
    transport = httpx.ASGITransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as nobody:
        return await nobody.post("/v1/receipts/webhook", content=body, headers={**signed, **headers})


async def shown(product: Live, message_id: str) -> Any:
    return await product.ask("GET", f"/v1/messages/{message_id}")


async def entries(product: Live) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await product.ask("GET", "/v1/suppressions"))["items"]
    return found


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("bounced", "hard_bounce"), ("complained", "spam_complaint"), ("unsubscribed", "stop_keyword")],
)
async def test_what_forbids_the_next_message_does_so_before_the_answer(product: Live, kind: str, reason: str) -> None:
    message_id = await sent(product)
    answer = await say(product, statement(message_id, kind, permanent=kind == "bounced", detail="5.1.1"))
    assert (answer.status_code, answer.json()) == (200, {"new": 1, "repeated": 0, "unknown": 0})
    (entry,) = await entries(product)
    assert (entry["reason"], entry["scope"]["channel"], entry["source"]) == (reason, "email", f"webhook: {kind}")
    (decision,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
    assert decision["outcome"] == "suppress"


async def test_a_soft_bounce_and_a_delivery_forbid_nothing(product: Live) -> None:
    message_id = await sent(product)
    await say(product, statement(message_id, "delivered", minutes=-1), statement(message_id, "bounced", minutes=-2))
    assert await entries(product) == []
    found = await shown(product, message_id)
    assert [(each["kind"], each["permanent"]) for each in found["receipts"]] == [
        ("bounced", False),
        ("delivered", False),
    ]


async def test_a_statement_that_is_repeated_a_thousand_times_changes_one_thing(product: Live) -> None:
    message_id = await sent(product)
    bounce = statement(message_id, "bounced", permanent=True)
    assert (await say(product, *[bounce] * 500)).json() == {"new": 1, "repeated": 499, "unknown": 0}
    assert (await say(product, *[bounce] * 500)).json() == {"new": 0, "repeated": 500, "unknown": 0}
    assert len((await shown(product, message_id))["receipts"]) == len(await entries(product)) == 1


@pytest.mark.parametrize("order", [("delivered", "bounced", "complained"), ("complained", "bounced", "delivered")])
async def test_what_became_of_a_message_does_not_depend_on_the_order_of_arrival(
    product: Live, order: Sequence[str]
) -> None:
    message_id = await sent(product)
    assert (await shown(product, message_id))["delivery"] is None
    for kind in order:
        await say(product, statement(message_id, kind))
    assert (await shown(product, message_id))["delivery"] == "complained"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"webhook-signature": "v1,AAAA"}, 401),
        ({"webhook-signature": "v1,AAAA v1,BBBB v2,"}, 401),
        ({"webhook-timestamp": "1e9"}, 401),
        ({"webhook-id": "another"}, 401),
    ],
)
async def test_what_is_forged_changes_nothing(product: Live, how: dict[str, str], code: int) -> None:
    message_id = await sent(product)
    refused = await say(product, statement(message_id, "bounced", permanent=True), headers=how)
    assert (refused.status_code, refused.json()["code"]) == (code, "receipt_refused")
    assert (await shown(product, message_id))["receipts"] == await entries(product) == []


@pytest.mark.parametrize("age", [301, -301])
async def test_what_is_replayed_changes_nothing(product: Live, age: int) -> None:
    message_id = await sent(product)
    assert (await say(product, statement(message_id, "bounced", permanent=True), age=age)).status_code == 401
    assert await entries(product) == []


async def test_what_is_of_others_changes_nothing(product: Live) -> None:
    answer = await say(product, statement("msg_of_somebody", "bounced", permanent=True))
    assert answer.json() == {"new": 0, "repeated": 0, "unknown": 1}
    assert await entries(product) == []
    assert (await product.editor.post("/v1/receipts/nobody", content=b"{}")).status_code == 404
    assert (await product.editor.post("/v1/receipts/null", content=b"{}")).status_code == 404


@pytest.mark.parametrize("odd", ["a\0b", "", "x" * 5000, "msg 1", "ä"])
async def test_odd_ids_are_of_others_and_odd_details_are_left_out(product: Live, odd: str) -> None:
    message_id = await sent(product)
    answer = await say(product, statement(odd, "delivered"), statement(message_id, "delivered", detail=f"5.1.1 {odd}"))
    assert answer.status_code == 200
    (receipt,) = (await shown(product, message_id))["receipts"]
    assert receipt["detail"].startswith("5.1.1")
    assert "\0" not in receipt["detail"]
    assert len(receipt["detail"]) < 100


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"receipts": [{"message_id": "m", "kind": "lost", "at": "x"}]}'])
async def test_what_cannot_be_read_is_refused_once_it_is_known_who_sends_it(product: Live, body: bytes) -> None:
    seconds = product.clock.now() // SECOND
    headers = {
        "webhook-id": "a",
        "webhook-timestamp": str(seconds),
        "webhook-signature": sign(signing_key(SECRET), "a", seconds, body),
    }
    answer = await product.editor.post("/v1/receipts/webhook", content=body, headers=headers)
    assert answer.status_code == 400


async def test_a_receipt_settles_what_nobody_knew(product: Live) -> None:
    message_id = await sent(product, provider=Provider("unknown", idempotent=False))
    assert (await shown(product, message_id))["status"] == "unknown"
    await say(product, statement(message_id, "delivered"))
    assert (await shown(product, message_id))["status"] == "accepted"


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_receipt_that_comes_before_the_outcome_settles_it_too(product: Live, idempotent: bool) -> None:
    """The provider says so before the adapter has given up waiting for its answer: it is not sent again on a guess."""
    provider = Provider("unknown", idempotent=idempotent)
    provider.hold.clear()
    sending = asyncio.create_task(sent(product, provider=provider))
    async with asyncio.timeout(10):
        while not provider.taken:
            await asyncio.sleep(0.01)
    message_id = provider.taken[0].id
    assert (await shown(product, message_id))["status"] == "handing_over"
    await say(product, statement(message_id, "delivered"))
    provider.hold.set()
    assert await sending == message_id
    async with asyncio.timeout(10):
        while (message := await shown(product, message_id))["status"] == "handing_over":
            await asyncio.sleep(0.01)
    assert (message["status"], message["detail"]) == ("accepted", "known by its receipt")
    assert [each["outcome"] for each in message["attempts"]] == ["unknown"]
    assert [each["state"] for each in (await product.ask("GET", "/v1/contacts/c-1"))["contacts"]] == ["made"]
    assert len(provider.taken) == 1


@pytest.mark.integration
@pytest.mark.parametrize("outcome_first", [True, False])
async def test_a_receipt_and_an_outcome_at_once_settle_it_whoever_comes_first(
    tmp_path: Path, postgres_server: Postgres, outcome_first: bool
) -> None:
    """Both wait for the customer's ledger, which somebody holds, and get it in the order in which they came."""
    urls = {service: postgres_server.database() for service in SERVICE_NAMES}
    async with live(tmp_path, MONDAY, urls, webhook=WebhookSettings(secret=SECRET)) as product:
        await product.policy(policy())
        await product.campaign(campaign())
        await product.customer(customer())
        provider = Provider("unknown", idempotent=False)
        provider.hold.clear()
        sending = asyncio.create_task(sent(product, provider=provider))
        async with asyncio.timeout(20):
            while not provider.taken:
                await asyncio.sleep(0.01)
        message_id = provider.taken[0].id
        telling: list[asyncio.Task[httpx.Response]] = []

        def end_handover() -> None:
            provider.hold.set()

        def take_receipt() -> None:
            telling.append(asyncio.create_task(tell(product, message_id)))

        async with product.database.write() as tx:
            await lock_ledgers(tx, ["c-1"])
            for step in (end_handover, take_receipt) if outcome_first else (take_receipt, end_handover):
                step()
                await asyncio.sleep(1)
        assert (await telling[0]).json()["new"] == 1
        await sending
        async with asyncio.timeout(20):
            while (message := await shown(product, message_id))["status"] == "handing_over":
                await asyncio.sleep(0.01)
        assert message["status"] == "accepted"


async def tell(product: Live, message_id: str) -> httpx.Response:
    return await say(product, statement(message_id, "delivered"))


async def test_what_left_for_nobody_was_no_contact(product: Live) -> None:
    message_id = await sent(product)
    assert [each["state"] for each in (await product.ask("GET", "/v1/contacts/c-1"))["contacts"]] == ["made"]
    await say(product, statement(message_id, "failed"))
    assert (await product.ask("GET", "/v1/contacts/c-1"))["contacts"] == []
    assert (await shown(product, message_id))["delivery"] == "failed"


async def test_campaigns_can_listen_to_receipts(product: Live) -> None:
    listening = {**campaign(), "key": "after-bounce", "trigger": {"event": "tactful.message.bounced"}}
    listening |= {"class": "service", "channels": ["in_app"], "topic": None}
    listening["content"] = {"in_app": {"en": {"title": "Your address", "body": "{{ event.data.channel }}"}}}
    await product.campaign({name: value for name, value in listening.items() if value is not None})
    message_id = await sent(product)
    bounce = statement(message_id, "bounced", permanent=True)
    await say(product, bounce)
    await say(product, bounce)
    async with asyncio.timeout(30):
        while not (found := await product.decisions(campaign="after-bounce")):
            await asyncio.sleep(0.02)
            await product.settle()
    await product.settle()
    assert len(found) == len(await product.decisions(campaign="after-bounce")) == 1
    assert found[0]["event"]["source"] == "/tactful/receipts/webhook"


class DeadAddress(Provider):
    """A provider that knows at once that nobody is there."""

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        handed = await super().send_batch(messages, first_byte)
        return [msgspec.structs.replace(each, fault="address", detail="recipient 550 5.1.1") for each in handed]


async def test_an_address_that_is_refused_at_once_is_not_written_to_again(product: Live) -> None:
    message_id = await sent(product, provider=DeadAddress("rejected"))
    async with asyncio.timeout(30):
        while not (found := await entries(product)):
            await asyncio.sleep(0.02)
    assert [(each["reason"], each["source"]) for each in found] == [("hard_bounce", "sandbox: bounced")]
    message = await shown(product, message_id)
    assert (message["status"], message["delivery"]) == ("rejected", "bounced")
    (decision,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
    assert decision["outcome"] == "suppress"


class UnreachableSuppression:
    """Suppression while it cannot be asked; afterwards it is asked as ever."""

    def __init__(self, reached: Any) -> None:
        self.reached, self.is_down = reached, True
        self.failure: Transient | Permanent = Transient("suppression does not answer")

    async def add_entries(self, new: Sequence[ProviderEntry], added_by: str) -> None:
        if self.is_down:
            raise self.failure
        await self.reached.add_entries(new, added_by)

    async def lift_entries(
        self, lifts: Sequence[AddressLift], reason: str, added_by: str, only_then: bool = False
    ) -> None:
        raise AssertionError("no receipt of this adapter takes anything back")


async def test_while_suppression_cannot_be_asked_the_provider_is_told_to_come_again(product: Live) -> None:
    message_id = await sent(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableSuppression(components.suppression)
    components.receipt_intake._suppression = neighbour
    bounce = statement(message_id, "bounced", permanent=True)
    assert (await say(product, bounce)).status_code == 503
    assert await entries(product) == []
    neighbour.is_down = False
    assert isinstance(components.receipt_intake, ReceiptIntake)
    assert (await say(product, bounce)).json() == {"new": 0, "repeated": 1, "unknown": 0}
    assert [entry["reason"] for entry in await entries(product)] == ["hard_bounce"]


async def test_what_suppression_was_not_told_it_is_told_later_though_nobody_comes_again(product: Live) -> None:
    message_id = await sent(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableSuppression(components.suppression)
    components.receipt_intake._suppression = neighbour
    assert (await say(product, statement(message_id, "complained"))).status_code == 503
    neighbour.is_down = False
    async with asyncio.timeout(30):
        while not await entries(product):
            await asyncio.sleep(0.05)


async def test_a_suppression_service_that_refuses_entries_ends_nothing_and_holds_up_no_event(product: Live) -> None:
    """One of the version before has no such route."""
    message_id = await sent(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableSuppression(components.suppression)
    neighbour.failure = Permanent("suppression refused (404)")
    components.receipt_intake._suppression = neighbour
    refused = await say(product, statement(message_id, "complained"))
    assert (refused.status_code, refused.json()["code"]) == (503, "entries_refused")
    async with asyncio.timeout(30):
        while await unpublished(product):
            await asyncio.sleep(0.02)
    neighbour.is_down = False
    async with asyncio.timeout(30):
        while not await entries(product):
            await asyncio.sleep(0.05)


async def unpublished(product: Live) -> bool:
    async with product.database.read() as tx:
        return bool(await store.list_unpublished(tx, 1))


async def test_of_an_erased_customer_nothing_is_learned_any_more(product: Live) -> None:
    message_id = await sent(product)
    await say(product, statement(message_id, "delivered", detail="250 2.0.0"))
    await product.send(event("tactful.customer.erased", "erase"))
    async with asyncio.timeout(30):
        while (await shown(product, message_id))["customer"] == "c-1":
            await asyncio.sleep(0.05)
            await product.settle()
    answer = await say(product, statement(message_id, "bounced", permanent=True, minutes=9))
    assert answer.json() == {"new": 0, "repeated": 0, "unknown": 1}
    assert [(each["kind"], each["detail"]) for each in (await shown(product, message_id))["receipts"]] == [
        ("delivered", None)
    ]
