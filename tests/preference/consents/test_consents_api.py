"""Consents over HTTP: the list, requests and their links, texts, and where changes came from."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from schemas.event import decode_event
from schemas.link_tokens import (
    LinkToken,
    create_link_builder,
    day_of,
    derive_link_keys,
    derive_token_key,
    sign_token,
    verify_token,
)
from schemas.own_events import CONSENT_REQUESTED, check_event
from schemas.times import DAY, HOUR
from schemas.topics import EVENTS
from services.kit.bus.protocol import Record
from services.kit.bus.sender_signature import SenderSignature
from services.preference.consents import request_store
from services.preference.consents.request_store import ConsentRequest, RequestProof
from services.preference.consents.wordings import find_wordings, remember_wording, wording_key
from services.preference.request_publisher import SENDER
from tests.support.preference_service import ADDRESS_KEY, CONNECTOR_KEY, NOW, SERVICE_KEY, VIEWER_KEY, Running, change

pytestmark = pytest.mark.wired

C = "/v1/preferences/c-1"
TOPICS = [
    {"key": "news", "name": "News", "required": False, "double_opt_in": ["email"]},
    {"key": "sales", "name": "Sales", "required": False},
]
ADDRESS = {"channel": "email", "address": "ada@example.org", "verified": True}
ASKED = {"channel": "email", "topic": "news", "wording": "newsletter-3", "source": "footer"}
GRANTED = {
    "channel": "email",
    "topic": "sales",
    "status": "granted",
    "at": "2026-03-01T12:00:00Z",
    "source": "checkout",
    "wording": "newsletter-3",
}
LINKS = create_link_builder(derive_link_keys(ADDRESS_KEY), "http://preference")


async def known(at_work: Running, **fields: Any) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    answer = await at_work.http.patch(C, json={"addresses": [ADDRESS], **fields})
    assert answer.status_code == 201, answer.text


async def ask(at_work: Running, **changes: Any) -> dict[str, Any]:
    answer = await at_work.http.post(f"{C}/consents/requests", json={**ASKED, **changes})
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def path_of(request: dict[str, Any], customer: str = "c-1") -> str:
    return LINKS(customer, None, "transactional", 0, request["id"])["confirm_consent"].removeprefix("http://preference")


async def press(at_work: Running, path: str, method: str = "POST") -> str:
    answer = await at_work.http.request(method, path, headers={"Authorization": "", "User-Agent": "curl/8"})
    assert answer.status_code == 200
    assert "no-store" in answer.headers["cache-control"] and "script" not in answer.text
    return str(answer.text.partition("<title>")[2].partition("</title>")[0])


async def consents(at_work: Running) -> list[dict[str, Any]]:
    return list((await at_work.http.get(f"{C}/consents")).json()["consents"])


async def test_a_confirmed_request_grants_with_both_instants_and_evidences(at_work: Running) -> None:
    await known(at_work)
    evidence = {"form": "https://shop.example/f", "network": "203.0.113.0/24", "agent": "Firefox"}
    request = await ask(at_work, evidence=evidence)
    assert (request["state"], request["requested_by"]) == ("waiting", "agent")
    assert await consents(at_work) == []
    at_work.clock.advance(HOUR)
    assert await press(at_work, path_of(request), "GET") == "Do you want “News” by e-mail?"
    assert await consents(at_work) == []
    assert await press(at_work, path_of(request)) == "Thank you"
    (record,) = await consents(at_work)
    assert (record["state"], record["basis"]) == ("in_force", "consent")
    assert (record["requested"], record["at"]) == ("2026-03-02T12:00:00Z", "2026-03-02T13:00:00Z")
    assert (record["evidence"], record["confirmation"]["agent"]) == (evidence, "other")
    assert (record["wording_text"], record["wording_kept"]) == (None, False)
    assert await at_work.count("confirmation", "changed") == 1
    assert await press(at_work, path_of(request)) == "Already confirmed"
    assert len(await consents(at_work)) == 1 and await at_work.count("confirmation", "changed") == 1


async def test_many_who_ask_at_once_make_one_request(at_work: Running) -> None:
    await known(at_work)
    answers = await asyncio.gather(*(at_work.http.post(f"{C}/consents/requests", json=ASKED) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [200] * 5 + [201]
    assert len({each.json()["id"] for each in answers}) == 1
    other = await ask(at_work, topic="sales")
    assert other["id"] != answers[0].json()["id"]


async def test_many_who_confirm_at_once_grant_once(at_work: Running) -> None:
    await known(at_work)
    path = path_of(await ask(at_work))
    titles = await asyncio.gather(*(press(at_work, path) for _ in range(10)))
    assert sorted(titles) == ["Already confirmed"] * 9 + ["Thank you"]
    history = (await at_work.http.get(f"{C}/history")).json()["items"]
    assert [each["source"] for each in history].count("confirmation") == 1


@pytest.mark.parametrize(
    ("changes", "status", "code", "pointer"),
    [
        ({"topic": "nws"}, 422, "unknown_topic", "/topic"),
        ({"channel": "sms"}, 422, "no_address", "/channel"),
        ({"wording": None}, 422, "invalid", "/wording"),
        ({"source": None}, 422, "invalid", "/source"),
        ({"evidence": {"network": "203.0.113.7"}}, 422, "invalid", "/evidence/network"),
    ],
)
async def test_a_refused_request_says_what_is_missing_and_leaves_nothing(
    at_work: Running, changes: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    await known(at_work)
    answer = await at_work.http.post(f"{C}/consents/requests", json={**ASKED, **changes})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert (await at_work.http.get(f"{C}/consents")).json()["requests"] == []


async def test_a_grant_is_refused_with_what_it_lacks(at_work: Running) -> None:
    await known(at_work)
    for changes, code, pointer in (
        ({"basis": "because"}, "no_proof", "/consent/0/basis"),
        ({"wording": None}, "no_proof", "/consent/0/wording"),
        ({"topic": "news"}, "confirmation_needed", "/consent/0/requested"),
        ({"topic": "*"}, "confirmation_needed", "/consent/0/requested"),
    ):
        answer = await at_work.http.patch(C, json={"consent": [GRANTED | changes]})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    refusal = {"channel": "email", "topic": "news", "status": "withdrawn", "at": "2026-03-01T12:00:00Z"}
    assert (await at_work.http.patch(C, json={"consent": [refusal]})).status_code == 200
    for exempt in ({"topic": "news", "imported": True}, {"topic": "news", "requested": "2026-02-28T12:00:00Z"}):
        assert (await at_work.http.patch(C, json={"consent": [GRANTED | exempt]})).status_code == 200


async def test_a_grant_from_before_the_setting_stays_and_one_by_event_does_not_count(at_work: Running) -> None:
    await at_work.doors.set_topics(1, [{**TOPICS[0], "double_opt_in": []}, TOPICS[1]])
    before = GRANTED | {"topic": "news"}
    await at_work.http.patch(C, json={"consent": [before]})
    await at_work.doors.set_topics(2, TOPICS)
    assert (await at_work.http.patch(C, json={"consent": [before, GRANTED]})).status_code == 200
    positions = await at_work.publish(
        change("e-1", at=NOW + HOUR, consent=[before, before | {"at": "2026-03-02T11:00:00Z"}])
    )
    facts = (await at_work.facts(["c-1"], positions))["c-1"]
    assert [record.status for record in facts.consent] == ["granted", "unconfirmed"]


async def test_implied_consent_ends_by_the_terms(at_work: Running) -> None:
    await known(at_work)
    implied = GRANTED | {"basis": "implied", "occasion": "inquiry", "at": "2026-01-01T00:00:00Z"}
    await at_work.http.patch(C, json={"consent": [implied]})
    (record,) = await consents(at_work)
    assert (record["expires"], record["state"]) == ("2026-07-01T00:00:00Z", "in_force")
    at_work.clock.advance(181 * DAY)
    assert (await consents(at_work))[0]["state"] == "expired"
    positions = await at_work.publish(change("e-1", at=NOW + DAY, consent=[implied | {"occasion": "purchase"}]))
    facts = (await at_work.facts(["c-1"], positions))["c-1"]
    assert facts.consent[0].expires == facts.consent[0].at + 730 * DAY


async def test_asking_again_lifts_the_opt_out_from_just_that_and_says_what_still_stops_it(at_work: Running) -> None:
    await known(at_work, opt_outs=[{"channel": "email", "topic": "news"}])
    await press(at_work, path_of(await ask(at_work)))
    assert (await at_work.http.get(C)).json()["opt_outs"] == []
    await at_work.http.post(f"{C}/optout", json={"class": "marketing"})
    page = await at_work.http.post(path_of(await ask(at_work)), headers={"Authorization": ""})
    assert "we send nothing until you allow it again" in page.text
    preferences = page.text.partition('href="/p/')[2].partition('"')[0]
    assert verify_token(derive_token_key(ADDRESS_KEY), preferences, "p") == LinkToken(
        "p", "c-1", None, day_of(at_work.clock.now())
    )
    assert (await at_work.http.get(C)).json()["opt_outs"] == [{"class": "marketing"}]


async def test_a_link_works_for_its_customer_its_kind_and_seven_days(at_work: Running) -> None:
    await known(at_work)
    request = await ask(at_work)
    key = derive_token_key(ADDRESS_KEY)
    others = [
        path_of(request, "c-2"),
        "/c/" + sign_token(key, LinkToken("u", "c-1", request["id"])),
        "/c/" + sign_token(key, LinkToken("c", "c-1")),
        "/c/" + sign_token(derive_token_key("another-key-altogether"), LinkToken("c", "c-1", request["id"])),
    ]
    for path in others:
        assert await press(at_work, path) == "This link does not work"
    unsubscribe = path_of(request).replace("/c/", "/u/")
    assert "does not work" in (await at_work.http.post(unsubscribe, headers={"Authorization": ""})).text
    at_work.clock.advance(7 * DAY)
    assert await press(at_work, path_of(request)) == "This link is too old"
    assert await consents(at_work) == []
    await request_store.delete_old_requests(at_work.database, at_work.clock.now())
    assert (await at_work.http.get(f"{C}/consents")).json()["requests"][0]["state"] == "expired"
    await request_store.delete_old_requests(at_work.database, at_work.clock.now() + request_store.KEPT_FOR + 1)
    assert (await at_work.http.get(f"{C}/consents")).json()["requests"] == []
    assert await press(at_work, path_of(request)) == "This link does not work"


async def events_in_log(at_work: Running) -> list[Record]:
    """The records by which customers are asked to confirm."""
    ends = await at_work.bus.end_offsets(EVENTS.name)
    found = await at_work.bus.run_on_reader(lambda log: log.read_records([(each, 0) for each in ends], 1000))
    every = [record for records in found.values() for record in records]
    return [each for each in every if decode_event(each.value or b"").type == CONSENT_REQUESTED]


async def test_the_event_is_in_the_log_before_the_answer_signed_and_without_an_address(at_work: Running) -> None:
    await known(at_work)
    request = await ask(at_work)
    (record,) = await events_in_log(at_work)
    event = decode_event(record.value or b"")
    assert (event.subject, event.id) == ("c-1", request["id"])
    assert not check_event(event).problems and b"ada@" not in (record.value or b"")
    assert SenderSignature(SERVICE_KEY).find_sender(record) == SENDER


async def test_what_a_process_left_unpublished_is_published_later_with_the_same_id(at_work: Running) -> None:
    proof = RequestProof("newsletter-3", "footer")
    left = ConsentRequest("left-over", "c-1", "email", "news", NOW, NOW + request_store.VALID_FOR, proof)
    async with at_work.database.write() as tx:  # as a process that has died after its commit
        await request_store.insert_request(tx, left)
    async with asyncio.timeout(30):
        while not (records := await events_in_log(at_work)):
            await asyncio.sleep(0.05)
    assert [decode_event(each.value or b"").id for each in records] == ["left-over"]
    async with asyncio.timeout(30):
        while True:
            async with at_work.database.read() as tx:
                if not await request_store.list_unpublished(tx, 10):
                    break
            await asyncio.sleep(0.05)


async def test_texts_are_kept_once_under_their_hash(at_work: Running) -> None:
    text = "Ja, ich möchte Neuigkeiten."
    first = await at_work.http.put("/v1/consents/wordings", json={"text": text, "locale": "de"})
    again = await at_work.http.put("/v1/consents/wordings", json={"text": text, "locale": "de-AT"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() and first.json()["key"] == wording_key(text)
    key = first.json()["key"]
    assert (await at_work.http.get(f"/v1/consents/wordings/{key}")).json()["text"] == text
    assert (await at_work.http.get("/v1/consents/wordings/newsletter-3")).status_code == 404
    assert (await at_work.http.put("/v1/consents/wordings", json={"text": "", "locale": "de"})).status_code == 422
    async with at_work.database.write() as tx:
        assert await remember_wording(tx, text, "de", NOW) == key
        assert set(await find_wordings(tx, [key, "newsletter-3", None])) == {key}
    await known(at_work, consent=[GRANTED | {"wording": key}])
    (record,) = await consents(at_work)
    assert (record["wording_text"], record["wording_kept"]) == (text, True)


async def test_the_history_says_from_where_a_change_came(at_work: Running) -> None:
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    await at_work.http.patch(C, json={"locale": "en"}, headers=agent)
    await at_work.http.post(f"{C}/optout", json={"channel": "sms"}, headers=agent)
    positions = await at_work.publish(change("e-1", at=NOW + HOUR, locale="fr"))
    await at_work.facts(["c-1"], positions)
    items = (await at_work.http.get(f"{C}/history")).json()["items"]
    assert [(each["network"], each["agent"]) for each in items] == [
        (None, None),
        ("127.0.0.0/24", "Firefox"),
        ("127.0.0.0/24", "Firefox"),
    ]


async def test_who_may_only_write_reads_neither_the_list_nor_the_export(at_work: Running) -> None:
    await known(at_work)
    for key in (CONNECTOR_KEY, VIEWER_KEY):
        for path in ("", "/export"):
            answer = await at_work.http.get(f"{C}/consents{path}", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 403
    headers = {"Authorization": f"Bearer {CONNECTOR_KEY}"}
    assert (await at_work.http.post(f"{C}/consents/requests", json=ASKED, headers=headers)).status_code == 201


async def test_of_an_erased_customer_nothing_is_left_and_nothing_is_taken(at_work: Running) -> None:
    await known(at_work)
    request = await ask(at_work)
    await at_work.publish(change("e-9", kind="customer.erased"))
    async with asyncio.timeout(20):
        while (await at_work.http.get(f"{C}/consents")).json()["requests"]:
            await asyncio.sleep(0.05)
    assert await press(at_work, path_of(request)) == "This link does not work"
    refused = await at_work.http.post(f"{C}/consents/requests", json=ASKED)
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_erased")
    exported = json.loads((await at_work.http.get(f"{C}/consents/export")).content)["content"]
    assert exported["consents"] == exported["requests"] == exported["changes"] == []
