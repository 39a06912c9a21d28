"""The audit log at work: who did what about whom, before it was done, and nothing without it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.audit_log import AuditHead, AuditRecord, check_log, read_head_line
from schemas.event import Event, encode_event
from services.erasure.erased_customers import ErasedCustomers
from services.kit.audit_signature import HeadKey, is_signed
from services.orchestrator.audit_log.head_publisher import HeadPublisher
from tests.support.orchestrator_app import ADDRESS_KEY, NOON, World, campaign

pytestmark = pytest.mark.wired


async def entries(here: World) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.body) for record in await records(here)]


async def records(here: World) -> list[AuditRecord]:
    async with here.database.read() as tx:
        rows = await tx.rows("SELECT seq, body, digest FROM audit_entry ORDER BY seq")
    return [AuditRecord(*tuple(row)) for row in rows]


async def test_a_change_is_recorded_before_it_is_made_and_its_result_afterwards(here: World) -> None:
    answer = await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", name="ada", json=campaign())
    assert answer.status_code == 201
    asked, answered = await entries(here)
    assert asked == {
        "seq": 1,
        "at": here.clock.now(),
        "service": "orchestrator",
        "event": "asked",
        "name": "ada",
        "key_id": asked["key_id"],
        "role": "marketer",
        "action": "campaigns:write",
        "method": "PUT",
        "route": "/v1/campaigns/{key}",
        "objects": {"key": "referral-ask"},
    }
    assert asked["key_id"].startswith("key_")
    assert (answered["event"], answered["request"], answered["status"]) == ("answered", 1, 201)


async def test_a_look_names_its_customer_by_a_keyed_hash(here: World) -> None:
    assert (await here.call("agent", "GET", "/v1/contacts/anna@example.com")).status_code == 200
    assert (await here.call("agent", "GET", "/v1/messages?customer=anna@example.com")).status_code == 200
    pseudonym = ErasedCustomers(ADDRESS_KEY).pseudonyms.of_customer("anna@example.com")
    found = await entries(here)
    assert [each["about"] for each in found if each["event"] == "asked"] == [[pseudonym], [pseudonym]]
    assert "anna" not in "".join(record.body for record in await records(here))


async def test_what_shows_nobody_is_not_recorded(here: World) -> None:
    assert (await here.call("viewer", "GET", "/v1/campaigns")).status_code == 200
    assert await entries(here) == []


async def test_events_of_a_program_are_not_recorded_but_those_of_a_person_are(here: World) -> None:
    event = json.loads(encode_event(Event("e-1", "/shop", "shop.order.delivered", "c-1", NOON, msgspec.Raw(b"{}"))))
    assert (await here.call("publisher", "POST", "/v1/events", json=event)).status_code == 202
    assert await entries(here) == []
    body = {"name": "desk", "person": "ada", "role": "agent"}
    key = (await here.call("admin", "POST", "/v1/keys", json=body)).json()["key"]
    here.keys["desk"] = key
    await here.call("agent", "POST", "/v1/events", name="desk", json=event)
    last, answered = (await entries(here))[-2:]
    assert answered["about"] == [ErasedCustomers(ADDRESS_KEY).pseudonyms.of_customer("c-1")]
    assert (last["event"], last["person"], last["action"]) == ("asked", "ada", "events:write")


async def test_a_refusal_is_recorded(here: World) -> None:
    assert (await here.call("viewer", "GET", "/v1/contacts/c-1")).status_code == 403
    (refused,) = await entries(here)
    assert (refused["event"], refused["action"], refused["role"]) == ("refused", "contacts:read", "viewer")


async def test_what_cannot_be_recorded_is_refused_and_not_done(here: World) -> None:
    await here.key_of("marketer")
    async with here.database.write() as tx:
        await tx.execute("ALTER TABLE audit_entry RENAME TO audit_entry_gone")
    refused = await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign())
    async with here.database.write() as tx:
        await tx.execute("ALTER TABLE audit_entry_gone RENAME TO audit_entry")
        assert await tx.rows("SELECT 1 FROM campaign") == []
    assert refused.status_code in (500, 503)
    assert "tactful_audit_write_failures_total 1.0" in (await here.call("marketer", "GET", "/metrics")).text


async def test_a_log_that_does_not_answer_refuses_with_503(here: World) -> None:
    if here.database.dialect == "sqlite":
        return  # its one writer waits for its own process alone
    await here.key_of("marketer")
    async with here.database.write() as tx:
        await tx.execute("SELECT 1 FROM audit_chain FOR UPDATE")
        refused = await here.call("marketer", "PUT", "/v1/campaigns/referral-ask", json=campaign())
    assert (refused.status_code, refused.json()["code"]) == (503, "not_audited")
    assert "nothing was done" in refused.json()["detail"]
    async with here.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM campaign") == []


async def test_concurrent_requests_make_one_chain(here: World) -> None:
    await here.key_of("agent")
    answers = await asyncio.gather(*(here.call("agent", "GET", f"/v1/contacts/c-{n}") for n in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    found = await records(here)
    assert len(found) == 24
    assert check_log(found) is None


async def test_a_head_is_signed_kept_and_written_to_the_file_once(here: World, tmp_path: Path) -> None:
    key, file = HeadKey("a-key-for-the-heads-of-tests"), tmp_path / "heads.jsonl"
    publisher = HeadPublisher(here.database, here.clock, key, file)
    assert await publisher.publish_head() is None
    await here.call("agent", "GET", "/v1/contacts/c-1")
    head = await publisher.publish_head()
    assert head is not None
    assert is_signed(head, key.public_key)
    assert await publisher.publish_head() is None
    assert [read_head_line(line) for line in file.read_text().splitlines()] == [head]
    kept = (await here.call("auditor", "GET", "/v1/audit-log/heads")).json()["items"]
    assert [msgspec.convert(each, AuditHead) for each in kept] == [head]


async def test_the_log_of_the_database_is_found_changed(here: World) -> None:
    key = HeadKey("a-key-for-the-heads-of-tests")
    for number in range(3):
        await here.call("agent", "GET", f"/v1/contacts/c-{number}")
    head = await HeadPublisher(here.database, here.clock, key, None).publish_head()
    assert head is not None
    whole = await records(here)
    assert check_log(whole, [head]) is None
    async with here.database.write() as tx:
        await tx.execute("UPDATE audit_entry SET body = replace(body, 'agent', 'aGent') WHERE seq = 3")
    broken = check_log(await records(here), [head])
    assert broken is not None
    assert (broken.seq, broken.code) == (3, "changed")
    async with here.database.write() as tx:
        await tx.execute("DELETE FROM audit_entry WHERE seq > 4")
        await tx.execute("UPDATE audit_entry SET body = :body WHERE seq = 3", body=whole[2].body)
    broken = check_log(await records(here), [head])
    assert broken is not None
    assert (broken.seq, broken.code) == (5, "cut")


async def test_the_log_is_read_in_pages_by_those_who_may(here: World) -> None:
    for number in range(3):
        await here.call("agent", "GET", f"/v1/contacts/c-{number}")
    first = (await here.call("auditor", "GET", "/v1/audit-log?limit=4")).json()
    rest = (await here.call("auditor", "GET", f"/v1/audit-log?limit=200&after={first['next']}")).json()
    assert check_log([msgspec.convert(each, AuditRecord) for each in first["items"] + rest["items"]]) is None
    assert (await here.call("marketer", "GET", "/v1/audit-log")).status_code == 403
