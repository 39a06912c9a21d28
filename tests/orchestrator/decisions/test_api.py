"""Decisions, the sandbox, the ledger and open attempts over HTTP."""

from typing import Any

import httpx
import msgspec
import pytest

from schemas.ids import hash_event
from schemas.roles import Role
from schemas.service_api import AttemptScope
from schemas.times import SECOND
from services.clients.orchestrator import OrchestratorClient
from services.kit.http.auth import Principal, hash_key
from services.orchestrator.decisions import store
from services.orchestrator.delivery import store as delivery_store
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.scope import MessageAttributes
from tests.support.decision_records import decision, event, keep, keep_message
from tests.support.handovers import claim
from tests.support.orchestrator_app import ADMIN_KEY, NOON, SERVICE_KEY, World

pytestmark = pytest.mark.wired


async def fill(here: World) -> None:
    """Five decisions about two customers: three at noon, two a second later."""
    one, two, three = event("e-1"), event("e-2"), event("e-3", "c-2")
    async with here.database.write() as tx:
        await keep(
            tx, one, decision(one, time=NOON + SECOND), decision(one, "email", outcome="send", reason="eligible")
        )
        await keep(tx, two, decision(two), offset=1)
        await keep(tx, three, decision(three), decision(three, "email", time=NOON + SECOND), offset=2)


async def test_decisions_come_in_order_of_time_and_message_page_by_page(here: World) -> None:
    await fill(here)
    found: list[tuple[str, str]] = []
    after = ""
    while True:
        body = (await here.call("viewer", "GET", f"/v1/decisions?limit=2{after}")).json()
        found += [(item["time"], item["message_id"]) for item in body["items"]]
        if body["next"] is None:
            break
        after = f"&after={body['next']}"
    assert len(found) == 5
    assert found == sorted(found)


@pytest.mark.parametrize(
    "query, expected",
    [
        ("customer=c-1", 3),
        ("customer=c-2&channel=sms", 1),
        ("campaign=other", 0),
        ("outcome=send", 1),
        ("reason=no_consent", 4),
        ("from=2026-03-02T12:00:01Z", 2),
        ("to=2026-03-02T12:00:01Z", 3),
        ("from=2026-03-02T12:00:00Z&to=2026-03-02T12:00:01Z&customer=c-1", 2),
    ],
)
async def test_decisions_are_filtered(here: World, query: str, expected: int) -> None:
    await fill(here)
    assert len((await here.call("viewer", "GET", f"/v1/decisions?{query}")).json()["items"]) == expected


async def test_one_decision_has_its_whole_trace_and_a_sentence(here: World) -> None:
    await fill(here)
    items = (await here.call("viewer", "GET", "/v1/decisions?customer=c-1&outcome=suppress")).json()["items"]
    assert [verdict["rule"] for verdict in items[0]["verdicts"]] == ["consent"]
    bare = await here.call("viewer", "GET", "/v1/decisions?customer=c-1&trace=none")
    assert "verdicts" not in bare.json()["items"][0]
    one = (await here.call("viewer", "GET", f"/v1/decisions/{items[0]['decision_id']}")).json()
    assert [verdict["rule"] for verdict in one["verdicts"]] == ["campaign", "consent"]
    assert "no consent to" in one["sentence"]
    assert (await here.call("viewer", "GET", "/v1/decisions/99999")).status_code == 404
    assert (await here.call("viewer", "GET", "/v1/decisions/x")).status_code == 422


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "to=2026-03-02", "trace=some", "customers=c-1", "outcome=sent", "reason=tired", "channel=fax"],
)
async def test_a_query_that_cannot_be_understood_is_refused(here: World, query: str) -> None:
    answer = await here.call("viewer", "GET", f"/v1/decisions?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/query/{query.split('=')[0]}")


async def test_a_span_that_ends_before_it_begins_is_refused(here: World) -> None:
    for path in ("decisions", "dead-letters"):
        answer = await here.call("admin", "GET", f"/v1/{path}?from=2026-03-02T12:00:01Z&to=2026-03-02T12:00:00Z")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/to")


