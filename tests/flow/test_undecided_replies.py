"""Replies that may be a STOP: messages wait until a person decides, and then what was decided takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from schemas.receipt import CustomerReply
from schemas.roles import Role
from schemas.service_api import ProviderEntry
from schemas.times import HOUR, MINUTE
from services.kit.errors import Permanent
from services.orchestrator.access import api_keys
from services.orchestrator.delivery.receipts import undecided_store
from services.orchestrator.delivery.receipts.undecided_gauges import undecided_check
from tests.flow.test_receipts import entries
from tests.flow.test_replies import (
    _OF_A_REPLY,
    OTHER_NUMBER,
    UnreachableList,
    by_sms,
    outcome_of_the_next,
    product,
    reply,
    sent,
    texter,
    urls,
)
from tests.orchestrator.delivery.adapters.test_twilio_receipts import NUMBER
from tests.support.document_builders import MONDAY, event
from tests.support.live_product import Live

__all__ = ["product", "urls"]
pytestmark = pytest.mark.wired


async def waiting(product: Live, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await product.ask("GET", "/v1/replies", params=params))["items"]
    return found


async def decide(product: Live, id: int, decision: str) -> httpx.Response:
    return await product.editor.post(f"/v1/replies/{id}/decision", json={"decision": decision})


async def state_of(product: Live, message_id: str) -> str:
    return str((await product.ask("GET", f"/v1/messages/{message_id}"))["status"])


async def held(product: Live, text: str = "please stop", sid: str = "1") -> tuple[int, str]:
    """A text was taken, this came back, and a message waits because of it; the reply's id, and the message's."""
    await sent(product)
    assert (await reply(product, text, sid=sid)).status_code == 200
    (decision,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
    assert (decision["outcome"], decision["reason"]) == ("defer", "undecided_reply")
    (found,) = await waiting(product)
    return int(found["id"]), str(decision["message_id"])


async def test_while_nobody_has_decided_only_transactional_messages_go(product: Live) -> None:
    await product.campaign({**by_sms("account"), "class": "transactional", "intent": "inform", "topic": "account"})
    tips = {**by_sms("tips"), "class": "service"}
    await product.campaign({name: value for name, value in tips.items() if name != "topic"})
    id, message_id = await held(product)
    (entry,) = await entries(product)
    assert (entry["reason"], entry["source"]) == ("undecided_reply", f"twilio: reply {id}")
    assert entry["scope"] == {"channel": "sms", "classes": ["marketing", "service"]}
    (decision,) = (await product.send(event("shop.tips", "e-3")))["decisions"]
    assert decision["outcome"] == "defer"
    (decision,) = (await product.send(event("shop.account", "e-4")))["decisions"]
    assert decision["outcome"] == "send"
    await product.at(MONDAY + 5 * HOUR)  # it has been looked at again meanwhile, and waits still
    await product.settle()
    assert await state_of(product, message_id) == "parked"


async def test_what_is_no_stop_lets_go_on_what_waits(product: Live) -> None:
    id, message_id = await held(product)
    answer = (await decide(product, id, "not_stop")).json()
    assert (answer["state"], answer["decided_by"], answer["text"]) == ("not_stop", "admin", None)
    assert await entries(product) == []
    await product.settle()
    assert await state_of(product, message_id) == "accepted"
    assert await waiting(product) == []
    assert [each["id"] for each in await waiting(product, state="not_stop")] == [id]


async def test_what_is_a_stop_becomes_an_entry_like_that_of_stop(product: Live) -> None:
    id, message_id = await held(product)
    assert (await decide(product, id, "stop")).status_code == 200
    (entry,) = await entries(product)
    assert (entry["reason"], entry["scope"]) == ("stop_keyword", {"channel": "sms"})
    assert entry["source"] == f"twilio: reply {id}, a stop by the word of admin"
    await product.settle()
    assert await state_of(product, message_id) == "suppressed"
    assert await outcome_of_the_next(product, "e-5") == "suppress"
    await reply(product, "START", sid="2")  # what a person took for a STOP, the customer takes back as one
    assert await entries(product) == []


async def test_a_decision_is_made_once(product: Live) -> None:
    id, _ = await held(product)
    assert (await decide(product, id, "stop")).status_code == 200
    again = await decide(product, id, "stop")
    assert again.status_code == 200
    other = await decide(product, id, "not_stop")
    assert (other.status_code, other.json()["code"]) == (409, "decided_otherwise")
    assert "admin" in other.json()["detail"]
    assert (await decide(product, 999, "stop")).status_code == 404
    assert (await decide(product, 2**70, "stop")).status_code == 422
    assert (await decide(product, id, "perhaps")).status_code == 422
    assert len(await entries(product)) == 1


async def test_each_reply_is_decided_by_itself(product: Live) -> None:
    await sent(product)
    for number in ("1", "2"):
        await reply(product, f"please stop {number}", sid=number)
    await reply(product, "please stop 1", sid="1")  # repeated
    first, second = await waiting(product)
    assert [first["text"], second["text"]] == ["please stop 1", "please stop 2"]
    await decide(product, second["id"], "not_stop")
    assert [entry["source"] for entry in await entries(product)] == [f"twilio: reply {first['id']}"]
    assert await outcome_of_the_next(product) == "defer"
    await decide(product, first["id"], "not_stop")
    assert await entries(product) == []


@pytest.mark.parametrize(("word", "state", "left"), [("STOP", "stop", ["stop_keyword"]), ("START", "not_stop", [])])
async def test_a_plain_word_decides_what_came_before(product: Live, word: str, state: str, left: list[str]) -> None:
    _, message_id = await held(product)
    await reply(product, word, sid="2")
    assert [entry["reason"] for entry in await entries(product)] == left
    (found,) = await waiting(product, state="all")
    assert (found["state"], found["decided_by"], found["text"]) == (state, "the customer", None)
    await product.settle()
    assert await state_of(product, message_id) == ("suppressed" if left else "accepted")


async def test_it_concerns_one_number_alone(product: Live) -> None:
    await product.customer(texter("c-2", OTHER_NUMBER))
    await held(product)
    assert await outcome_of_the_next(product, "e-6", subject="c-2") == "send"


async def test_another_customer_with_the_number_waits_as_well_and_goes_on_within_hours(product: Live) -> None:
    await product.customer(texter("c-3"))
    id, _ = await held(product)
    (decision,) = (await product.send(event("shop.offer", "e-7", subject="c-3")))["decisions"]
    assert decision["outcome"] == "defer"
    await decide(product, id, "not_stop")
    await product.at(MONDAY + 4 * HOUR + MINUTE)
    await product.settle()
    assert await state_of(product, decision["message_id"]) == "accepted"


async def test_what_the_list_could_not_be_told_it_is_told_later(product: Live) -> None:
    id, message_id = await held(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableList(components.suppression)
    components.receipt_intake.reply_decisions._suppression = neighbour
    assert (await decide(product, id, "not_stop")).status_code == 503
    assert (await waiting(product, state="not_stop"))[0]["decided_by"] == "admin"
    assert len(await entries(product)) == 1
    neighbour.is_down = False
    async with asyncio.timeout(30):
        while await entries(product):
            await asyncio.sleep(0.05)
    async with asyncio.timeout(30):
        while await state_of(product, message_id) != "accepted":
            await product.settle()
            await asyncio.sleep(0.05)


async def test_the_provider_is_answered_only_once_it_is_held(product: Live) -> None:
    await sent(product)
    components = product.together.orchestrator.components
    neighbour = UnreachableList(components.suppression)
    components.receipt_intake.reply_decisions._suppression = neighbour
    assert (await reply(product, "please stop")).status_code == 503
    (found,) = await waiting(product)
    assert (await decide(product, found["id"], "stop")).status_code == 503
    assert (await waiting(product))[0]["state"] == "undecided"  # its entry could come after the decision
    neighbour.is_down = False
    assert (await reply(product, "please stop")).status_code == 200
    assert [entry["reason"] for entry in await entries(product)] == ["undecided_reply"]


class SlowList(UnreachableList):
    """The do-not-contact list that takes the first entry only when it is let."""

    def __init__(self, reached: Any) -> None:
        super().__init__(reached)
        self.is_down = False
        self.begun, self.let = asyncio.Event(), asyncio.Event()

    async def add_entries(self, new: Sequence[ProviderEntry], added_by: str) -> None:
        if not self.begun.is_set():
            self.begun.set()
            await self.let.wait()
        await super().add_entries(new, added_by)


async def test_an_entry_that_comes_after_the_decision_does_not_stay(product: Live) -> None:
    await sent(product)
    components = product.together.orchestrator.components
    decisions = components.receipt_intake.reply_decisions
    decisions._suppression = UnreachableList(components.suppression)
    await reply(product, "please stop")
    async with product.database.read() as tx:
        (row,) = await undecided_store.list_owed(tx, 10)
    decisions._suppression = slow = SlowList(components.suppression)
    late = asyncio.create_task(decisions.carry_out([row]))
    await slow.begun.wait()
    assert (await decide(product, row.seq, "not_stop")).status_code == 200
    slow.let.set()
    await late
    assert await entries(product) == []


async def test_who_may_not_see_customers_data_sees_no_text_and_only_some_decide(product: Live) -> None:
    id, _ = await held(product)
    seen: dict[str, Any] = {}
    for role in Role:
        _, key = await api_keys.create_key(product.database, f"a-{role}", role, "tests", MONDAY)
        headers = {"authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(product.together.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://tactful", headers=headers) as client:
            answer = await client.get("/v1/replies")
            text = answer.json()["items"][0]["text"] if answer.status_code == 200 else None
            refused = await client.post(f"/v1/replies/{id}/decision", json={"decision": "other"})
            seen[role.value] = (answer.status_code, text, refused.status_code)
    readers = {role: each for role, each in seen.items() if each[0] == 200}
    assert readers == {
        "agent": (200, "please stop", 422),
        "operator": (200, None, 403),
        "privacy": (200, "please stop", 422),
        "auditor": (200, "please stop", 403),
        "admin": (200, "please stop", 422),
    }
    assert all(each[2] == 403 for role, each in seen.items() if role not in readers)


async def test_how_much_waits_is_measured(product: Live) -> None:
    id, _ = await held(product)
    components = product.together.orchestrator.components
    check = undecided_check(components.database, components.receipt_metrics)

    def value(name: str) -> float | None:
        return components.registry.get_sample_value(f"tactful_{name}")

    await check()
    assert value("undecided_replies") == 1
    assert value("undecided_reply_oldest_timestamp_seconds") == pytest.approx(product.clock.now() / 1e6, abs=60)
    await decide(product, id, "stop")
    await check()
    assert (value("undecided_replies"), value("undecided_reply_oldest_timestamp_seconds")) == (0, 0)


async def test_who_stops_advertising_alone_has_not_said_what_they_meant_before(product: Live) -> None:
    id, _ = await held(product)
    intake = product.together.orchestrator.components.receipt_intake
    await intake.take("twilio", [CustomerReply("twilio:2", "sms", NUMBER, "", MONDAY, "stop_advertising")])
    assert [each["id"] for each in await waiting(product)] == [id]
    assert {entry["reason"] for entry in await entries(product)} == {"undecided_reply", "stop_keyword"}


@pytest.mark.parametrize(("text", "minutes", "left"), [("START", -1, 1), ("START", 1, 0), ("STOP", -1, 0)])
async def test_a_start_says_nothing_of_what_was_written_after_it(
    product: Live, text: str, minutes: int, left: int
) -> None:
    await held(product)
    await product.at(MONDAY + HOUR)
    intake = product.together.orchestrator.components.receipt_intake
    await intake.take("twilio", [CustomerReply("twilio:2", "sms", NUMBER, text, MONDAY + minutes * MINUTE)])
    assert len(await waiting(product)) == left


async def test_a_stop_closes_many_replies_with_one_question(product: Live) -> None:
    await sent(product)
    intake = product.together.orchestrator.components.receipt_intake
    near = [CustomerReply(f"twilio:{each}", "sms", NUMBER, "please stop", MONDAY) for each in range(250)]
    decisions = intake.reply_decisions
    decisions._suppression = asked = UnreachableList(product.together.orchestrator.components.suppression)
    asked.is_down, asked.only_replies = False, True  # the relay would tell the same beside us
    _OF_A_REPLY.set(True)
    await intake.take("twilio", near)
    assert asked.done == ["add", "add"]
    assert len(await waiting(product, limit="200")) == 200
    await intake.take("twilio", [CustomerReply("twilio:stop", "sms", NUMBER, "STOP", MONDAY)])
    assert asked.done == ["add", "add", "lift", "lift"]
    assert [entry["reason"] for entry in await entries(product)] == ["stop_keyword"]


class ParticularList(UnreachableList):
    """A do-not-contact list that never takes the entries of one address."""

    def __init__(self, reached: Any, refused: str) -> None:
        super().__init__(reached)
        self.address = refused

    async def add_entries(self, new: Sequence[ProviderEntry], added_by: str) -> None:
        if not self.is_down and any(each.address == self.address for each in new):
            self.refused += 1
            raise Permanent("this cannot be an entry")
        await super().add_entries(new, added_by)


async def test_an_entry_that_is_refused_holds_back_no_other_and_no_hold(product: Live) -> None:
    await sent(product)
    components = product.together.orchestrator.components
    particular = ParticularList(components.suppression, OTHER_NUMBER)
    components.receipt_intake._suppression = particular
    components.receipt_intake.reply_decisions._suppression = particular
    assert (await reply(product, "STOP", OTHER_NUMBER, sid="1")).status_code == 503
    assert (await reply(product, "STOP", sid="2")).status_code == 503
    assert (await reply(product, "please stop", sid="3")).status_code == 503
    particular.is_down = False
    assert (await reply(product, "STOP", OTHER_NUMBER, sid="1")).json()["code"] == "entries_refused"
    async with asyncio.timeout(30):
        while {entry["reason"] for entry in await entries(product)} != {"stop_keyword", "undecided_reply"}:
            await asyncio.sleep(0.05)
    assert {entry["address_masked"] for entry in await entries(product)} == {"***78"}


async def test_a_hold_is_lifted_only_once_the_stop_that_replaces_it_is_made(product: Live) -> None:
    await held(product)
    components = product.together.orchestrator.components
    particular = ParticularList(components.suppression, NUMBER)
    components.receipt_intake._suppression, particular.is_down = particular, False
    assert (await reply(product, "STOP", sid="2")).json()["code"] == "entries_refused"
    seen = particular.refused
    async with asyncio.timeout(30):
        while particular.refused < seen + 4:  # the relay has tried, in several rounds
            await asyncio.sleep(0.05)
            await product.settle()
    assert [entry["reason"] for entry in await entries(product)] == ["undecided_reply"]
    particular.address = ""
    async with asyncio.timeout(30):
        while [entry["reason"] for entry in await entries(product)] != ["stop_keyword"]:
            await asyncio.sleep(0.05)
