"""The HTTP API of preferences."""

import asyncio
import time
from typing import Any

import pytest

from schemas.customer import Customer
from schemas.documents import validate_document
from schemas.own_events import CheckedData
from schemas.service_api import AttemptScope
from schemas.times import HOUR
from services.erasure.erased_customers import ErasedCustomers
from services.preference import store
from services.preference.preference_state import apply_change, to_change
from tests.preference.test_preference_state import DOCUMENT
from tests.support.preference_service import ADMIN_KEY, CONNECTOR_KEY, NOW, Running, change, eventually

pytestmark = pytest.mark.wired

C = "/v1/preferences/c-1042"
TOPICS = [
    {"key": "news", "name": "News", "required": False},
    {"key": "referrals", "name": "Referrals", "required": False},
    {"key": "orders", "name": "Your orders", "required": True},
]
GRANTED = DOCUMENT["consent"][0]


def attempt(
    customer: str = "c-1042", channel: str = "email", topic: str = "news", cls: str = "marketing"
) -> AttemptScope:
    return AttemptScope(customer=customer, channels=(channel,), topics=(topic,), classes=(cls,))


async def version_of(at_work: Running, customer: str = "c-1042") -> int:
    return (await at_work.doors.get_facts([customer], {}))[customer].version


def pointers(answer: Any) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_a_document_is_put_and_read_back_as_it_is(at_work: Running) -> None:
    answer = await at_work.http.put(C, json=DOCUMENT | {"opt_outs": []})
    assert answer.status_code == 201
    read = await at_work.http.get(C)
    assert read.json() == DOCUMENT | {"opt_outs": []}
    assert read.headers["etag"] == answer.headers["etag"] == '"1"'
    again = await at_work.http.put(C, json=read.json(), headers={"If-Match": read.headers["etag"]})
    assert again.status_code == 200
    assert again.json() == read.json()


async def test_the_customer_of_the_body_must_be_that_of_the_path(at_work: Running) -> None:
    answer = await at_work.http.put("/v1/preferences/c-1", json=DOCUMENT)
    assert (answer.status_code, pointers(answer)) == (422, ["/customer"])
    assert (await at_work.http.get("/v1/preferences/c-1")).status_code == 404


async def test_every_look_and_change_is_in_the_audit_log_of_the_orchestrator(at_work: Running) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    await at_work.http.get(C)
    found = at_work.orchestrator.audited
    assert [(each.service, each.event, each.action) for each in found] == [
        ("preference", "asked", "preferences:write"),
        ("preference", "answered", ""),
        ("preference", "asked", "preferences:read"),
        ("preference", "answered", ""),
    ]
    assert all(each.about and "c-1042" not in str(each) for each in found if each.event == "asked")


async def test_what_cannot_be_audited_is_refused_and_not_done(at_work: Running) -> None:
    at_work.orchestrator.audits = False
    for answer in (await at_work.http.put(C, json=DOCUMENT), await at_work.http.get(C)):
        assert (answer.status_code, answer.json()["code"]) == (503, "not_audited")
    assert (await at_work.http.post(f"{C}/optout", json={"channel": "sms"})).status_code == 200, "a no is taken"
    at_work.orchestrator.audits = True
    now = (await at_work.http.get(C)).json()
    assert (now["traits"], now["opt_outs"]) == ({}, [{"channel": "sms"}])


async def test_who_may_not_read_preferences_gets_back_what_they_have_sent_alone(at_work: Running) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    connector = {"Authorization": f"Bearer {CONNECTOR_KEY}"}
    assert (await at_work.http.get(C, headers=connector)).status_code == 403
    for sent in ({}, {"locale": "de-AT"}):
        changed = await at_work.http.patch(C, json=sent, headers=connector)
        assert (changed.status_code, changed.json()) == (200, {"customer": "c-1042", **sent})
    read = (await at_work.http.get(C)).json()
    replaced = await at_work.http.put(C, json=read, headers=connector)
    assert replaced.status_code == 200
    assert {name: replaced.json()[name] for name in read} == read


