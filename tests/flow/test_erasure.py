"""Erasure: nothing of the customer is found in any table of any database, nothing is sent, nothing new is taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.message import HandoverResult
from schemas.times import DAY, HOUR, format_instant
from services.development.all_services import SERVICE_NAMES
from services.orchestrator.decisions.evaluation import EvaluationRequest
from services.orchestrator.decisions.stored_trigger import StoredMessage
from services.orchestrator.delivery.attempts import AttemptResult
from tests.support.centre_form import press
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.erased_person import (
    ADA,
    CASE,
    COMPLAINT,
    HTML,
    MAIL,
    NAME,
    OLD_MAIL,
    ORDER,
    PHONE,
    PLANTED,
    REASON,
    erase,
    fill,
    fill_newest,
    finished,
    found_in_databases,
    found_in_log,
    of,
    person,
    publish,
)
from tests.support.handovers import report
from tests.support.live_product import CLOUD_EVENT, Live, live
from tests.support.plain_text_search import find_in_bytes

pytestmark = pytest.mark.wired


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def urls(request: pytest.FixtureRequest) -> dict[str, str] | None:
    """The databases of the three services, once of each dialect."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_server")
    return {service: server.database() for service in SERVICE_NAMES}


@pytest.fixture
async def product(tmp_path: Path, urls: dict[str, str] | None) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY, urls, region="DE") as running:
        await running.policy(policy(situations=[COMPLAINT], frequency_caps=[]))
        words = {"subject": "{{ customer.traits.name }}", "html": HTML}
        await running.campaign(campaign(content={"email": {"en": words}}))
        await running.campaign(campaign("later", content={"email": {"en": words}}))
        yield running


async def test_nothing_of_an_erased_customer_is_in_any_table_or_file(
    tmp_path: Path, product: Live, urls: dict[str, str] | None
) -> None:
    await fill(product)
    await fill_newest(product)
    before = await found_in_databases(product)
    tables = {(service, table) for service, table, _, _ in before}
    assert len(tables) >= 24, sorted(tables)
    assert {text for *_, text in before} == set(PLANTED), "each is somewhere, or the search would find nothing"

    shown = await erase(product)
    assert {name for name, each in shown["services"].items() if each["state"] == "finished"} == set(SERVICE_NAMES)
    assert await found_in_databases(product) == set()
    assert await found_in_log(tmp_path) == set()
    if urls is None:
        assert find_in_bytes(tmp_path.glob("*.db*"), PLANTED) == set()


async def test_nothing_typed_on_entries_of_the_addresses_alone_is_left(product: Live) -> None:
    await fill(product)
    entry = {"address": PHONE, "scope": {"channel": "sms"}, "reason": "manual", "source": REASON, "note": REASON}
    listed = await product.ask("POST", "/v1/suppressions", entry)
    asked_for = await product.editor.request("DELETE", f"/v1/suppressions/{listed['id']}", json={"reason": REASON})
    assert asked_for.status_code == 202, asked_for.text
    found = {table for _, table, _, _ in await found_in_databases(product)}
    assert {"suppression_entry", "removal_request"} <= found
    await erase(product)
    assert await found_in_databases(product) == set()
    looked_up = await product.ask("POST", "/v1/suppressions/lookup", {"address": PHONE})
    assert {each["reason"] for each in looked_up["items"]} == {"manual", "erased"}, "it still forbids"
    assert {each["address_masked"] for each in looked_up["items"]} == {"(erased customer)"}


async def test_what_waited_is_not_sent_and_what_was_sent_is_counted_on(product: Live) -> None:
    await fill(product)
    sent = [item["status"] for item in (await product.ask("GET", "/v1/messages"))["items"]]
    assert sorted(sent) == ["accepted", "parked"]
    pseudonym = (await erase(product))["pseudonym"]
    await product.ask("POST", "/v1/holds/stop-later/lift", {"reason": "over"})
    await product.at(MONDAY + HOUR)
    messages = (await product.ask("GET", "/v1/messages"))["items"]
    assert sorted(item["status"] for item in messages) == ["accepted", "suppressed"]
    assert {item["customer"] for item in messages} == {pseudonym}
    assert await product.inbox() == []
    contacts = (await product.ask("GET", f"/v1/contacts/{pseudonym}"))["contacts"]
    assert sorted(each["state"] for each in contacts) == ["made", "made"], "one by the campaign, one reported"
    for decision in await product.decisions():
        assert decision["customer"] == pseudonym and decision["event"]["source"] == "/erased"
        place = f"/v1/decisions/{decision['decision_id']}"
        assert (await product.editor.get(place)).status_code == 200
        assert (await product.editor.get(place, params={"replay": "true"})).status_code == 200
    for name in (ADA, pseudonym):  # what shows a customer shows little, and does not fail
        for path in (f"/v1/customers/{name}/timeline", f"/v1/preferences/{name}", f"/v1/contacts/{name}"):
            assert (await product.editor.get(path)).status_code in (200, 404), path
    for message in messages:
        assert (await product.editor.get(f"/v1/messages/{message['message_id']}")).status_code == 200