async def test_the_sandbox_shows_what_would_have_been_sent(here: World) -> None:
    rows = [
        (f"msg_{n}", customer, "referral-ask", channel, "+49170", msgspec.json.encode({"text": "Hi"}), NOON + n)
        for n, (customer, channel) in enumerate([("c-1", "sms"), ("c-1", "push"), ("c-2", "sms")])
    ]
    columns = ("message_id", "customer", "campaign", "channel", "to_address", "content", "at")
    async with here.database.write() as tx:
        await tx.bulk_insert("sandbox_message", columns, rows)
    body = (await here.call("agent", "GET", "/v1/sandbox/messages?customer=c-1&channel=sms")).json()
    assert body["items"] == [
        {
            "message_id": "msg_0",
            "customer": "c-1",
            "campaign": "referral-ask",
            "channel": "sms",
            "to": "+49170",
            "content": {"text": "Hi"},
            "at": "2026-03-02T12:00:00Z",
        }
    ]
    assert (await here.call("agent", "GET", "/v1/sandbox/messages?limit=2")).status_code == 403  # names many customers
    page = (await here.call("auditor", "GET", "/v1/sandbox/messages?limit=2")).json()
    last = (await here.call("auditor", "GET", f"/v1/sandbox/messages?limit=2&after={page['next']}")).json()
    assert [item["message_id"] for item in page["items"] + last["items"]] == ["msg_0", "msg_1", "msg_2"]


async def test_the_ledger_lists_contacts_and_a_stranger_has_none(here: World) -> None:
    kind = MessageAttributes("referral-ask", "referrals", "sms", "marketing", "ask_referral")
    of = decision(event("e-1"))
    ledger = Ledger.empty().put_contact(
        Contact(of.message_id, hash_event("/shop", "e-1"), kind, 50, NOON + SECOND, NOON)
    )
    async with here.database.write() as tx:
        await store.lock_ledgers(tx, ["c-1"], ["c-1"])
        await store.save_ledgers(tx, {"c-1": ledger})
    body = (await here.call("agent", "GET", "/v1/contacts/c-1")).json()
    [contact] = body["contacts"]
    assert (contact["message_id"], contact["state"], contact["at"]) == (
        of.message_id,
        "planned",
        "2026-03-02T12:00:01Z",
    )
    assert (contact["class"], contact["reported"]) == ("marketing", False)
    assert (await here.call("agent", "GET", "/v1/contacts/nobody")).json()["contacts"] == []


UNDER_WAY: dict[str, dict[str, Any]] = {
    "e-1": {"state": "pending"},
    "e-2": {"state": "pending", "customer": "c-2", "channel": "email"},
    "e-3": {"state": "accepted"},
}
SCOPES = [
    (AttemptScope(), 2),
    (AttemptScope(customer="c-1"), 1),
    (AttemptScope(channels=("email", "push")), 1),
    (AttemptScope(topics=("referrals",)), 2),
    (AttemptScope(classes=("transactional",)), 0),
    (AttemptScope(intents=("ask_referral",), campaigns=("referral-ask",)), 2),
    (AttemptScope(address="hash-2"), 1),
    (AttemptScope(customer="c-1", channels=("email",)), 0),
]


@pytest.mark.parametrize("scope, expected", SCOPES)
async def test_the_door_finds_the_open_attempts_of_a_scope(here: World, scope: AttemptScope, expected: int) -> None:
    handovers: dict[str, int] = {}
    async with here.database.write() as tx:
        for id, changes in UNDER_WAY.items():
            of = decision(event(id))
            await keep_message(tx, of, **{"cls": "marketing", "attempts": 0} | changes)
            if changes["state"] == "pending":
                handovers[id] = await claim(tx, of.message_id, address=f"hash-{id[-1]}")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(here.app), base_url="http://o") as http:
        client = OrchestratorClient(http, SERVICE_KEY)
        found = (await client.open_attempts(scope)).attempts
        assert len(found) == expected
        assert await client.still_open(found) == expected
        async with here.database.write() as tx:
            await delivery_store.close_handover(tx, handovers["e-1"], [], NOON)
            await tx.execute("UPDATE message SET attempts = 2 WHERE customer = 'c-2'")
        assert await client.still_open(found) == 0


async def test_the_door_finds_the_owners_of_keys(here: World) -> None:
    key = await here.key_of("agent")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(here.app), base_url="http://o") as http:
        client = OrchestratorClient(http, SERVICE_KEY)
        found = await client.find_key(hash_key(key))
        assert found is not None
        assert (found.name, found.role) == ("person-agent", Role.AGENT)
        assert await client.find_key(hash_key(ADMIN_KEY)) == Principal("admin", Role.ADMIN, "env")
        assert await client.find_key(hash_key("a guess")) is None