async def test_a_put_that_lacks_what_is_set_today_is_refused_and_drops_nothing(at_work: Running) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    answer = await at_work.http.put(C, json={"locale": "en", "opt_outs": []})
    assert (answer.status_code, answer.json()["code"]) == (422, "partial_document")
    assert "/consent" in pointers(answer)
    assert "/paused_until" not in pointers(answer)
    assert (await at_work.http.get(C)).json() == DOCUMENT
    assert (await at_work.http.put("/v1/preferences/c-new", json={"locale": "en"})).status_code == 201


async def test_a_patch_replaces_the_given_fields_and_no_other(at_work: Running) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    answer = await at_work.http.patch(C, json={"traits": {"vip": False}, "frequency": None})
    assert answer.status_code == 200
    assert "enforced" not in answer.json()
    assert (await at_work.http.get(C)).json() == DOCUMENT | {"traits": {"vip": False}, "frequency": None}


@pytest.mark.parametrize("tag", ['"7"', "nonsense", '"x", "7"'])
async def test_an_edit_of_an_outdated_version_is_refused(at_work: Running, tag: str) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    for method in (at_work.http.put, at_work.http.patch):
        answer = await method(C, json=DOCUMENT, headers={"If-Match": tag})
        assert answer.status_code == 412
    assert await version_of(at_work) == 1
    assert (await at_work.http.patch(C, json={"locale": "en"}, headers={"If-Match": 'W/"1"'})).status_code == 412
    assert (await at_work.http.patch(C, json={"locale": "en"}, headers={"If-Match": "*"})).status_code == 200
    assert (await at_work.http.patch(C, json={"locale": "fr"}, headers={"If-Match": '"7", "2"'})).status_code == 200


async def test_an_empty_patch_makes_nobody(at_work: Running) -> None:
    assert (await at_work.http.patch(C, json={})).status_code == 200
    assert (await at_work.http.get(C)).status_code == 404


async def test_of_two_edits_of_one_version_only_one_is_made(at_work: Running) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    edits = [at_work.http.patch(C, json={"locale": "en"}, headers={"If-Match": '"1"'}) for _ in range(5)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*edits)) == [200, 412, 412, 412, 412]


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"zone": "nowhere"}, "/zone", "invalid"),
        ({"optouts": []}, "/optouts", "invalid"),
        ({"opt_outs": [{"topic": "nws"}]}, "/opt_outs/0/topic", "unknown_topic"),
        ({"opt_outs": [{"topic": "orders"}]}, "/opt_outs/0/topic", "cannot_switch_off"),
        ({"opt_outs": [{"channel": "sms", "topic": "orders"}]}, "/opt_outs/0/topic", "cannot_switch_off"),
        ({"opt_outs": [{"class": "transactional"}]}, "/opt_outs/0/class", "cannot_switch_off"),
        ({"consent": [GRANTED | {"topic": "referal"}]}, "/consent/0/topic", "unknown_topic"),
        ({"consent": [GRANTED | {"source": None}]}, "/consent/0/source", "no_proof"),
        ({"consent": [GRANTED | {"wording": None}]}, "/consent/0/wording", "no_proof"),
    ],
)
async def test_what_is_wrong_is_refused_with_its_place(
    at_work: Running, fields: dict[str, Any], pointer: str, code: str
) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    answer = await at_work.http.patch(C, json=fields)
    assert answer.status_code == 422
    assert (answer.json()["code"], pointers(answer)) == (code, [pointer])
    assert await version_of(at_work) == 0