async def park(product: Live) -> StoredMessage:
    """A message that waits for the end of a situation: it is no contact, so the customer has no ledger."""
    calm = {"id": "calm", "scope": {"intents": ["advertise"]}, "on_match": "defer"}
    never = {"after": {"situation": "complaint"}, "within": "1h", "while_open": True}
    await product.policy(policy(situations=[COMPLAINT], contact_history=[{**calm, "never": never}]))
    await product.customer(person())
    await product.send(of("shop.filed", "1", case=CASE))
    await product.send(of("shop.offer", "2", order=ORDER))
    async with product.database.read() as tx:
        row = await tx.row("SELECT message_id, since FROM tracked_message WHERE state = 'parked'")
        assert row is not None and await tx.row("SELECT 1 FROM ledger") is None
    return StoredMessage(row.message_id, ADA, "offer", "email", row.since, "/shop", "marker-event-id-2")


async def test_a_parked_message_of_a_customer_without_contacts_is_ended(product: Live) -> None:
    message = await park(product)
    await erase(product)
    assert (await product.ask("GET", f"/v1/messages/{message.message_id}"))["status"] == "suppressed"
    assert await found_in_databases(product) == set()
    await product.at(MONDAY + 7 * DAY)
    assert await product.inbox() == [] and await found_in_databases(product) == set()


async def test_an_evaluation_that_an_erasure_overtakes_writes_nothing(product: Live) -> None:
    message = await park(product)
    evaluator, now = product.together.orchestrator.components.evaluator, product.clock.now() + HOUR
    inputs = await evaluator.read_for_messages([ADA], [message.event_key], now)
    request = EvaluationRequest(
        triggered_campaigns=(evaluator.rebuild_triggered(inputs, message),),
        expected_states={message.message_id: "parked"},
    )
    evaluation = await evaluator.evaluate(inputs, ADA, [request], inputs.ledger_of(ADA), now)
    assert evaluation.deferred_messages, "it would be parked again"
    await erase(product)
    async with product.database.write() as tx:
        assert await evaluator.write(tx, inputs, [evaluation], now) == []
    assert await found_in_databases(product) == set()


async def test_the_same_address_under_a_new_id_is_not_written_to(product: Live) -> None:
    await fill(product)
    await erase(product)
    for number, address in enumerate([MAIL, MAIL.upper(), OLD_MAIL]):
        key = f"c-{number}"
        await product.customer(customer(key, addresses=[{"channel": "email", "address": address, "verified": True}]))
        item = await product.send(event("shop.offer", f"e-{number}", subject=key, order="1"))
        assert [(each["outcome"], each["reason"]) for each in item["decisions"]] == [("suppress", "suppression_list")]
        (verdict,) = [each for each in item["decisions"][0]["verdicts"] if each["rule"] == "suppression"]
        assert verdict["evidence"]["reasons"] == ["erased"]
    looked_up = await product.ask("POST", "/v1/suppressions/lookup", {"address": PHONE})
    assert [each["reason"] for each in looked_up["items"]] == ["erased"]
    assert await product.inbox() == []


async def test_an_erased_entry_cannot_be_removed(product: Live) -> None:
    await fill(product)
    await erase(product)
    (entry,) = (await product.ask("GET", "/v1/suppressions", params={"customer": ADA}))["items"]
    refused = await product.editor.delete(f"/v1/suppressions/{entry['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "erased_entry")
    assert "stays" in refused.json()["detail"]
    listed = await product.ask("POST", "/v1/suppressions", {"address": "x@example.org", "reason": "erased"})
    assert (await product.editor.delete(f"/v1/suppressions/{listed['id']}")).status_code == 409


async def test_whatever_comes_later_is_refused_and_leaves_nothing(tmp_path: Path, product: Live) -> None:
    await product.customer(person())
    await erase(product)
    ask = product.editor.request
    entry = {"customer": ADA, "reason": "manual", "source": REASON}
    single = json.dumps(of("shop.offer", "11", order=ORDER))
    refused = [
        await ask("PUT", f"/v1/preferences/{ADA}", json=person()),
        await ask("PATCH", f"/v1/preferences/{ADA}", json={"traits": {"name": NAME}}),
        await ask("POST", f"/v1/preferences/{ADA}/optout", json={"class": "marketing"}),
        await ask("POST", f"/v1/situations/{ADA}", json={"action": "open", "kind": "complaint", "ref": CASE}),
        await ask("POST", "/v1/suppressions", json=entry),
        await ask("POST", "/v1/events", content=single, headers=CLOUD_EVENT),
        await ask("POST", "/v1/preview", json={"campaign": "offer", "customer": ADA}, headers={"idempotency-key": "p"}),
    ]
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "customer_erased")] * len(refused)
    rows = await product.ask("POST", "/v1/suppressions", [entry, {"address": "x@example.org", "reason": "manual"}])
    assert [each["status"] for each in rows["items"]] == ["invalid", "added"]
    batch = [of("shop.offer", "12", order=ORDER), event("shop.offer", "e-2", subject="c-2", order="1")]
    headers = {"content-type": "application/cloudevents-batch+json"}
    items = (await ask("POST", "/v1/events", content=json.dumps(batch), headers=headers)).json()["items"]
    assert [item["status"] for item in items] == ["invalid", "accepted"]
    assert items[0]["errors"][0]["code"] == "customer_erased"
    for _ in range(2):  # from Kafka: each of our types, and broken ones, twice
        await publish(
            product,
            of("shop.offer", "13", order=ORDER),
            of("tactful.customer.identified", "14", traits={"name": NAME}),
            of("tactful.customer.identified", "15", zone=ORDER),
            of("tactful.preference.changed", "16", opt_outs=[{"channel": "sms"}]),
            of("tactful.contact.reported", "17", channel=ORDER),
            of("tactful.contact.reported", "18", channel="phone", **{"class": "service"}),
            of("shop.filed", "19", case=CASE),
            of("tactful.situation.opened", "20") | {"data": {"kind": CASE}},
            of("shop.offer", "21") | {"time": "never", "data": {"order": ORDER}},
            of("tactful.customer.erased", "22"),
        )
    assert await found_in_databases(product) == set()
    assert await product.inbox(customer=ADA) == [] and await product.decisions(customer=ADA) == []
    again = await product.send(of("tactful.customer.erased", "again"))
    assert again["status"] == "duplicate"
    assert await found_in_databases(product) == set()


async def claim_again(product: Live) -> tuple[str, int]:
    """As if the process that hands the customer's message over were still at it: its attempt is open. Returns the
    message and its handover.
    """
    async with product.database.write() as tx:
        row = await tx.row(
            "SELECT message_id, handover_id FROM tracked_message WHERE customer = :ada AND state = 'accepted'", ada=ADA
        )
        assert row is not None
        await tx.execute(
            "UPDATE handover SET closed_at = NULL, results = NULL WHERE handover_id = :id", id=row.handover_id
        )
    return str(row.message_id), int(row.handover_id)


async def test_an_open_handover_is_waited_for_and_ends_without_plain_text(product: Live) -> None:
    await fill(product)
    message, handover_id = await claim_again(product)
    await product.send(of("tactful.customer.erased", "erase"))
    async with asyncio.timeout(20):
        while (shown := await product.ask("GET", f"/v1/erasures/{ADA}"))["services"]["orchestrator"]["rows"] == 0:
            await asyncio.sleep(0.05)
    assert shown["services"]["orchestrator"]["state"] == "erasing"
    result = HandoverResult(message, "rejected", provider_id=MAIL, detail=f"550 {MAIL} is unknown")
    await report(product.database, handover_id, [AttemptResult(ADA, 1, result, True, "sandbox")], product.clock.now())
    await finished(product)
    assert (await product.ask("GET", f"/v1/messages/{message}"))["status"] == "rejected"
    assert await found_in_databases(product) == set()
    # The owner hears of it late, and writes the result once more: the customer has no ledger any more.
    for outcome in ("rejected", "accepted", "retry"):
        late = HandoverResult(message, outcome, provider_id=MAIL, detail=MAIL)
        await report(product.database, handover_id, [AttemptResult(ADA, 1, late, True, "sandbox")], product.clock.now())
    assert await found_in_databases(product) == set()