async def test_an_unknown_topic_is_answered_with_a_suggestion(at_work: Running) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    answer = await at_work.http.post(f"{C}/optout", json={"topic": "nws"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_topic")
    assert "did you mean `news`?" in answer.json()["detail"]


async def test_before_any_policy_every_topic_is_taken(at_work: Running) -> None:
    assert (await at_work.http.post(f"{C}/optout", json={"topic": "anything"})).json() == {"enforced": True}


async def test_what_was_there_before_its_topic_went_does_not_hinder_an_edit(at_work: Running) -> None:
    await at_work.http.put(C, json=DOCUMENT)
    await at_work.doors.set_topics(2, [])
    await at_work.doors.set_topics(1, TOPICS)
    document = (await at_work.http.get(C)).json()
    assert (await at_work.http.put(C, json=document)).status_code == 200
    assert (await at_work.http.post(f"{C}/optout", json={"topic": "news"})).status_code == 200
    assert (await at_work.http.post(f"{C}/optout", json={"topic": "referrals"})).status_code == 422


async def test_a_refusal_needs_no_proof_and_grants_without_proof_that_were_there_stay(at_work: Running) -> None:
    unproven = validate_document(Customer, {"customer": "c-1042", "consent": [GRANTED | {"source": None}]})
    edit = to_change(change("e", "c-1042"), CheckedData({}, customer=unproven, given=("consent",)))
    assert edit is not None
    async with at_work.database.write() as tx:  # events brought it in earlier versions
        (before,) = (await store.lock_states(tx, ["c-1042"], None, ErasedCustomers(b"key"))).values()
        after = apply_change(before, edit)
        assert after is not None
        await store.save_updates(
            tx, [store.StateUpdate(before, after, store.ChangeCause("event", at=NOW, recorded=NOW))]
        )
    refused = {"channel": "sms", "topic": "*", "status": "withdrawn", "at": "2026-02-01T00:00:00Z"}
    answer = await at_work.http.patch(C, json={"consent": [GRANTED | {"source": None}, refused]})
    assert answer.status_code == 200
    assert at_work.orchestrator.asked == [
        AttemptScope(customer="c-1042", channels=("sms",), classes=("marketing",)),
    ]


@pytest.mark.parametrize(
    ("entry", "scope"),
    [
        ({"all": True}, AttemptScope(customer="c-1042", classes=("service", "marketing"))),
        ({"class": "marketing"}, AttemptScope(customer="c-1042", classes=("marketing",))),
        ({"channel": "sms"}, AttemptScope(customer="c-1042", channels=("sms",), classes=("service", "marketing"))),
        ({"topic": "news"}, AttemptScope(customer="c-1042", topics=("news",), classes=("service", "marketing"))),
    ],
)
async def test_an_opt_out_asks_for_what_it_covers_and_does_nothing_twice(
    at_work: Running, entry: dict[str, Any], scope: AttemptScope
) -> None:
    for _ in range(2):
        answer = await at_work.http.post(f"{C}/optout", json=entry)
        assert (answer.status_code, answer.json()) == (200, {"enforced": True})
    assert at_work.orchestrator.asked == [scope, scope]
    assert (await at_work.http.get(C)).json()["opt_outs"] == [entry]
    assert await version_of(at_work) == 1


async def test_an_opt_out_is_committed_before_the_orchestrator_is_asked_and_answered_after_it_is_done(
    at_work: Running,
) -> None:
    at_work.orchestrator.attempts = {7: attempt(), 8: attempt(topic="referrals"), 9: attempt("c-1")}
    opting = asyncio.create_task(at_work.http.post(f"{C}/optout", json={"topic": "news"}))

    async def asked() -> bool:
        return bool(at_work.orchestrator.asked)

    await eventually(asked)
    assert await version_of(at_work) == 1
    await asyncio.sleep(0.1)
    assert not opting.done()
    del at_work.orchestrator.attempts[7]
    answer = await opting
    assert (answer.status_code, answer.json()) == (200, {"enforced": True})


async def test_what_does_not_end_in_time_is_answered_with_its_number(at_work: Running) -> None:
    at_work.orchestrator.attempts = {7: attempt(), 8: attempt(channel="sms")}
    start = time.monotonic()
    answer = await at_work.http.post(f"{C}/optout", json={"all": True})
    assert (answer.status_code, answer.json()) == (202, {"enforced": False, "in_flight": 2})
    assert 4.9 <= time.monotonic() - start < 7
    at_work.orchestrator.attempts.clear()
    assert (await at_work.http.post(f"{C}/optout", json={"all": True})).json() == {"enforced": True}


async def test_an_orchestrator_that_cannot_be_asked_never_loses_the_opt_out(at_work: Running) -> None:
    at_work.orchestrator.reachable = False
    answer = await at_work.http.post(f"{C}/optout", json={"all": True})
    assert (answer.status_code, answer.json()) == (202, {"enforced": False, "in_flight": None})
    assert (await at_work.http.get(C)).json()["opt_outs"] == [{"all": True}]


@pytest.mark.parametrize(
    ("fields", "opts_out"),
    [
        ({"opt_outs": [{"channel": "sms"}]}, True),
        ({"paused_until": "2026-03-03T00:00:00Z"}, True),
        ({"consent": []}, True),
        ({"consent": [GRANTED | {"status": "withdrawn"}]}, True),
        ({"consent": [GRANTED | {"expires": "2026-03-02T12:00:00Z"}]}, True),
        ({"consent": [GRANTED | {"expires": "2026-03-02T12:00:01Z"}]}, False),
        ({"opt_outs": []}, False),
        ({"paused_until": "2026-03-01T00:00:00Z"}, False),
        ({"paused_until": None}, False),
        ({"consent": [GRANTED]}, False),
        ({"locale": "en", "frequency": {"limit": 1, "per": "day"}}, False),
    ],
)
async def test_an_edit_that_opts_out_says_whether_that_is_enforced(
    at_work: Running, fields: dict[str, Any], opts_out: bool
) -> None:
    await at_work.http.put(C, json={"consent": [GRANTED]})
    at_work.orchestrator.reachable = False
    answer = await at_work.http.patch(C, json=fields)
    assert answer.status_code == (202 if opts_out else 200)
    assert ("enforced" in answer.json()) is opts_out
    at_work.orchestrator.reachable = True
    answer = await at_work.http.patch(C, json=fields)
    if fields != {"consent": []}:  # what is gone cannot be asked about again
        assert answer.json().get("enforced") is (True if opts_out else None)


async def test_an_edit_with_many_opt_outs_asks_once_for_all_of_them(at_work: Running) -> None:
    await at_work.http.patch(C, json={"opt_outs": [{"topic": f"t-{number}"} for number in range(50)]})
    assert at_work.orchestrator.asked == [AttemptScope(customer="c-1042", classes=("service", "marketing"))]


async def test_a_persons_opt_out_outlives_older_events_that_come_late(at_work: Running) -> None:
    await at_work.http.post(f"{C}/optout", json={"all": True})
    positions = await at_work.publish(change("e-1", "c-1042", at=NOW - HOUR, opt_outs=[]))
    assert (await at_work.doors.get_facts(["c-1042"], positions))["c-1042"].opt_outs[0].all


async def test_an_edit_does_not_end_the_quarantine_of_an_unreadable_change(at_work: Running) -> None:
    positions = await at_work.publish(change("e-1", "c-1042", opt_outs=[{"channel": "fax"}]))
    assert (await at_work.doors.get_facts(["c-1042"], positions))["c-1042"].quarantines
    await at_work.http.patch(C, json={"opt_outs": [{"all": True}]})
    assert (await at_work.doors.get_facts(["c-1042"], {}))["c-1042"].quarantines


async def test_the_history_says_who_changed_what_and_keeps_the_proof(at_work: Running) -> None:
    await at_work.http.put(C, json={"consent": [GRANTED], "locale": "de"})
    await at_work.http.post(f"{C}/optout", json={"all": True}, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    first = (await at_work.http.get(f"{C}/history", params={"limit": 2})).json()
    second = (await at_work.http.get(f"{C}/history", params={"limit": 2, "after": first["next"]})).json()
    items = first["items"] + second["items"]
    assert second["next"] is None
    assert [(item["field"], item["version"], item["actor"]) for item in items] == [
        ("opt_outs", 2, "admin"),
        ("consent", 1, "agent"),
        ("locale", 1, "agent"),
    ]
    assert items[1]["value"] == [GRANTED]
    assert {item["source"] for item in items} == {"api"}
    assert items[0]["at"] == items[0]["recorded"] == "2026-03-02T12:00:00Z"


async def test_a_repeated_request_with_one_key_has_one_effect(at_work: Running) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await at_work.http.post(f"{C}/optout", json={"all": True}, headers=headers)
    again = await at_work.http.post(f"{C}/optout", json={"all": True}, headers=headers)
    assert first.json() == again.json()
    assert len(at_work.orchestrator.asked) == 1
    other = await at_work.http.post(f"{C}/optout", json={"channel": "sms"}, headers=headers)
    assert other.json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    "body", [b"{", b'{"all": true, "all": true}', b"[]", b'{"all": false}', b'{"all": true, "topic": "news"}', b"{}"]
)
async def test_a_malformed_opt_out_is_refused(at_work: Running, body: bytes) -> None:
    answer = await at_work.http.post(f"{C}/optout", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert await version_of(at_work) == 0