async def test_what_the_provider_said_about_an_accepted_message_is_erased_with_it(product: Live) -> None:
    await fill(product)
    message, handover_id = await claim_again(product)
    said = HandoverResult(message, "accepted", provider_id=MAIL, detail=f"to {MAIL}")
    await report(product.database, handover_id, [AttemptResult(ADA, 1, said, True, "sandbox")], product.clock.now())
    assert (await product.ask("GET", f"/v1/messages/{message}"))["provider_id"] == MAIL
    await erase(product)
    shown = await product.ask("GET", f"/v1/messages/{message}")
    assert (shown["status"], shown["provider_id"], shown["detail"]) == ("accepted", None, None)
    assert await found_in_databases(product) == set()


async def test_a_late_acceptance_is_noted_under_the_pseudonym(product: Live) -> None:
    await fill(product)
    message, handover_id = await claim_again(product)
    unknown = HandoverResult(message, "unknown", detail="time-out")
    await report(product.database, handover_id, [AttemptResult(ADA, 1, unknown, False, "sandbox")], product.clock.now())
    pseudonym = (await erase(product))["pseudonym"]
    accepted = HandoverResult(message, "accepted", provider_id=MAIL, detail=MAIL)
    await report(
        product.database, handover_id, [AttemptResult(ADA, 1, accepted, False, "sandbox")], product.clock.now()
    )
    shown = await product.ask("GET", f"/v1/messages/{message}")
    assert (shown["status"], shown["customer"]) == ("accepted", pseudonym)
    assert await found_in_databases(product) == set()


async def test_an_erasure_that_was_a_dead_letter_is_redriven_in_every_service(product: Live) -> None:
    await product.customer(person())
    await product.send(of("shop.offer", "1", order=ORDER))
    ahead = MONDAY + 9 * DAY
    await publish(product, of("tactful.customer.erased", "ahead") | {"time": format_instant(ahead)})
    letters = (await product.ask("GET", "/v1/dead-letters"))["items"]
    assert {each["service"] for each in letters} == set(SERVICE_NAMES)
    await product.at(ahead)
    ids = [each["id"] for each in sorted(letters, key=lambda each: str(each["service"]))]
    assert ids[0].startswith("orchestrator-"), "preference knows the addresses, and comes after it"
    for id in ids:
        job = await product.ask("POST", "/v1/dead-letters/redrive", {"ids": [id], "reason": "clock mended"})
        async with asyncio.timeout(20):
            while (await product.ask("GET", f"/v1/dead-letters/jobs/{job['id']}"))["state"] != "done":
                await asyncio.sleep(0.05)
    await finished(product)
    assert await found_in_databases(product) == set()
    await product.customer(customer("c-2", addresses=[{"channel": "email", "address": MAIL, "verified": True}]))
    item = await product.send(event("shop.offer", "e-2", ahead, subject="c-2", order="1"))
    assert [each["reason"] for each in item["decisions"]] == ["suppression_list"]


async def test_an_unsubscribe_link_of_an_erased_customer_says_that_it_is_done(product: Live) -> None:
    await fill(product)
    links = product.together.orchestrator.components.links(ADA, "news", "marketing", product.clock.now())
    path = links["unsubscribe"].partition("/u/")[2]
    await erase(product)
    answer = await product.editor.post(f"/u/{path}")
    assert answer.status_code == 200
    assert await found_in_databases(product) == set()


async def test_the_preference_page_of_an_erased_customer_holds_nothing_and_keeps_nothing(product: Live) -> None:
    await fill(product)
    links = product.together.orchestrator.components.links(ADA, "news", "marketing", product.clock.now())
    path = links["preferences"].partition("/p/")[2]
    await erase(product)
    for action in ("stop", "pause", "save"):
        answer = await press(product.editor, f"/p/{path}", action, 0)
        assert answer.status_code == 200 and "We hold nothing about you any more." in answer.text
    assert await found_in_databases(product) == set()


async def test_erasure_needs_its_own_action_and_tells_only_whom_it_knows(product: Live) -> None:
    refused = await product.reviewer.post(
        "/v1/events", content=json.dumps(of("tactful.customer.erased", "x")), headers=CLOUD_EVENT
    )
    assert refused.status_code == 403
    assert (await product.reviewer.get(f"/v1/erasures/{ADA}")).status_code == 403
    assert (await product.editor.get(f"/v1/erasures/{ADA}")).status_code == 404
